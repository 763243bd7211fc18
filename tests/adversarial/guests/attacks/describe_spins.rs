//! Never returns from describing itself.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run, describe = describe);

fn describe() -> Vec<kf_attacks::plugin::tree::Command> {
    loop {
        std::hint::spin_loop();
    }
}

fn run(_: Vec<String>) -> Answer {
    Ok(0)
}
