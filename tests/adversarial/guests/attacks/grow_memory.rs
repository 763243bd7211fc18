//! Allocates memory without end.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let mut hoard: Vec<Vec<u8>> = Vec::new();
    loop {
        hoard.push(vec![hoard.len() as u8; 1 << 20]);
        std::hint::black_box(&hoard);
    }
}
