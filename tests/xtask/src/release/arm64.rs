//! The release for 64-bit Arm, compiled on an x86-64 machine.
//!
//! It is built, and run only in an emulator, which says so. Where no cross compiler can be had it is left out.

use std::path::Path;

use kf_toolchains::command;
use kf_toolchains::cross::{self, CrossCompiler};

use super::compile::Build;
use crate::say;
use crate::step::{Doing, Failure, Result};

/// Makes the files for 64-bit Arm. What belongs beside the program is in `share`.
pub fn make(host: Build, share: &Path, stage: &Path, into: &Path) -> Result<()> {
    if host.triple != "x86_64-unknown-linux-gnu" {
        say::step(&format!("64-bit Arm is left out: it is compiled on x86-64, not on {}", host.triple));
        return Ok(());
    }
    let compiler = match CrossCompiler::find(say::step) {
        Ok(compiler) => compiler,
        Err(error) => {
            say::step(&format!("64-bit Arm is left out: {error}"));
            return Ok(());
        }
    };
    let build = Build { triple: cross::TARGET.to_owned(), cross: Some(compiler), ..host };
    let program = super::make(&build, Some(share), stage, into)?.program;
    let emulator = match cross::emulator(say::step) {
        Ok(emulator) => emulator,
        Err(error) => {
            say::step(&format!("kf for 64-bit Arm was built and never run: {error}"));
            return Ok(());
        }
    };
    let mut kf = std::process::Command::new(emulator);
    let version =
        command::output(kf.arg(program).arg("--version")).doing("kf for 64-bit Arm does not run")?;
    if version.trim() != super::VERSION {
        return Err(Failure(format!("kf for 64-bit Arm says it is `{}`", version.trim())));
    }
    say::step("kf for 64-bit Arm was built here and run in an emulator only: `kf --version` works there");
    Ok(())
}
