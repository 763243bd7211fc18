//! Says it was built for an ABI that is not there yet.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run, abi = *b"0.2.0");

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}
