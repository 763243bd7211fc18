//! A cache of things that are expensive to make: built programs, unpacked packages, images.
//!
//! An entry is a directory named after its kind and a digest of everything it is made from. It
//! is made beside its place and renamed into it, so an entry that exists is complete, and a lock
//! keeps two runs from making the same one twice.

use std::fs::TryLockError;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest;
use fs_err as fs;

use super::error::Result;
use super::locations;
use super::progress::Progress;

/// The digest of everything an entry is made from.
pub struct Key(digest::Context);

impl Key {
    /// A key of nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self(digest::Context::new(&digest::SHA256))
    }

    /// Adds a value; its length counts too, so neighbours cannot run into each other.
    #[must_use]
    pub fn with(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.0.update(&value.len().to_le_bytes());
        self.0.update(value);
        self
    }

    /// Adds the content of a file.
    pub fn with_file(self, path: &Path) -> Result<Self> {
        Ok(self.with(fs::read(path)?))
    }

    fn short(self) -> String {
        hexadecimal(self.0.finish().as_ref()).chars().take(16).collect()
    }
}

impl Default for Key {
    fn default() -> Self {
        Self::new()
    }
}

/// Lower-case hexadecimal digits of `bytes`.
pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The directory of the entry `kind` for `key`, made by `fill` when it is not there yet.
pub fn entry(
    kind: &str,
    key: Key,
    progress: Progress,
    fill: impl FnOnce(&Path) -> Result<()>,
) -> Result<PathBuf> {
    let root = locations::cache();
    let name = format!("{kind}-{}", key.short());
    let path = root.join(&name);
    if path.is_dir() {
        return Ok(path);
    }
    fs::create_dir_all(&root)?;
    let lock = fs::File::create(root.join(format!("{name}.lock")))?;
    match lock.file().try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            progress(&format!("waiting for another run that is making {kind}"));
            lock.file().lock()?;
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    if path.is_dir() {
        return Ok(path);
    }
    let partial = root.join(format!("{name}.partial"));
    if partial.exists() {
        fs::remove_dir_all(&partial)?;
    }
    fs::create_dir_all(&partial)?;
    fill(&partial)?;
    fs::rename(&partial, &path)?;
    Ok(path)
}
