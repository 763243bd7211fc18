//! `cargo xtask release`: builds the files of a release in `target/release-kf`.
//!
//! For each platform there are: kf as one static program, an archive that also contains completions and man pages, and a
//! Python wheel with the same contents. `SHA256SUMS` lists them. kf is compiled once per platform, and the archive and the
//! wheel contain the same bytes of the program. Last, the steps of README.md's first screen are run with the program and
//! with the wheel, each in an empty environment.
//!
//! The same sources give the same bytes in any folder, with the same Rust and C library. `--reproduce` verifies this.

mod arm64;
mod bundle;
mod compile;
mod extras;
mod pack;
mod reproduce;
mod wheel;

use std::path::{Path, PathBuf};

use clap::Args;
use kf_toolchains::locations;

use crate::report;
use crate::step::{Context, Failure, Result};
use crate::test::{self, TestArgs};

use compile::Build;

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    /// Folder of the keys that sign the built-in commands, generated if missing [default: target/release-keys]
    #[arg(long, value_name = "DIR")]
    keys: Option<PathBuf>,

    /// Addresses of the default registry, in the order to try; its root is that of the built-in commands' registry
    #[arg(long, value_name = "URLS")]
    registry_url: Option<String>,

    /// Build for this machine only, not for 64-bit Arm as well
    #[arg(long)]
    host_only: bool,

    /// Build again for this machine in another folder, and compare the files
    #[arg(long)]
    reproduce: bool,
}

/// The output of `kf --version`.
const VERSION: &str = concat!("kf ", env!("CARGO_PKG_VERSION"));

const MAX_PROGRAM_BYTES: u64 = 22_000_000;
const MAX_WHEEL_BYTES: u64 = 12_000_000;

pub fn run(args: &ReleaseArgs) -> Result<()> {
    let keys = args.keys.clone().unwrap_or_else(|| locations::target().join("release-keys"));
    let keys = std::path::absolute(keys).context("cannot find the keys")?;
    let time = compile::source_date()?;
    let built_in = bundle::first_party(&keys, &time)?;
    report::step("a release is optimised as a whole: about 10 minutes on two cores for each platform");
    let build = Build::here(built_in, args.registry_url.clone(), time)?;
    let into = folder();
    pack::fresh(&into)?;
    let stage = locations::target().join("release-stage");
    let made = make(&build, None, &stage.join(&build.triple), &into)?;
    let wheel = wheel_in(&into, std::env::consts::ARCH)?;
    let environment = stage.join("environment");
    wheel::install(&wheel, &environment)?;
    extras::check_completions(&environment.join("share"))?;
    if args.reproduce {
        reproduce::verify(&build, &into)?;
    }
    if !args.host_only {
        arm64::make(build, &made.share, &stage.join("arm64"), &into)?;
    }
    pack::checksums(&into)?;
    test::run_all(&TestArgs::first_screen_of_release())?;
    report::line(&format!("{}:", into.display()));
    pack::sizes(&into)
}

/// The program and the wheel of the last release for this machine.
pub fn for_this_machine() -> Option<[PathBuf; 2]> {
    let folder = folder();
    let program = folder.join(name_for(&compile::host().ok()?));
    let wheel = wheel_in(&folder, std::env::consts::ARCH).ok()?;
    program.is_file().then_some([program, wheel])
}

/// The folder of the release.
pub fn folder() -> PathBuf {
    locations::target().join("release-kf")
}

/// The file name of the program for a platform; its archive has a suffix.
fn name_for(triple: &str) -> String {
    format!("kf-{}-{triple}", env!("CARGO_PKG_VERSION"))
}

/// The wheel in a folder for an architecture, as Rust and Python name it.
fn wheel_in(folder: &Path, architecture: &str) -> Result<PathBuf> {
    let ending = format!("_{architecture}.whl");
    let names = pack::names(folder)?;
    let found = names.iter().find(|name| name.ends_with(&ending)).map(|name| folder.join(name));
    found.ok_or_else(|| Failure(format!("no wheel for {architecture} in {}", folder.display())))
}

/// The program of one platform, and its `share` folder.
struct Made {
    program: PathBuf,
    share: PathBuf,
}

/// Builds the files of one platform. Without `share`, the program itself generates it.
fn make(build: &Build, share: Option<&Path>, stage: &Path, into: &Path) -> Result<Made> {
    pack::fresh(stage)?;
    let name = name_for(&build.triple);
    let program = pack::program(&build.program()?, into, &name)?;
    compile::check_is_static(&program)?;
    let own = stage.join("share");
    let share = match share {
        Some(share) => share.to_owned(),
        None => {
            extras::write(&program, &own)?;
            own
        }
    };
    pack::archive(build, &program, &share, stage, into, &name)?;
    wheel::pack(build, &program, &share, stage, into)?;
    Ok(Made { program, share })
}
