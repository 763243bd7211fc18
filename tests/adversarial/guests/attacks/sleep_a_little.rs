//! Computes for half a second and sleeps for a millisecond, in an endless loop.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::{clock, poll};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    loop {
        let begun = clock::now();
        while clock::now().saturating_sub(begun) < 500 {
            for number in 0..100_000_u64 {
                std::hint::black_box(number);
            }
        }
        poll::wait(&[&clock::after(1)]);
    }
}
