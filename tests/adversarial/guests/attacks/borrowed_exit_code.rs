//! Ends with an exit code of kf's own, which only a session in a container may have.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, SessionOptions};
use kf_attacks::{Answer, attack};

attack!(run);

/// The session ends with 7; the first argument is what the command says.
fn run(arguments: Vec<String>) -> Answer {
    let options = SessionOptions { container: None, stdin: false, tty: false };
    sessions::exec(None, "web", &["exit".to_owned()], &options)?;
    Ok(arguments.first().and_then(|word| word.parse().ok()).unwrap_or_default())
}
