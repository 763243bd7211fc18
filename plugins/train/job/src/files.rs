//! The files of a directory that are code.

use kf_plugin_sdk::{DirectoryArg, Error, FileEntry, Kf, Result};

/// Names that are rarely code and often large or secret, such as `.git`, `.venv` and `.env`.
const SKIPPED: [&str; 6] = [".*", "__pycache__", "*.pyc", "node_modules", "venv", "*.egg-info"];

/// How many of the skipped names are shown.
const MAX_SHOWN: usize = 5;

/// All code files, sorted by path; at least one. In a terminal the skipped names are printed.
pub fn list(kf: &Kf, directory: &DirectoryArg) -> Result<Vec<FileEntry>> {
    let tree = directory.walk(kf, &SKIPPED)?;
    if kf.context().interactive && !tree.left_out.is_empty() {
        kf.note(format!("skipped in {directory}: {}", some_of(tree.left_out)));
    }
    if tree.files.is_empty() {
        return Err(Error::invalid(format!("no code in {directory}; hidden files are skipped")));
    }
    Ok(tree.files)
}

/// Such as `3 files from src (2 KiB)`.
pub fn summary(directory: &DirectoryArg, files: usize, bytes: u64) -> String {
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    format!("{files} from {directory} ({})", size(bytes))
}

/// Such as `2 KiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn some_of(mut names: Vec<String>) -> String {
    names.sort();
    let more = names.len().saturating_sub(MAX_SHOWN);
    names.truncate(MAX_SHOWN);
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}
