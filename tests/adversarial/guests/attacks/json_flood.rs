//! Sends documents that take a hundred times their size once parsed.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::kube::{self, PatchKind, WriteOptions};
use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::{Answer, Error, attack, object};

attack!(run);

/// Counts the calls that were not refused as invalid.
fn run(_: Vec<String>) -> Answer {
    let bomb = format!("[{}{{}}]", "{},".repeat(5 << 20));
    let pod = object("Pod", "web");
    let options = WriteOptions { dry_run: false, force: false };
    let answers = [
        kube::create(&pod, &bomb, options),
        kube::apply(&pod, &bomb, options),
        kube::patch(&pod, PatchKind::Json, &bomb, options),
    ];
    let through =
        |answer: &Result<String, Error>| !matches!(answer, Err(error) if error.code == ErrorCode::Invalid);
    Ok(u8::try_from(answers.iter().filter(|answer| through(answer)).count()).unwrap_or(u8::MAX))
}
