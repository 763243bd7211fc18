//! Fails with a message that is larger than its output limit.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::{Answer, Error, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let words = "no ".repeat(2 << 20);
    Err(Error { code: ErrorCode::Failed, message: words.clone(), hint: Some(words) })
}
