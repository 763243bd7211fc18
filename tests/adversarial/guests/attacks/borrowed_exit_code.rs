//! Exits with a code that is reserved for kf, which is allowed only as the code of a session.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, SessionOptions};
use kf_attacks::{Answer, attack};

attack!(run);

/// The session exits with 7, and the command with its first argument.
fn run(arguments: Vec<String>) -> Answer {
    let options = SessionOptions { container: None, stdin: false, tty: false };
    sessions::exec(None, "web", &["exit".to_owned()], &options)?;
    Ok(arguments.first().and_then(|word| word.parse().ok()).unwrap_or_default())
}
