//! What users rely on, end to end: kf as they type it, and a real cluster behind it.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "helpers of tests, too")]
#![expect(unreachable_pub, reason = "a test program has no outside to reach from")]

mod common;

mod add_and_remove;
mod bad_input;
mod broker;
mod command_line;
mod hostile_text;
mod house;
mod interrupted;
mod rights;
mod running;
