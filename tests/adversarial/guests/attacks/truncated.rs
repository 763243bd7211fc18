//! A valid command, which the test truncates.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    ui::print(b"whole\n")?;
    Ok(0)
}
