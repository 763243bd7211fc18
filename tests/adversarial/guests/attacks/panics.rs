//! Panics with an escape sequence in its message.

#![cfg(target_arch = "wasm32")]

use kf_attacks::{Answer, attack};

attack!(run);

#[expect(clippy::panic, reason = "that is the attack")]
fn run(_: Vec<String>) -> Answer {
    panic!("\u{1b}]0;all is well\u{7}");
}
