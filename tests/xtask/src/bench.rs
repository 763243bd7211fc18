//! Benchmarks of kf next to other programs, with ratios.

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use kf_toolchains::locations::target;

use crate::cluster::{Cluster, Profile};
use crate::plugins;
use crate::published::Kf;
use crate::setup::{self, Wanted};
use crate::step::{Context, Result, cargo, programs, run, run_reporting};
use crate::{release as released, report};

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Measure the test build, which is not representative of a release
    #[arg(long)]
    dev: bool,
}

const COMMANDS: [&str; 5] = ["hello", "status", "logs", "run", "notebook"];

pub fn run_all(args: &BenchArgs) -> Result<()> {
    let profile = Profile::best();
    setup::prepare(Wanted::Commands, profile)?;
    let programs = if args.dev { programs()? } else { release()? };
    let folder = target().join("bench");
    if folder.exists() {
        fs_err::remove_dir_all(&folder).context("cannot clear the last benchmark")?;
    }
    fs_err::create_dir_all(&folder).context("cannot create the benchmark's folder")?;
    let kf = Kf {
        program: installed(&programs.join("kf"), &folder)?,
        home: folder.join("home"),
        artifacts: plugins::artifacts(),
        folder,
    };
    kf.set_up(Path::new("keys"), &COMMANDS)?;
    native_hello(&kf.folder)?;

    let build =
        if args.dev { "the dev profile, which is not representative of a release" } else { "release" };
    report::line(&format!("\nkf of {build}"));
    run(Command::new(programs.join("kf-bench-start")).arg(&kf.program).arg(&kf.folder))?;
    let cluster = Cluster::start(profile)?;
    let mut with_cluster = Command::new(programs.join("kf-bench-cluster"));
    with_cluster.arg(&kf.program).arg(&kf.home).arg(cluster.folder());
    match released::for_this_machine() {
        Some(release) => with_cluster.args(release),
        None => {
            report::step(
                "skipped (no release): from the file to the first useful output; hint: cargo xtask release",
            );
            &mut with_cluster
        }
    };
    let measured = run_reporting(&mut with_cluster);
    cluster.stop()?;
    measured
}

/// Copies a program into the folder, as an installation does. The kernel maps a file that a linker wrote in pieces with
/// more page faults.
fn installed(program: &Path, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join(program.file_name().unwrap_or_default());
    fs_err::copy(program, &copy).context("cannot copy a program that is to be measured")?;
    Ok(copy)
}

/// Builds for release, and returns the folder of the programs.
fn release() -> Result<PathBuf> {
    report::line("· a release build takes about 10 minutes on two cores the first time");
    let programs = ["--bin", "kf", "--bin", "kf-bench-start", "--bin", "kf-bench-cluster"];
    // Symbols are needed for the sizes of crates, and are not loaded.
    let symbols = ["--config", "profile.release.strip=\"debuginfo\""];
    cargo(&[&["build", "--workspace", "--release"][..], &symbols, &programs].concat())?;
    Ok(crate::step::programs()?.with_file_name("release"))
}

/// Builds a native program that prints the same as `kf hello`: as cargo builds it, and static.
fn native_hello(folder: &Path) -> Result<()> {
    let source = folder.join("hello.rs");
    fs_err::write(&source, "fn main() { println!(\"hello world\"); }\n")
        .context("cannot write the native program")?;
    let linked = folder.join("linked");
    fs_err::create_dir_all(&linked).context("cannot create a folder for the native program")?;
    for (name, flags) in [("hello", &[][..]), ("hello-static", &["-C", "target-feature=+crt-static"])] {
        let program = linked.join(name);
        run(Command::new("rustc").arg("-O").args(flags).arg(&source).arg("-o").arg(&program))?;
        installed(&program, folder)?;
    }
    Ok(())
}
