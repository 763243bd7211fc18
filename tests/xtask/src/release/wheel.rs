//! The program as a Python wheel.
//!
//! maturin calls cargo with the arguments and flags of [`Build`], so it packs the program that is compiled already. Its
//! platform tag is for glibc 2.17, the oldest that Rust supports. The program is static and also runs with musl, which
//! maturin cannot know, so that tag is added to the wheel.

use std::path::Path;
use std::process::Command;

use kf_toolchains::command;
use kf_toolchains::packaging::{self, Packaging};

use super::compile::Build;
use super::extras::place;
use super::pack::{copy_folder, fresh};
use crate::report;
use crate::step::{Context, Failure, Result, quietly};

const PROJECT: &str = include_str!("pyproject.toml");

/// Builds the wheel of `program` and `share`, and verifies that it contains the same program.
pub fn pack(build: &Build, program: &Path, share: &Path, stage: &Path, into: &Path) -> Result<()> {
    let tools = Packaging::installed(report::step).context("cannot install maturin")?;
    let project = stage.join("wheel");
    fresh(&project)?;
    let manifest = build.folders.workspace.join("kf-host/cli/Cargo.toml").display().to_string();
    place(&project.join("pyproject.toml"), PROJECT.replace("@MANIFEST@", &manifest).as_bytes())?;
    for document in ["README.md", "LICENSE"] {
        let text = fs_err::read(build.folders.workspace.join(document)).context("cannot copy a document")?;
        place(&project.join(document), &text)?;
    }
    copy_folder(share, &project.join("kf_cli.data/data/share"))?;

    let made = stage.join("made");
    fresh(&made)?;
    let mut maturin = tools.maturin();
    maturin.current_dir(&project).args(["build", "--compatibility", "manylinux_2_17", "--out"]).arg(&made);
    build.configure(&mut maturin)?;
    quietly(&format!("packing the wheel for {}", build.triple), &mut maturin)?;

    let (architecture, _) = build.triple.split_once('-').unwrap_or_default();
    let wheel = super::wheel_in(&made, architecture)?;
    let action = "cannot tag the wheel";
    let tag = format!("+musllinux_1_1_{architecture}");
    let mut tags = tools.wheel();
    tags.args(["tags", "--remove", "--platform-tag", &tag]).arg(wheel).env("SOURCE_DATE_EPOCH", &build.time);
    command::output(&mut tags).context(action)?;
    let wheel = super::wheel_in(&made, architecture)?;
    verify_program(&tools, &wheel, program, stage)?;
    fs_err::copy(&wheel, into.join(wheel.file_name().unwrap_or_default())).map(drop).context(action)
}

/// Verifies the program in the wheel. Unpacking verifies the digests of all files.
fn verify_program(tools: &Packaging, wheel: &Path, program: &Path, stage: &Path) -> Result<()> {
    let action = "cannot verify the wheel";
    let unpacked = stage.join("unpacked");
    fresh(&unpacked)?;
    command::output(tools.wheel().args(["unpack", "--dest"]).arg(&unpacked).arg(wheel)).context(action)?;
    let name = format!("kf_cli-{}", env!("CARGO_PKG_VERSION"));
    let packed = unpacked.join(&name).join(format!("{name}.data/scripts/kf"));
    if fs_err::read(packed).context(action)? == fs_err::read(program).context(action)? {
        return Ok(());
    }
    Err(Failure(format!("the program in {} differs from {}", wheel.display(), program.display())))
}

/// Installs the wheel into an empty environment, and runs the kf there.
pub fn install(wheel: &Path, environment: &Path) -> Result<()> {
    packaging::install(wheel, environment).context("cannot install the wheel")?;
    let kf = environment.join("bin/kf");
    let version =
        command::output(Command::new(&kf).arg("--version")).context("cannot run kf from the wheel")?;
    if version.trim() == super::VERSION {
        return Ok(());
    }
    Err(Failure(format!("{} has the wrong version `{}`", kf.display(), version.trim())))
}
