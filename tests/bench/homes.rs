//! Copies of homes, and homes with many commands.

use std::io::{Error, Result};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Copies a home to a path where there is nothing.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    let copied = Command::new("cp").arg("-a").arg(from).arg(to).status()?.success();
    if copied { Ok(()) } else { Err(Error::other("cannot copy the home")) }
}

/// Leaves in a home only the command `kept`, and adds `others` copies of the commands in it under other names.
pub(crate) fn repeat_commands(home: &Path, kept: &str, others: usize) -> Result<()> {
    let receipts = home.join("data/receipts");
    let mut known: Vec<PathBuf> = fs_err::read_dir(&receipts)?
        .map(|entry| entry.map(|entry| entry.path()))
        .filter(|path| path.as_ref().map_or(true, |path| path.extension().is_some_and(|is| is == "json")))
        .collect::<Result<_>>()?;
    known.sort();
    for (number, original) in known.iter().cycle().take(others).enumerate() {
        let name = original.file_stem().unwrap_or_default().to_string_lossy();
        let other = format!("{name}-{number}");
        let named = |name: &str| format!("\"name\": \"{name}\"");
        let text = fs_err::read_to_string(original)?.replacen(&named(&name), &named(&other), 1);
        fs_err::write(receipts.join(format!("{other}.json")), text)?;
    }
    for original in known.iter().filter(|path| path.file_stem().is_none_or(|name| name != kept)) {
        fs_err::remove_file(original)?;
    }
    Ok(())
}
