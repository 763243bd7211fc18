//! Reads and writes files; writes are atomic.
//!
//! Files are written to a temporary file, flushed and renamed, so a crash or Ctrl-C leaves either the old or
//! the new file. Whether a file can be trusted is decided in [`trusted`](crate::trusted).

use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::trusted::Unsafe;

/// Flags to open regular files with. `NONBLOCK`, because opening a named pipe would wait for its other end.
pub(crate) const REGULAR_FILE: OFlags =
    OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

/// Creates a directory and its parents, accessible only to the user.
pub(crate) fn make_directories(path: &Path) -> Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(path).map_err(|e| Error::writing(path, e))
}

/// Writes `bytes` to `path` atomically and durably. The folder must exist.
///
/// With `private`, only the owner can read the file; otherwise everyone can.
pub fn write_atomic(path: &Path, bytes: &[u8], private: bool) -> Result<()> {
    let dir = path.parent().unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    builder.prefix(".tmp-");
    builder.permissions(PermissionsExt::from_mode(if private { 0o600 } else { 0o644 }));
    let mut file = builder.tempfile_in(dir).map_err(|e| Error::writing(path, e))?;
    let io = |e| Error::writing(path, e);
    file.write_all(bytes).map_err(io)?;
    file.as_file().sync_all().map_err(io)?;
    file.persist(path).map_err(|e| Error::writing(path, e.error))?;
    // Flush the folder for the rename. Some file systems do not support this, which is not an error.
    if let Ok(dir) = fs_err::File::open(dir) {
        let _ = dir.sync_all();
    }
    Ok(())
}

/// Indented JSON.
pub(crate) fn to_json(path: &Path, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::invalid(format!("the data for {}", path.display()), e))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Reads a regular file of at most `max` bytes, or `None` if it does not exist. A link is refused, but the file
/// may have been written by any user and must not be trusted. For trusted files see [`trusted`](crate::trusted).
pub fn read_regular_file(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    match open(path, OFlags::RDONLY | REGULAR_FILE, Mode::empty()) {
        Ok(file) => read_regular(file.into(), path, max).map(Some),
        Err(errno) => not_regular(errno, path),
    }
}

fn read_regular(file: File, path: &Path, max: u64) -> Result<Vec<u8>> {
    if !file.metadata()?.is_file() {
        return Err(Error::UnsafePath { path: path.to_owned(), reason: Unsafe::NotAFile });
    }
    read_to_end(file, path, max)
}

/// `None` if the file does not exist, or why it cannot be opened.
fn not_regular(errno: Errno, path: &Path) -> Result<Option<Vec<u8>>> {
    match errno {
        Errno::NOENT => Ok(None),
        Errno::LOOP | Errno::NXIO | Errno::ISDIR => {
            Err(Error::UnsafePath { path: path.to_owned(), reason: Unsafe::NotAFile })
        }
        errno => Err(Error::reading(path, errno)),
    }
}

/// The same for a path below `folder`. Links below it are refused, too.
pub fn read_below(folder: &Path, below: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    const DIRECTORY: OFlags =
        OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
    let path = folder.join(below);
    let refuse = |reason| Error::UnsafePath { path: path.clone(), reason };
    let (Some(parent), Some(name)) = (below.parent(), below.file_name()) else {
        return Err(refuse(Unsafe::NotAFile));
    };
    let mut open_folder =
        match open(folder, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(open) => open,
            Err(Errno::NOENT) => return Ok(None),
            Err(errno) => return Err(Error::reading(folder, errno)),
        };
    for component in parent.components() {
        let Component::Normal(name) = component else { return Err(refuse(Unsafe::NotADirectory)) };
        open_folder = match openat(&open_folder, name, DIRECTORY, Mode::empty()) {
            Ok(open) => open,
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NOTDIR) => return Err(refuse(Unsafe::NotADirectory)),
            Err(errno) => return Err(Error::reading(&path, errno)),
        };
    }
    match openat(&open_folder, name, OFlags::RDONLY | REGULAR_FILE, Mode::empty()) {
        Ok(file) => read_regular(file.into(), &path, max).map(Some),
        Err(errno) => not_regular(errno, &path),
    }
}

/// Reads a file of at most `max` bytes, following links, or `None` if it does not exist.
pub fn read_bounded(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    let file = match fs_err::File::open(path) {
        Ok(file) => file.into_file(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.into()),
    };
    read_to_end(file, path, max).map(Some)
}

/// The content of an open file of at most `max` bytes. `path` is for errors.
pub(crate) fn read_to_end(file: File, path: &Path, max: u64) -> Result<Vec<u8>> {
    let length = file.metadata()?.len();
    let mut bytes = Vec::with_capacity(usize::try_from(length.min(max)).unwrap_or_default());
    file.take(max.saturating_add(1)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > max {
        return Err(Error::invalid(path.display().to_string(), format!("it is larger than {max} bytes")));
    }
    Ok(bytes)
}

/// Sets a file's modification time to now.
pub fn touch(path: &Path) -> Result<()> {
    let now = std::time::SystemTime::now();
    fs_err::OpenOptions::new()
        .append(true)
        .open(path)
        .and_then(|file| file.file().set_modified(now))
        .map_err(|e| Error::writing(path, e))
}
