//! Passes a document with a hundred thousand levels, into which the host might recurse.

#![cfg(target_arch = "wasm32")]

use kf_attacks::plugin::ui::{self, Row};
use kf_attacks::{Answer, attack};

attack!(run);

fn run(_: Vec<String>) -> Answer {
    let object = "[".repeat(100_000);
    ui::record(&[], &Row { cells: Vec::new(), object, name: String::new() })?;
    Ok(0)
}
