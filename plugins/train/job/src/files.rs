//! The files of a directory that are code.

use kf_plugin_sdk::{DirectoryArg, Error, FileEntry, Kf, Result};

/// What is rarely code and often large, or secret: `.git`, `.venv`, `.env`.
const LEFT_OUT: [&str; 6] = [".*", "__pycache__", "*.pyc", "node_modules", "venv", "*.egg-info"];

/// So many names of what was left out are shown.
const SHOWN: usize = 5;

/// All of them, sorted by path; at least one. A person is told what is left out.
pub fn list(kf: &Kf, directory: &DirectoryArg) -> Result<Vec<FileEntry>> {
    let tree = directory.walk(kf, &LEFT_OUT)?;
    if kf.context().interactive && !tree.left_out.is_empty() {
        kf.note(format!("left out of {directory}: {}", some_of(tree.left_out)));
    }
    if tree.files.is_empty() {
        return Err(Error::invalid(format!("{directory} holds no code; hidden files are left out")));
    }
    Ok(tree.files)
}

/// As `3 files of src (2 KiB)`.
pub fn summary(directory: &DirectoryArg, files: usize, bytes: u64) -> String {
    let files = if files == 1 { "1 file".to_owned() } else { format!("{files} files") };
    format!("{files} of {directory} ({})", size(bytes))
}

/// As `2 KiB`.
pub fn size(bytes: u64) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{} KiB", bytes.div_ceil(1024)),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}

fn some_of(mut names: Vec<String>) -> String {
    names.sort();
    let more = names.len().saturating_sub(SHOWN);
    names.truncate(SHOWN);
    let names = names.join(", ");
    if more == 0 { names } else { format!("{names} and {more} more") }
}
