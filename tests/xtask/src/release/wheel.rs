//! The program as a Python wheel.
//!
//! maturin calls cargo with the words and flags of [`Build`], so it packs the program that is there already. Its tag
//! says that the wheel runs with glibc 2.17 or later, the oldest that Rust supports. The program is static and runs
//! with musl as well, which maturin does not know, so that tag is added to the wheel it made.

use std::path::Path;
use std::process::Command;

use kf_toolchains::command;
use kf_toolchains::packaging::{self, Packaging};

use super::compile::Build;
use super::extras::place;
use super::pack::{copy_folder, fresh};
use crate::say;
use crate::step::{Doing, Failure, Result, quietly};

const PROJECT: &str = include_str!("pyproject.toml");

/// Makes the wheel of `program` with what is in `share`, and verifies that the program in it is the same.
pub fn pack(build: &Build, program: &Path, share: &Path, stage: &Path, into: &Path) -> Result<()> {
    let tools = Packaging::installed(say::step).doing("cannot install maturin")?;
    let project = stage.join("wheel");
    fresh(&project)?;
    let manifest = build.folders.workspace.join("kf-host/cli/Cargo.toml").display().to_string();
    place(&project.join("pyproject.toml"), PROJECT.replace("@MANIFEST@", &manifest).as_bytes())?;
    for document in ["README.md", "LICENSE"] {
        let text = fs_err::read(build.folders.workspace.join(document)).doing("cannot copy a document")?;
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
    let doing = "cannot tag the wheel";
    let tag = format!("+musllinux_1_1_{architecture}");
    let mut tags = tools.wheel();
    tags.args(["tags", "--remove", "--platform-tag", &tag]).arg(wheel).env("SOURCE_DATE_EPOCH", &build.time);
    command::output(&mut tags).doing(doing)?;
    let wheel = super::wheel_in(&made, architecture)?;
    has_program(&tools, &wheel, program, stage)?;
    fs_err::copy(&wheel, into.join(wheel.file_name().unwrap_or_default())).map(drop).doing(doing)
}

/// Unpacking verifies the digest of everything in the wheel.
fn has_program(tools: &Packaging, wheel: &Path, program: &Path, stage: &Path) -> Result<()> {
    let doing = "cannot verify the wheel";
    let unpacked = stage.join("unpacked");
    fresh(&unpacked)?;
    command::output(tools.wheel().args(["unpack", "--dest"]).arg(&unpacked).arg(wheel)).doing(doing)?;
    let name = format!("kf_cli-{}", env!("CARGO_PKG_VERSION"));
    let packed = unpacked.join(&name).join(format!("{name}.data/scripts/kf"));
    if fs_err::read(packed).doing(doing)? == fs_err::read(program).doing(doing)? {
        return Ok(());
    }
    Err(Failure(format!("the program in {} is another than {}", wheel.display(), program.display())))
}

/// Installs the wheel into an empty environment, and runs the kf there.
pub fn install(wheel: &Path, environment: &Path) -> Result<()> {
    packaging::install(wheel, environment).doing("cannot install the wheel")?;
    let kf = environment.join("bin/kf");
    let version =
        command::output(Command::new(&kf).arg("--version")).doing("cannot run kf from the wheel")?;
    if version.trim() == super::VERSION {
        return Ok(());
    }
    Err(Failure(format!("{} says it is `{}`", kf.display(), version.trim())))
}
