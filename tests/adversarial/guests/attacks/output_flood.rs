//! Prints in an endless loop, and ignores errors.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let line = vec![b'x'; 64 << 10];
    loop {
        let _ = ui::print(&line);
    }
}
