//! Checks the format, lints and dependencies.

use std::process::Command;

use crate::step::{Result, cargo};
use crate::{report, voice};

pub fn run() -> Result<()> {
    cargo(&["fmt", "--all", "--check"])?;
    voice::run()?;
    // The feature adds a program; it changes nothing else.
    let everything = ["--workspace", "--all-targets", "--features", "kf-conformance/conformance"];
    cargo(&[&["clippy"][..], &everything, &["--quiet", "--", "--deny", "warnings"]].concat())?;
    let deny = Command::new("cargo").args(["deny", "--version"]).output();
    if deny.is_ok_and(|output| output.status.success()) {
        // Advisories are not checked, because CI machines may be unable to download the database.
        cargo(&["deny", "--offline", "--log-level", "error", "check", "bans", "licenses", "sources"])
    } else {
        report::step(
            "skipped (cargo-deny is not installed): deny.toml; hint: cargo install cargo-deny --locked",
        );
        Ok(())
    }
}
