//! Makes refused calls in a loop, to hide its other calls in the audit log.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube;
use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, attack, object};

attack!(run);

/// Prints how many calls were refused, and how many exceeded the budget.
fn run(_: Vec<String>) -> Answer {
    let (mut refused, mut over_budget) = (0, 0);
    for _ in 0..3_000 {
        match kube::get(&object("Secret", "token")) {
            Err(error) if error.code == ErrorCode::Budget => over_budget += 1,
            Err(_) => refused += 1,
            Ok(_) => {}
        }
    }
    ui::print(format!("{refused} refused, {over_budget} over budget\n").as_bytes())?;
    Ok(0)
}
