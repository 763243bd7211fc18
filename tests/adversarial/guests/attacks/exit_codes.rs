//! Ends with the exit code it is given, also one that is kf's own.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run);

fn run(arguments: Vec<String>) -> Answer {
    Ok(arguments.first().and_then(|code| code.parse().ok()).unwrap_or_default())
}
