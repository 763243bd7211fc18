//! Makes the host copy a hundred megabytes in one call.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    ui::note(&"x".repeat(100 << 20));
    Ok(0)
}
