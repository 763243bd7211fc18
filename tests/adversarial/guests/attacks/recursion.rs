//! Overflows the stack.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run);

fn run(arguments: Vec<String>) -> Answer {
    Ok(u8::try_from(deeper(arguments.len() as u64 + 1) % 2).unwrap_or_default())
}

/// Not a tail call, and it keeps nothing in linear memory. The end is never reached; without it the
/// compiler would turn this into a loop.
#[inline(never)]
fn deeper(depth: u64) -> u64 {
    if depth == 0x5eed {
        return 0;
    }
    deeper(depth.wrapping_mul(3) + 1).rotate_left(7) ^ depth
}
