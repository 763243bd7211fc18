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

    /// Measure only registries of many plugins
    #[arg(long)]
    registry: bool,
}

const PROGRAMS: [&str; 8] =
    ["--bin", "kf", "--bin", "kf-bench-start", "--bin", "kf-bench-registry", "--bin", "kf-bench-cluster"];

/// How often each action with a registry is measured. With the dev profile only the bytes count.
const ROUNDS: &str = "5";
const DEV_ROUNDS: &str = "1";

const COMMANDS: [&str; 5] = ["hello", "status", "logs", "run", "notebook"];

pub fn run_all(args: &BenchArgs) -> Result<()> {
    if args.registry {
        return run_registry(args);
    }
    let profile = Profile::best();
    setup::prepare(Wanted::Commands, profile)?;
    let programs = if args.dev { programs()? } else { release(&PROGRAMS)? };
    let folder = cleared()?;
    let kf = Kf {
        program: installed(&programs.join("kf"), &folder)?,
        home: folder.join("home"),
        artifacts: plugins::artifacts(),
        folder,
    };
    kf.set_up(Path::new("keys"), &COMMANDS)?;
    native_hello(&kf.folder)?;

    report_build(args);
    run(Command::new(programs.join("kf-bench-start")).arg(&kf.program).arg(&kf.folder))?;
    registry(&programs, &kf.program, &kf.folder, args.dev)?;
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

/// Measures registries alone, for which only kf and `hello` are built.
fn run_registry(args: &BenchArgs) -> Result<()> {
    let build = ["--bin", "kf", "--bin", "kf-bench-registry"];
    let programs = if args.dev {
        cargo(&[&["build", "--workspace"][..], &build].concat())?;
        programs()?
    } else {
        release(&build)?
    };
    plugins::build_with(&plugins::toolchain()?, &["hello".to_owned()])?;
    let folder = cleared()?;
    let kf = installed(&programs.join("kf"), &folder)?;
    report_build(args);
    registry(&programs, &kf, &folder, args.dev)
}

fn registry(programs: &Path, kf: &Path, folder: &Path, is_dev: bool) -> Result<()> {
    let mut bench = Command::new(programs.join("kf-bench-registry"));
    let rounds = if is_dev { DEV_ROUNDS } else { ROUNDS };
    run(bench.arg(kf).arg(plugins::artifacts()).arg(folder).arg(rounds))
}

/// The folder of the benchmarks, empty.
fn cleared() -> Result<PathBuf> {
    let folder = target().join("bench");
    if folder.exists() {
        fs_err::remove_dir_all(&folder).context("cannot clear the last benchmark")?;
    }
    fs_err::create_dir_all(&folder).context("cannot create the benchmark's folder")?;
    Ok(folder)
}

fn report_build(args: &BenchArgs) {
    let build =
        if args.dev { "the dev profile, which is not representative of a release" } else { "release" };
    report::line(&format!("\nkf of {build}"));
}

/// Copies a program into the folder, as an installation does. The kernel maps a file that a linker wrote in pieces with
/// more page faults.
fn installed(program: &Path, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join(program.file_name().unwrap_or_default());
    fs_err::copy(program, &copy).context("cannot copy a program that is to be measured")?;
    Ok(copy)
}

/// Builds for release, and returns the folder of the programs.
fn release(programs: &[&str]) -> Result<PathBuf> {
    report::line("· a release build takes about 10 minutes on two cores the first time");
    // Symbols are needed for the sizes of crates, and are not loaded.
    let symbols = ["--config", "profile.release.strip=\"debuginfo\""];
    cargo(&[&["build", "--workspace", "--release"][..], &symbols, programs].concat())?;
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
