//! Runs programs.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_toolchains::{command, locations};

use crate::report;

/// Why a task failed, for the last line.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// A failure whose reason was printed already.
    pub fn reported() -> Self {
        Self(String::new())
    }
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Adds what was being done to an error.
pub trait Context<T> {
    fn context(self, what: &str) -> Result<T>;
}

impl<T, E: Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: &str) -> Result<T> {
        self.map_err(|error| Failure(format!("{what}: {error}")))
    }
}

/// The folder of programs for the tests and the demo. The folder of xtask's own profile is next to it.
pub fn programs() -> Result<PathBuf> {
    let own = std::env::current_exe().context("cannot find the folder of built programs")?;
    let profiles = own.ancestors().nth(2).map(Path::to_owned);
    profiles
        .map(|profiles| profiles.join("debug"))
        .ok_or_else(|| Failure("cannot find the folder of xtask".to_owned()))
}

/// Runs a program and shows its output.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().context(&shown(command))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`{}` failed: {status}", shown(command)))) }
}

/// Runs a program that reports its own errors.
pub fn run_reporting(command: &mut Command) -> Result<()> {
    run(command).map_err(|_| Failure::reported())
}

/// Runs cargo in the workspace.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    run(&mut cargo_command(arguments))
}

/// Runs a program whose output goes to a log, and into the error if it fails.
pub fn quietly(label: &str, command: &mut Command) -> Result<()> {
    let log = locations::log(label);
    report::during(label, Some(&log), || command::logged(command, &log)).map(drop).context(label)
}

/// A cargo command in the workspace.
pub fn cargo_command(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(locations::workspace()).args(arguments);
    cargo
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
