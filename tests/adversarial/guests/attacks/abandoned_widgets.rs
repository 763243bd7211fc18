//! Leaves a progress bar on the screen and a log half copied, for the host to clean up.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::logs::{self, LogOptions, LogStream};
use kf_attacks::plugin::ui::{self, Progress};
use kf_attacks::{Answer, Error, attack};

attack!(run);

fn open(pod: &str) -> Result<LogStream, Error> {
    let options = LogOptions {
        container: None,
        follow: true,
        previous: false,
        timestamps: false,
        since: None,
        tail_lines: None,
    };
    logs::open_log(None, pod, &options)
}

fn run(_: Vec<String>) -> Answer {
    std::mem::forget(logs::forward(open("web-open")?, None));
    std::mem::forget(Progress::new("waiting", None));
    // This log ends once the host has copied the other one.
    open("web-after")?.next()?;
    ui::print(b"done\n")?;
    Ok(0)
}
