//! Leaves a progress bar on the screen, a log half copied, and the host with everything to clean up.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::logs::{self, LogOptions};
use kf_attacks::plugin::ui::{self, Progress};
use kf_attacks::plugin::{clock, poll};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let options = LogOptions {
        container: None,
        follow: true,
        previous: false,
        timestamps: false,
        since: None,
        tail_lines: None,
    };
    let log = logs::open_log(None, "web-open", &options)?;
    std::mem::forget(logs::forward(log, None));
    std::mem::forget(Progress::new("waiting", None));
    // The host copies what there is of the log while the guest waits.
    poll::wait(&[&clock::after(1)]);
    ui::print(b"done\n")?;
    Ok(0)
}
