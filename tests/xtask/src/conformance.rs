//! Builds `kf-tuf-client`, the client under test of the TUF conformance suite.
//!
//! The suite sets the time by preloading a library, so this program alone has a dynamically linked C library. It is
//! built in a folder of its own, because all other programs are compiled with other flags.

use kf_toolchains::locations;

use crate::report;
use crate::step::{Context, Failure, Result, cargo_command, programs, run};

pub fn build() -> Result<()> {
    let target = locations::target().join("conformance");
    let words =
        ["build", "--package", "kf-conformance", "--features", "conformance", "--bin", "kf-tuf-client"];
    let mut cargo = cargo_command(&words);
    cargo.arg("--target-dir").arg(&target).env("RUSTFLAGS", "-C target-feature=-crt-static");
    run(&mut cargo)?;
    // Both builds are for this machine, so the last two folders are the same.
    let own = programs()?;
    let missing = || Failure("cannot find the folder of built programs".to_owned());
    let profile = own.ancestors().nth(2).ok_or_else(missing)?;
    let folder = own.strip_prefix(profile).context("cannot find the folder of built programs")?;
    let program = target.join(folder).join("kf-tuf-client");
    report::step(&format!("built {}", program.display()));
    report::step("hint: run `pytest tuf_conformance --entrypoint PROGRAM` in a checkout of the suite");
    Ok(())
}
