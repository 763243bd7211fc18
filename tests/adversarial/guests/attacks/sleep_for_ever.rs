//! Waits forever.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::{clock, poll};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let never = clock::after(u64::MAX);
    poll::wait(&[&never]);
    Ok(0)
}
