//! Runs the fuzz targets of `tests/fuzz` for longer than the tests do, each time with other changes.

use clap::Args;

use crate::plugins;
use crate::step::{Result, cargo_command, run_reporting};

#[derive(Debug, Args)]
pub struct FuzzArgs {
    /// Run only targets whose names contain this
    target: Option<String>,

    /// How long to run each target
    #[arg(long, default_value_t = 1)]
    minutes: u64,
}

/// A failed target prints the smallest changes that it found.
pub fn run(args: &FuzzArgs) -> Result<()> {
    let mut cargo = cargo_command(&["test", "--workspace", "--test", "fuzz", "--"]);
    cargo.args(&args.target);
    cargo.env("KF_FUZZ_SECONDS", args.minutes.saturating_mul(60).to_string());
    cargo.env("KF_TEST_PLUGINS", plugins::artifacts());
    run_reporting(&mut cargo)
}
