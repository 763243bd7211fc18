//! Joins the user's terminal, stdin or only stdout to a pod, without the right.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::sessions::{self, SessionOptions};
use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack};

attack!(run);

/// Fails with the last refusal.
fn run(_: Vec<String>) -> Answer {
    let command = vec!["sh".to_owned()];
    let mut last = None;
    for (stdin, tty) in [(true, true), (false, true), (true, false), (false, false)] {
        let options = || SessionOptions { container: None, stdin, tty };
        let tried = [
            ("exec", sessions::exec(None, "web", &command, &options())),
            ("attach", sessions::attach(None, "web", &options())),
        ];
        for (how, result) in tried {
            match result {
                Err(error) if error.code == ErrorCode::Forbidden => last = Some(error),
                other => ui::note(&format!("got through: {how} stdin={stdin} tty={tty}: {other:?}")),
            }
        }
    }
    last.map_or(Ok(0), Err)
}
