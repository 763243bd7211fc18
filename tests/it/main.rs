//! End-to-end tests: kf as a user runs it, with a real cluster.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests, too")]
#![expect(unreachable_pub, reason = "a test program exports nothing")]

mod common;

mod add_and_remove;
mod api_server_restarts;
mod author;
mod bad_input;
mod beside_kubectl;
mod broken_kinds;
mod broker;
mod built_in;
mod cluster;
mod command_line;
mod completion;
mod connecting;
mod consent;
mod demo;
mod doctor;
mod events;
mod first_screen;
mod following;
mod home_files;
mod hostile_text;
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
mod partial_failures;
mod pipeline;
mod plugin_commands;
mod pod_failures;
mod reasons;
mod reference;
mod registry_commands;
mod registry_life;
mod remove;
mod repository;
mod rights;
mod rows;
mod running;
mod serve;
mod services_and_top;
mod sessions;
mod tampered_files;
mod tensorboard;
mod training;
mod tuning;
mod verbose;
