//! A cache of expensive results: built programs, unpacked packages, images.
//!
//! An entry is a directory named after its kind and a digest of everything it is made from. It
//! is created under a temporary name and renamed, so an entry that exists is complete. A lock keeps
//! two runs from creating the same entry.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use fs_err as fs;
use sha2::{Digest, Sha256};

use crate::{Error, Progress, Result, locations};

/// The digest of everything an entry is made from.
pub struct Key(Sha256);

impl Key {
    /// An empty key.
    #[must_use]
    pub fn new() -> Self {
        Self(Sha256::new())
    }

    /// Adds a value and its length, so that adjacent values cannot be confused.
    #[must_use]
    pub fn with(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.0.update(value.len().to_le_bytes());
        self.0.update(value);
        self
    }

    /// Adds the content of a file.
    pub fn with_file(self, path: &Path) -> Result<Self> {
        Ok(self.with(fs::read(path)?))
    }

    fn short(self) -> String {
        hexadecimal(&self.0.finalize()).chars().take(16).collect()
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

/// The SHA-256 of `bytes` in lower-case hexadecimal digits.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether the entry `kind` for `key` exists.
pub fn has(kind: &str, key: Key) -> bool {
    path_of(kind, key).is_dir()
}

/// The directory of the entry `kind` for `key`. `fill` creates its content if it does not exist.
pub fn entry<E: From<Error>>(
    kind: &str,
    key: Key,
    progress: Progress,
    fill: impl FnOnce(&Path) -> Result<(), E>,
) -> Result<PathBuf, E> {
    let path = path_of(kind, key);
    if path.is_dir() {
        return Ok(path);
    }
    let _lock = lock(&path, kind, progress)?;
    if path.is_dir() {
        return Ok(path);
    }
    let partial = path.with_extension("partial");
    prepare(&partial)?;
    fill(&partial)?;
    fs::rename(&partial, &path).map_err(Error::from)?;
    Ok(path)
}

fn path_of(kind: &str, key: Key) -> PathBuf {
    locations::cache().join(format!("{kind}-{}", key.short()))
}

/// Keeps other runs from creating the same entry while the file is open.
fn lock(entry: &Path, kind: &str, progress: Progress) -> Result<fs::File> {
    fs::create_dir_all(locations::cache())?;
    let lock = fs::File::create(entry.with_extension("lock"))?;
    match lock.file().try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress(&format!("waiting for another run to build {kind}"));
            lock.file().lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    Ok(lock)
}

/// Creates an empty directory, and removes the remains of an interrupted run.
fn prepare(partial: &Path) -> Result<()> {
    if partial.exists() {
        fs::remove_dir_all(partial)?;
    }
    Ok(fs::create_dir_all(partial)?)
}
