//! Asks for what it may not have, again and again, so that whoever looks for its other calls finds only this.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube;
use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack, object};

attack!(run);

/// Says how often it was refused, and how often for having asked too often.
fn run(_: Vec<String>) -> Answer {
    let (mut refused, mut spent) = (0, 0);
    for _ in 0..3_000 {
        match kube::get(&object("Secret", "token")) {
            Err(error) if error.code == ErrorCode::Budget => spent += 1,
            Err(_) => refused += 1,
            Ok(_) => {}
        }
    }
    ui::print(format!("{refused} refused, {spent} over budget\n").as_bytes())?;
    Ok(0)
}
