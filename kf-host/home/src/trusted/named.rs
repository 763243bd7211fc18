//! Files that the user named, at any path.

use std::fs::File;
use std::path::Path;

use rustix::fs::{CWD, OFlags};
use rustix::io::Errno;
use std::os::fd::AsFd as _;

use super::ancestors::{LastComponent, resolve};
use super::own::{Refused, open_directory, open_file};
use super::rules::{Privacy, Trust, Unsafe};
use crate::error::{Error, Result};
use crate::files;

/// Reads a file of at most `max` bytes that only the user or root can have written, following links; `None` if it does
/// not exist.
pub fn read_named(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    read(path, max, LastComponent::FollowLink, Privacy::Readable)
}

/// The same for a file that is not a link.
pub fn read_unlinked(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    read(path, max, LastComponent::Unresolved, Privacy::Readable)
}

/// The same for a file that other users cannot read either, and that is not a link.
pub fn read_private(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    read(path, max, LastComponent::Unresolved, Privacy::Private)
}

fn read(path: &Path, max: u64, last: LastComponent, privacy: Privacy) -> Result<Option<Vec<u8>>> {
    match open(path, OFlags::RDONLY, last, privacy)? {
        None => Ok(None),
        Some(Ok(file)) => Ok(Some(files::read_to_end(file, path, max)?)),
        Some(Err(Errno::NOENT | Errno::NOTDIR)) => Ok(None),
        Some(Err(errno)) => Err(Error::reading(path, errno)),
    }
}

/// Opens a private file for appending, and creates it if needed. A link is refused.
pub fn append_to(path: &Path) -> Result<File> {
    let access = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE;
    match open(path, access, LastComponent::Unresolved, Privacy::Private)? {
        Some(Ok(file)) => Ok(file),
        Some(Err(errno)) => Err(Error::writing(path, errno.into())),
        None => Err(Error::writing(path, Errno::NOENT.into())),
    }
}

/// Refuses a file that another user could have written. A file that cannot be opened is not refused.
pub fn check_file(path: &Path) -> Result<()> {
    open(path, OFlags::RDONLY, LastComponent::FollowLink, Privacy::Readable).map(drop)
}

/// The same, and refuses a file that other users can read.
pub fn check_private_file(path: &Path) -> Result<()> {
    open(path, OFlags::RDONLY, LastComponent::FollowLink, Privacy::Private).map(drop)
}

/// Refuses a directory that other users can change. It must exist.
pub fn check_directory(path: &Path) -> Result<()> {
    match open_directory(path, Trust::of_this_process())? {
        Some(_) => Ok(()),
        None => Err(Error::reading(path, Errno::NOENT)),
    }
}

fn open(
    path: &Path,
    access: OFlags,
    last: LastComponent,
    privacy: Privacy,
) -> Result<Option<Result<File, Errno>>> {
    let trust = Trust::of_this_process();
    if path.file_name().is_none() {
        return Err(Error::UnsafePath { path: path.to_owned(), reason: Unsafe::NotAFile });
    }
    let Some(resolved) = resolve(path, trust, last)? else { return Ok(None) };
    match open_file(CWD.as_fd(), &resolved, access, trust, privacy) {
        Ok(file) => Ok(Some(Ok(file))),
        Err(Refused::Errno(errno)) => Ok(Some(Err(errno))),
        Err(Refused::Unsafe(reason)) => Err(Error::UnsafePath { path: path.to_owned(), reason }),
    }
}
