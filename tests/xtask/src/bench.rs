//! Benchmarks: peers side by side, ratios printed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use clap::Args;
use kf_toolchains::locations::{target, workspace};

use crate::cluster::{Cluster, Profile};
use crate::setup::{self, Wanted};
use crate::step::{Doing, Failure, Result, cargo, programs, quietly, run, run_talking};
use crate::{plugins, say};

#[derive(Debug, Args)]
pub struct BenchArgs {
    /// Measure the build that the tests use; its figures say nothing about a release
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
        fs_err::remove_dir_all(&folder).doing("cannot clear the last benchmark")?;
    }
    fs_err::create_dir_all(&folder).doing("cannot make the benchmark's folder")?;
    let kf = Kf { program: installed(&programs.join("kf"), &folder)?, home: folder.join("home"), folder };
    kf.set_up()?;
    native_hello(&kf.folder)?;

    let build = if args.dev { "the dev profile: its figures say nothing about a release" } else { "release" };
    say::line(&format!("\nkf of {build}"));
    run(Command::new(programs.join("kf-bench-start")).arg(&kf.program).arg(&kf.folder))?;
    let cluster = Cluster::start(profile)?;
    let mut with_cluster = Command::new(programs.join("kf-bench-cluster"));
    let measured = run_talking(with_cluster.arg(&kf.program).arg(&kf.home).arg(cluster.folder()));
    cluster.stop()?;
    measured
}

/// A copy of a program in the folder. A linker writes a file in pieces, and the kernel maps such a file with more
/// page faults than one that was copied, as every installed program was.
fn installed(program: &Path, folder: &Path) -> Result<PathBuf> {
    let copy = folder.join(program.file_name().unwrap_or_default());
    fs_err::copy(program, &copy).doing("cannot copy a program that is to be measured")?;
    Ok(copy)
}

/// Builds for release; the folder of what was built.
fn release() -> Result<PathBuf> {
    say::line("· a release build takes about 10 minutes on two cores the first time");
    let programs = ["--bin", "kf", "--bin", "kf-bench-start", "--bin", "kf-bench-cluster"];
    // Symbols tell whose code there is, and are not loaded.
    let symbols = ["--config", "profile.release.strip=\"debuginfo\""];
    cargo(&[&["build", "--workspace", "--release"][..], &symbols, &programs].concat())?;
    Ok(crate::step::programs()?.with_file_name("release"))
}

/// What an ordinary program takes to say as much as `kf hello`: as cargo builds it, and static.
fn native_hello(folder: &Path) -> Result<()> {
    let source = folder.join("hello.rs");
    fs_err::write(&source, "fn main() { println!(\"hello world\"); }\n")
        .doing("cannot write the native program")?;
    let linked = folder.join("linked");
    fs_err::create_dir_all(&linked).doing("cannot make a folder for the native program")?;
    for (name, flags) in [("hello", &[][..]), ("hello-static", &["-C", "target-feature=+crt-static"])] {
        let program = linked.join(name);
        run(Command::new("rustc").arg("-O").args(flags).arg(&source).arg("-o").arg(&program))?;
        installed(&program, folder)?;
    }
    Ok(())
}

/// The measured kf, in a home of its own.
struct Kf {
    program: PathBuf,
    home: PathBuf,
    folder: PathBuf,
}

impl Kf {
    /// Signs a registry and adds the measured commands from it.
    fn set_up(&self) -> Result<()> {
        let index = workspace().join("registry-index").display().to_string();
        let artifacts = plugins::artifacts().display().to_string();
        let build = ["registry", "build", &index, "--artifacts", &artifacts, "--out", "published"];
        let keys = ["--keys", "keys", "--create-keys"];
        quietly("signing a registry", self.command().args(build).args(keys))?;
        let url = format!("file://{}", self.folder.join("published").display());
        let add = ["registry", "add", "kubeflow", &url, "--root", "published/metadata/1.root.json"];
        quietly("adding the registry", self.command().args(add))?;
        COMMANDS.iter().try_for_each(|name| self.add(name))
    }

    /// Adds a command; a refusal names the words that accept its rights.
    fn add(&self, name: &str) -> Result<()> {
        let label = format!("adding {name}");
        let mut first = self.command();
        let answer = first.args(["command", "add", name]).stdin(Stdio::null()).output().doing(&label)?;
        if answer.status.success() {
            return Ok(());
        }
        let told = String::from_utf8_lossy(&answer.stderr);
        let words = told.lines().find_map(|line| line.strip_prefix("hint: kf "));
        let words = words.ok_or_else(|| Failure(format!("{label}: {told}")))?;
        quietly(&label, self.command().args(words.split(' ')))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(&self.folder).env("KF_HOME", &self.home);
        command
    }
}
