//! Computes in an endless loop.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    loop {
        std::hint::spin_loop();
    }
}
