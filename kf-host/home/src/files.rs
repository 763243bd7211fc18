//! Files that are either the old one or the new one.
//!
//! Everything kf keeps is written aside, flushed and renamed, so a crash or Ctrl-C at any moment leaves
//! what was there. Folders are kf's own (mode 0700): one that is a link, belongs to someone else or is open to
//! others could swap what was verified, and is refused.

use std::fs::File;
use std::io::{Read, Write};
use std::path::Path;

use kf_core::format;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Error, Result};

/// Makes `path` and its parents, and makes sure that `path` itself is ours alone.
pub fn private_dir(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(_) => {}
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            let mut builder = std::fs::DirBuilder::new();
            builder.recursive(true);
            #[cfg(unix)]
            std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
            builder.create(path).map_err(|e| Error::writing(path, e))?;
        }
        Err(e) => return Err(Error::writing(path, e)),
    }
    check_private(path)
}

/// Like [`private_dir`] for the topmost folder, which people may have put on another disk behind a link. What
/// the link leads to must be ours alone all the same.
pub fn private_root(path: &Path) -> Result<()> {
    match path.symlink_metadata() {
        Ok(meta) if meta.file_type().is_symlink() => check_own(path, &path.metadata()?),
        _ => private_dir(path),
    }
}

/// Refuses a folder that others could change. It must exist.
pub fn check_private(path: &Path) -> Result<()> {
    let meta = path.symlink_metadata()?;
    if meta.file_type().is_symlink() {
        return Err(Error::UnsafePath { path: path.to_owned(), reason: "it is a symbolic link" });
    }
    check_own(path, &meta)
}

fn check_own(path: &Path, meta: &std::fs::Metadata) -> Result<()> {
    let unsafe_path = |reason| Error::UnsafePath { path: path.to_owned(), reason };
    if !meta.is_dir() {
        return Err(unsafe_path("it is not a folder"));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt;
        if meta.uid() != rustix::process::geteuid().as_raw() {
            return Err(unsafe_path("it belongs to another user"));
        }
        if meta.mode() & 0o022 != 0 {
            return Err(unsafe_path("other users may write to it"));
        }
    }
    Ok(())
}

/// Writes `bytes` to `path` atomically and durably. The folder must exist.
///
/// With `private`, only the owner may read the file; otherwise everyone may.
pub fn write_atomic(path: &Path, bytes: &[u8], private: bool) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-");
    #[cfg(unix)]
    {
        let mode = if private { 0o600 } else { 0o644 };
        builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(mode));
    }
    #[cfg(not(unix))]
    let _ = private;
    let mut file = builder.tempfile_in(dir).map_err(|e| Error::writing(path, e))?;
    let io = |e| Error::writing(path, e);
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|e| Error::writing(path, e.error))?;
    // The rename itself lives in the folder. Some file systems cannot flush folders; that is not a failure.
    if let Ok(dir) = fs_err::File::open(dir) {
        let _ = dir.sync_all();
    }
    Ok(())
}

/// Writes a value as indented JSON, atomically, for the owner only.
pub fn write_json(path: &Path, value: &impl Serialize) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::invalid(format!("what was to be written to {}", path.display()), e))?;
    bytes.push(b'\n');
    write_atomic(path, &bytes, true)
}

/// Reads a regular file of at most `max` bytes, or `None` when there is none. Links are not followed.
pub fn read_own(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    let meta = match path.symlink_metadata() {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => {
            return Err(std::io::Error::new(e.kind(), format!("cannot read {}: {e}", path.display())).into());
        }
    };
    if !meta.is_file() {
        return Err(Error::UnsafePath { path: path.to_owned(), reason: "it is not a plain file" });
    }
    read_bounded(path, max)
}

/// Reads a file of at most `max` bytes, wherever it may be linked to, or `None` when there is none.
pub fn read_bounded(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    let file = match fs_err::File::open(path) {
        Ok(file) => file,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    let length = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(max)).unwrap_or_default());
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(Error::invalid(path.display().to_string(), format!("it is larger than {max} bytes")));
    }
    Ok(Some(bytes))
}

/// Sets a file's time of change to now.
pub fn touch(path: &Path) -> Result<()> {
    let now = std::time::SystemTime::now();
    fs_err::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|file| file.file().set_modified(now))
        .map_err(|e| Error::writing(path, e))
}

/// Reads a regular file of at most `max` bytes that carries `"format": supported`, or `None` when there
/// is none.
pub fn read_json<T: DeserializeOwned>(path: &Path, max: u64, supported: u64) -> Result<Option<T>> {
    let Some(bytes) = read_own(path, max)? else { return Ok(None) };
    Ok(Some(format::parse_json(&path.display().to_string(), &bytes, supported)?))
}

/// Opens (making it if need be) a file to lock. It is never removed: a lock on a removed file protects nothing.
pub fn open_lock(path: &Path) -> Result<File> {
    let mut options = File::options();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|e| Error::writing(path, e))
}
