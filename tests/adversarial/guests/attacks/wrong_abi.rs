//! Claims an ABI version that does not exist yet.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run, abi = *b"0.2.0");

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}
