//! Programs that are run to their end.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use crate::say;

/// Why a task did not end well, for the last line.
#[derive(Debug)]
pub struct Failure(pub String);

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

/// The workspace's folder.
pub fn workspace() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    own.ancestors().nth(2).unwrap_or(own).to_owned()
}

/// Where cargo puts what it builds.
pub fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The folder of programs built for the tests and the demo, beside xtask itself.
pub fn programs() -> Result<PathBuf> {
    let own = std::env::current_exe().doing("cannot find the folder of built programs")?;
    own.parent().map(Path::to_owned).ok_or_else(|| Failure("xtask has no folder".to_owned()))
}

/// Runs a program whose output a person should see.
pub fn run(command: &mut Command) -> Result<()> {
    let status = command.stdin(Stdio::null()).status().doing(&shown(command))?;
    if status.success() { Ok(()) } else { Err(Failure(format!("`{}` failed: {status}", shown(command)))) }
}

/// Runs cargo in the workspace.
pub fn cargo(arguments: &[&str]) -> Result<()> {
    run(Command::new(env!("CARGO")).args(arguments).current_dir(workspace()))
}

/// Runs a program whose output matters only if it fails; it is kept in a log.
pub fn quietly(label: &str, command: &mut Command) -> Result<()> {
    let logs = target().join("xtask");
    std::fs::create_dir_all(&logs).doing("cannot make the folder for logs")?;
    let path = logs.join(format!("{}.log", label.replace(' ', "-")));
    let log = std::fs::File::create(&path).doing("cannot write a log")?;
    let same = log.try_clone().doing("cannot write a log")?;
    let started = Instant::now();
    say::line(&format!("· {label} …"));
    let status = command.stdin(Stdio::null()).stdout(log).stderr(same).status().doing(&shown(command))?;
    if status.success() {
        say::line(&format!("· {label}: done in {} s", started.elapsed().as_secs()));
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    for line in lines.iter().skip(lines.len().saturating_sub(60)) {
        say::line(line);
    }
    Err(Failure(format!("{label} failed ({status}); all of it is in {}", path.display())))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ")
}
