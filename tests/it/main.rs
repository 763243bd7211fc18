//! What users rely on, end to end: kf as they type it, and a real cluster behind it.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests, too")]
#![expect(unreachable_pub, reason = "a test program has no outside to reach from")]

mod common;

mod add_and_remove;
mod api_server_restarts;
mod author;
mod bad_input;
mod beside_kubectl;
mod broker;
mod built_in;
mod cluster;
mod command_line;
mod completion;
mod connecting;
mod consent;
mod demo;
mod doctor;
mod endings;
mod events;
mod faulty_kinds;
mod faulty_parts;
mod first_screen;
mod following;
mod hostile_text;
mod house;
mod interrupted;
mod killed;
mod kubeconfigs;
mod local_components;
mod long_logs;
mod man;
mod manifests;
mod memory;
mod namespaces;
mod notebooks;
mod output;
mod own_files;
mod pipeline;
mod planted;
mod reachable;
mod reasons;
mod reference;
mod remove;
mod rights;
mod rows;
mod running;
mod serve;
mod sessions;
mod tensorboard;
mod training;
mod tuning;
mod verbose;
