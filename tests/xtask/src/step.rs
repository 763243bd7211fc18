//! Programs that are run to their end.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_toolchains::{command, locations};

use crate::say;

/// Why a task did not end well, for the last line.
#[derive(Debug)]
pub struct Failure(pub String);

impl Failure {
    /// Whoever failed has said why.
    pub fn said() -> Self {
        Self(String::new())
    }
}

pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Says what was being done.
pub trait Doing<T> {
    fn doing(self, what: &str) -> Result<T>;
}

impl<T, E: Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, what: &str) -> Result<T> {
        self.map_err(|error| Failure(format!("{what}: {error}")))
    }
}

/// The folder of programs built for the tests and the demo. xtask lies beside it, in its profile's.
pub fn programs() -> Result<PathBuf> {
    let own = std::env::current_exe().doing("cannot find the folder of built programs")?;
    let profiles = own.ancestors().nth(2).map(Path::to_owned);
    profiles.map(|profiles| profiles.join("debug")).ok_or_else(|| Failure("xtask has no folder".to_owned()))
}

/// Runs a program whose output a person should see.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().doing(&shown(command))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`{}` failed: {status}", shown(command)))) }
}

/// Runs a program that says itself why it fails.
pub fn run_talking(command: &mut Command) -> Result<()> {
    run(command).map_err(|_| Failure::said())
}

/// Runs cargo in the workspace.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    run(&mut cargo_command(arguments))
}

/// Runs a program whose output matters only if it fails: it goes to a log, and from there into the
/// failure.
pub fn quietly(label: &str, command: &mut Command) -> Result<()> {
    let log = locations::log(label);
    say::during(label, Some(&log), || command::logged(command, &log)).map(drop).doing(label)
}

/// A cargo that works in the workspace.
pub fn cargo_command(arguments: &[&str]) -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(locations::workspace()).args(arguments);
    cargo
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
