//! Programs of the machine, run to their end.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::error::{ClusterError, Result};

const KEPT_OUTPUT: usize = 4000;

/// Runs `command` and returns what it wrote to stdout; anything but success is an error that
/// carries the end of its output.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| std::io::Error::new(error.kind(), format!("{}: {error}", describe(command))))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    Err(ClusterError::CommandFailed {
        command: describe(command),
        status: output.status.to_string(),
        output: last_part(&format!("{stdout}{stderr}")).to_owned(),
    })
}

/// The path of `name` on PATH or in the system's own directories.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin", "/sbin", "/usr/bin", "/bin"].map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

/// The end of a long text, cut at a line.
pub(crate) fn last_part(text: &str) -> &str {
    let text = text.trim_end();
    let cut = text.len().saturating_sub(KEPT_OUTPUT);
    match text.as_bytes().get(cut..) {
        Some(tail) if cut > 0 => {
            let line = tail.iter().position(|byte| *byte == b'\n').map_or(text.len(), |at| cut + at + 1);
            text.get(line..).unwrap_or_default()
        }
        _ => text,
    }
}

fn describe(command: &Command) -> String {
    let mut words = vec![command.get_program().to_string_lossy().into_owned()];
    words.extend(command.get_args().map(|word| word.to_string_lossy().into_owned()));
    let mut line = words.join(" ");
    if line.len() > 200 {
        let end = (0..=200).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
        line.truncate(end);
        line.push('…');
    }
    line
}
