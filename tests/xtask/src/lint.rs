//! Format, lints, and what may be linked.

use std::process::Command;

use crate::say;
use crate::step::{Result, cargo};

pub fn run() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    cargo(&["clippy", "--workspace", "--all-targets", "--quiet", "--", "--deny", "warnings"])?;
    let deny = Command::new("cargo").args(["deny", "--version"]).output();
    if deny.is_ok_and(|output| output.status.success()) {
        // The advisory database is fetched from the internet, which CI machines may not reach.
        cargo(&["deny", "--offline", "--log-level", "error", "check", "bans", "licenses", "sources"])
    } else {
        say::step(
            "cargo-deny is not installed, so deny.toml was not checked: cargo install cargo-deny --locked",
        );
        Ok(())
    }
}
