//! Prints long prefixes before the lines of a log, which do not count as its own output.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::logs::{self, LogOptions};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let options = LogOptions {
        container: None,
        follow: false,
        previous: false,
        timestamps: false,
        since: None,
        tail_lines: None,
    };
    let log = logs::open_log(None, "web-0", &options)?;
    logs::forward(log, Some(&"ä".repeat(4 << 20))).finish()?;
    Ok(0)
}
