//! Opens processes and port-forwards up to the limit.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, Port, SessionOptions};
use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::{Answer, attack};

attack!(run);

/// Returns how many could be opened.
fn run(_: Vec<String>) -> Answer {
    let (mut processes, mut forwards) = (Vec::new(), Vec::new());
    let options = || SessionOptions { container: None, stdin: false, tty: false };
    loop {
        match sessions::start(None, "web", &["yes".to_owned()], &options()) {
            Ok(process) => processes.push(process),
            Err(error) if error.code == ErrorCode::Budget => break,
            Err(error) => return Err(error),
        }
        match sessions::open_port_forward(None, "web", &[Port { local: 0, remote: 80 }]) {
            Ok(forward) => forwards.push(forward),
            Err(error) if error.code == ErrorCode::Budget => break,
            Err(error) => return Err(error),
        }
    }
    let open = processes.len() + forwards.len();
    Ok(u8::try_from(open).unwrap_or(u8::MAX))
}
