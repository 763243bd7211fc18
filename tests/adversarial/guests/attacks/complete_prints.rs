//! Prints during completion.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::ui;
use kf_attacks::{Answer, Candidate, CompletionRequest, attack};

attack!(run, complete = complete);

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}

fn complete(_: CompletionRequest) -> Vec<Candidate> {
    let _ = ui::print(b"reboot\n");
    vec![Candidate { value: "reached".to_owned(), help: None }]
}
