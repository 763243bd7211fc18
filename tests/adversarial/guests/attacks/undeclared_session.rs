//! Opens a session without asking for it in its manifest.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, SessionOptions};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let options = SessionOptions { container: None, stdin: false, tty: false };
    sessions::exec(None, "web", &["id".to_owned()], &options)?;
    Ok(0)
}
