//! Never returns from completion.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, Candidate, CompletionRequest, attack};

attack!(run, complete = complete);

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}

fn complete(_: CompletionRequest) -> Vec<Candidate> {
    loop {
        std::hint::spin_loop();
    }
}
