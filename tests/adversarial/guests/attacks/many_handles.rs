//! Makes the host keep a million timers.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::clock;
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let timers: Vec<_> = (0..1_000_000).map(|_| clock::after(1_000_000)).collect();
    Ok(u8::from(timers.is_empty()))
}
