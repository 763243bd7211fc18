//! Writes in an endless loop to a process that does not read.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, SessionOptions};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let options = SessionOptions { container: None, stdin: true, tty: false };
    let process = sessions::start(None, "web", &["sleep".to_owned()], &options)?;
    loop {
        process.write(&[0; 1 << 20])?;
    }
}
