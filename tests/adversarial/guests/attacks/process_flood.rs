//! Starts a process with endless output, and does not read it.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::clock;
use kf_attacks::plugin::poll;
use kf_attacks::plugin::sessions::{self, Output, SessionOptions};
use kf_attacks::{Answer, attack};

attack!(run);

/// 0 if no chunk was larger than allowed.
fn run(_: Vec<String>) -> Answer {
    let options = SessionOptions { container: None, stdin: false, tty: false };
    let process = sessions::start(None, "web", &["yes".to_owned()], &options)?;
    // Lets it print for a while without reading.
    poll::wait(&[&clock::after(200)]);
    for _ in 0..10 {
        match process.next()? {
            Output::Stdout(data) if data.len() <= 64 << 10 => {}
            _ => return Ok(1),
        }
    }
    Ok(0)
}
