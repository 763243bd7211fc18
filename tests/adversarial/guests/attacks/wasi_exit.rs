//! Calls WASI `exit` with success, in the middle of its work.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    wasip2::cli::exit::exit(Ok(()));
    Ok(1)
}
