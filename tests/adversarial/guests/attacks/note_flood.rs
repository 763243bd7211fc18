//! Prints notes in an endless loop.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    loop {
        ui::note("still here");
        ui::warn("and now?");
    }
}
