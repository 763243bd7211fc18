//! Waits for half a million pollables at once.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::{clock, poll};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let later = clock::after(60_000);
    poll::wait(&vec![&later; 500_000]);
    Ok(0)
}
