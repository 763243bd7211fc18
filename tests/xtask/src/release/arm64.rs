//! The release for 64-bit Arm, compiled on an x86-64 machine.
//!
//! It is run only in an emulator. Without a cross compiler it is skipped.

use std::path::Path;

use kf_toolchains::command;
use kf_toolchains::cross::{self, CrossCompiler};

use super::compile::Build;
use crate::report;
use crate::step::{Context, Failure, Result};

/// Builds the files for 64-bit Arm, with the files in `share`.
pub fn make(host: Build, share: &Path, stage: &Path, into: &Path) -> Result<()> {
    if host.triple != "x86_64-unknown-linux-gnu" {
        report::step(&format!("skipped (needs an x86-64 machine, not {}): 64-bit Arm", host.triple));
        return Ok(());
    }
    let compiler = match CrossCompiler::find(report::step) {
        Ok(compiler) => compiler,
        Err(error) => {
            report::step(&format!("skipped ({error}): 64-bit Arm"));
            return Ok(());
        }
    };
    let build = Build { triple: cross::TARGET.to_owned(), cross: Some(compiler), ..host };
    let program = super::make(&build, Some(share), stage, into)?.program;
    let emulator = match cross::emulator(report::step) {
        Ok(emulator) => emulator,
        Err(error) => {
            report::step(&format!("kf for 64-bit Arm was built but not run: {error}"));
            return Ok(());
        }
    };
    let mut kf = std::process::Command::new(emulator);
    let version =
        command::output(kf.arg(program).arg("--version")).context("kf for 64-bit Arm does not run")?;
    if version.trim() != super::VERSION {
        return Err(Failure(format!("kf for 64-bit Arm has the wrong version `{}`", version.trim())));
    }
    report::step("kf for 64-bit Arm was run only in an emulator, where `kf --version` works");
    Ok(())
}
