//! Requests a terabyte of random bytes.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let bytes = wasip2::random::random::get_random_bytes(1 << 40);
    Ok(u8::from(bytes.is_empty()))
}
