//! Opens foreign pages in the browser, as pages of a forwarded port.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, Port};
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

const PATHS: [&str; 10] = [
    "",
    "evil.example",
    "//evil.example/",
    "@evil.example/",
    ".evil.example/",
    ":80@evil.example/",
    "/\\evil.example",
    "/ --new-window file:///etc/passwd",
    "/\n-e",
    "/#\u{202e}",
];

/// Counts the pages that were not refused.
fn run(_: Vec<String>) -> Answer {
    let forward = sessions::open_port_forward(None, "web", &[Port { local: 0, remote: 80 }])?;
    let mut through = 0;
    for path in PATHS {
        if forward.open_page(path).is_ok() {
            through += 1;
            ui::note(&format!("got through: {}", path.escape_debug()));
        }
    }
    forward.open_page("/lab?token=x")?;
    Ok(through)
}
