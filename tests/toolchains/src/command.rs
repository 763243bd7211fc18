//! Runs programs of this machine.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::{Error, Result};

const MAX_OUTPUT_BYTES: usize = 4000;

/// Runs `command` and returns its stdout. If it fails, the error has the end of its output.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_run(command, &error))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(failed(command, output.status, last_part(&format!("{stdout}{stderr}")).to_owned()))
}

/// Runs a long `command` and returns its stdout. Its stderr goes to the file `log`. If it fails, the
/// error has the end of the log and its path.
pub fn logged(command: &mut Command, log: &Path) -> Result<String> {
    if let Some(directory) = log.parent() {
        fs_err::create_dir_all(directory)?;
    }
    let file = fs_err::File::create(log)?.into_parts().0;
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(file).spawn();
    let output =
        child.and_then(std::process::Child::wait_with_output).map_err(|error| not_run(command, &error))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let text = String::from_utf8_lossy(&fs_err::read(log)?).into_owned();
    let output_end = format!("{}\nhint: the whole log is {}", last_part(&text), log.display());
    Err(failed(command, output.status, output_end))
}

/// The path of `name` on PATH or in the system's directories.
#[must_use]
pub fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// The path of a required program.
pub fn need(program: &'static str, purpose: &'static str, remedy: &'static str) -> Result<PathBuf> {
    find(program).ok_or(Error::ProgramMissing { program, purpose, remedy })
}

/// The end of a long text, cut at a line.
#[must_use]
pub fn last_part(text: &str) -> &str {
    let text = text.trim_end();
    let cut = text.len().saturating_sub(MAX_OUTPUT_BYTES);
    match text.as_bytes().get(cut..) {
        Some(tail) if cut > 0 => {
            let line = tail.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| cut + at + 1);
            text.get(line..).unwrap_or_default()
        }
        _ => text,
    }
}

fn not_run(command: &Command, error: &std::io::Error) -> Error {
    std::io::Error::new(error.kind(), format!("{}: {error}", describe(command))).into()
}

fn failed(command: &Command, status: ExitStatus, output: String) -> Error {
    Error::CommandFailed { command: describe(command), status: status.to_string(), output }
}

fn describe(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let mut line = words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ");
    if line.len() > 200 {
        let end = (0..=200).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_shows_end_and_path_of_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("new/step.log");
        let error = logged(Command::new("sh").args(["-c", "echo to stderr >&2; exit 3"]), &log).unwrap_err();
        let message = error.to_string();
        assert!(message.contains("to stderr\n"), "{message}");
        assert!(message.contains("exit status: 3"), "{message}");
        assert!(message.contains(&log.display().to_string()), "{message}");
    }

    #[test]
    fn long_text_is_cut_at_line() {
        let text = "a line of text\n".repeat(1000);
        let end = last_part(&text);
        assert!(end.len() <= MAX_OUTPUT_BYTES && end.starts_with("a line"), "{end}");
        assert_eq!(last_part("short\n"), "short");
    }
}
