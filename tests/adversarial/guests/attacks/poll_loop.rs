//! Waits in an endless loop for a pollable that is ready, so that it never really waits.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::{clock, poll};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let now = clock::after(0);
    loop {
        std::hint::black_box(poll::wait(&[&now]));
    }
}
