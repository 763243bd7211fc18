//! Checks of owners and modes.

use std::os::fd::BorrowedFd;
use std::path::Path;

use rustix::fs::{FileType, Mode, Stat, fgetxattr, lgetxattr};
use rustix::io::Errno;

use super::groups;

const WRITABLE_BY_GROUP: u32 = Mode::WGRP.bits();
const WRITABLE_BY_OTHERS: u32 = Mode::WOTH.bits();
const STICKY: u32 = Mode::SVTX.bits();
const PERMISSIONS: u32 = 0o7777;

/// Why a file or a directory is not trusted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unsafe {
    #[error("it is a symbolic link")]
    Link,
    #[error("it is reached through too many symbolic links")]
    TooManyLinks,
    #[error("it is not a directory")]
    NotADirectory,
    #[error("it is not a regular file")]
    NotAFile,
    #[error("it belongs to another user (uid {0})")]
    Owner(u32),
    #[error("other users can write to it (mode {0:04o})")]
    Writable(u32),
    #[error("other users can read it (mode {0:04o})")]
    Readable(u32),
}

/// The file that a status belongs to.
#[derive(Clone, Copy, Debug)]
pub(super) enum Place<'a> {
    Open(BorrowedFd<'a>),
    /// A path that no other user can change meanwhile.
    Path(&'a Path),
}

impl Place<'_> {
    /// Whether the file may have an access control list. The group's mode is then only the upper limit of its entries.
    fn has_access_list(self) -> bool {
        const NAME: &str = "system.posix_acl_access";
        let nothing: &mut [u8] = &mut [];
        let found = match self {
            Self::Open(fd) => fgetxattr(fd, NAME, nothing),
            Self::Path(path) => lgetxattr(path, NAME, nothing),
        };
        !matches!(found, Err(Errno::NODATA | Errno::NOTSUP))
    }
}

/// Whether other users may be able to read a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Privacy {
    /// Other users may read it.
    Readable,
    /// Only its owner may read it.
    Private,
}

/// A directory above kf's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ancestor {
    /// Only the user and root can change its entries.
    Closed,
    /// All users can create entries, but not change those of others (`/tmp`).
    Sticky,
}

/// The users that kf trusts: its own, and root.
#[derive(Clone, Copy, Debug)]
pub(super) struct Trust {
    user: u32,
}

impl Trust {
    pub(super) fn of_this_process() -> Self {
        Self { user: rustix::process::geteuid().as_raw() }
    }

    /// Checks one of kf's own directories.
    pub(super) fn check_directory(self, stat: &Stat, place: Place<'_>) -> Result<(), Unsafe> {
        if kind(stat) != FileType::Directory {
            return Err(Unsafe::NotADirectory);
        }
        self.check_owner(stat)?;
        self.check_not_writable(stat, place)
    }

    /// Checks a file.
    pub(super) fn check_file(self, stat: &Stat, place: Place<'_>, privacy: Privacy) -> Result<(), Unsafe> {
        if kind(stat) != FileType::RegularFile {
            return Err(Unsafe::NotAFile);
        }
        self.check_owner(stat)?;
        self.check_not_writable(stat, place)?;
        let others = (Mode::RWXG | Mode::RWXO).bits();
        if privacy == Privacy::Private && stat.st_mode & others != 0 && !self.only_private_group(stat, place)
        {
            return Err(Unsafe::Readable(stat.st_mode & PERMISSIONS));
        }
        Ok(())
    }

    /// Checks a directory above kf's own; `system` owns `/`.
    pub(super) fn check_ancestor(
        self,
        stat: &Stat,
        place: Place<'_>,
        system: u32,
    ) -> Result<Ancestor, Unsafe> {
        if stat.st_uid != system {
            self.check_owner(stat)?;
        }
        match self.check_not_writable(stat, place) {
            Ok(()) => Ok(Ancestor::Closed),
            Err(_) if stat.st_mode & STICKY != 0 => Ok(Ancestor::Sticky),
            Err(error) => Err(error),
        }
    }

    pub(super) fn check_owner(self, stat: &Stat) -> Result<(), Unsafe> {
        if stat.st_uid == self.user || stat.st_uid == 0 { Ok(()) } else { Err(Unsafe::Owner(stat.st_uid)) }
    }

    fn check_not_writable(self, stat: &Stat, place: Place<'_>) -> Result<(), Unsafe> {
        let by_others = stat.st_mode & WRITABLE_BY_OTHERS != 0;
        let by_group = stat.st_mode & WRITABLE_BY_GROUP != 0;
        if by_others || by_group && !self.is_private_group(stat, place) {
            return Err(Unsafe::Writable(stat.st_mode & PERMISSIONS));
        }
        Ok(())
    }

    fn only_private_group(self, stat: &Stat, place: Place<'_>) -> bool {
        stat.st_mode & Mode::RWXO.bits() == 0 && self.is_private_group(stat, place)
    }

    fn is_private_group(self, stat: &Stat, place: Place<'_>) -> bool {
        groups::is_private(stat.st_gid, self.user) && !place.has_access_list()
    }
}

pub(super) fn kind(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}
