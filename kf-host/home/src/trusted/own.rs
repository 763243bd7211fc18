//! kf's own directories.

use std::ffi::OsStr;
use std::fmt;
use std::fs::File;
use std::ops::Deref;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, OnceLock};

use kf_core::format;
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, mkdirat, openat, statat};
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::ancestors::{LastComponent, resolve};
use super::rules::{Place, Privacy, Trust, Unsafe, kind};
use crate::error::{Error, Result};
use crate::files;

const DIRECTORY: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// One of kf's own directories, or a path below it. See the [module](super) for what is refused.
///
/// Clones share the open directory, so the path to it is checked only once.
#[derive(Clone)]
pub struct OwnPath {
    root: Arc<Root>,
    /// The whole path.
    path: PathBuf,
}

struct Root {
    path: PathBuf,
    open: OnceLock<(OwnedFd, Trust)>,
}

/// Whether missing directories are created.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Missing {
    Ignore,
    Create,
}

impl OwnPath {
    /// One of kf's own directories, which need not exist.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        let path = directory.into();
        Self { root: Arc::new(Root { path: path.clone(), open: OnceLock::new() }), path }
    }

    /// A path below this one.
    #[must_use]
    pub fn at(&self, below: impl AsRef<Path>) -> Self {
        Self { root: Arc::clone(&self.root), path: self.path.join(below) }
    }

    /// Opens a regular file for reading; `None` if it does not exist.
    pub fn open(&self) -> Result<Option<File>> {
        self.open_to_read(Privacy::Readable)
    }

    fn open_to_read(&self, privacy: Privacy) -> Result<Option<File>> {
        let Some((parent, name)) = self.parent(Missing::Ignore)? else { return Ok(None) };
        match self.open_file(&parent, name, OFlags::RDONLY, privacy) {
            Ok(file) => Ok(Some(file)),
            Err(Refused::Errno(Errno::NOENT)) => Ok(None),
            Err(Refused::Errno(errno)) => Err(Error::reading(&self.path, errno)),
            Err(Refused::Unsafe(reason)) => Err(self.refuse(reason)),
        }
    }

    /// Reads a regular file of at most `max` bytes; `None` if it does not exist.
    pub fn read(&self, max: u64) -> Result<Option<Vec<u8>>> {
        self.open()?.map(|file| files::read_to_end(file, &self.path, max)).transpose()
    }

    /// The same for a file with a secret: it is refused if other users can read it.
    pub fn read_private(&self, max: u64) -> Result<Option<Vec<u8>>> {
        let file = self.open_to_read(Privacy::Private)?;
        file.map(|file| files::read_to_end(file, &self.path, max)).transpose()
    }

    /// Reads a JSON file with `"format": supported`.
    pub fn read_json<T: DeserializeOwned>(&self, max: u64, supported: u64) -> Result<Option<T>> {
        let Some(bytes) = self.read(max)? else { return Ok(None) };
        Ok(Some(format::parse_json(&self.path.display().to_string(), &bytes, supported)?))
    }

    /// The names in a directory, sorted; empty if it does not exist. Names that are not UTF-8 are skipped.
    pub fn names(&self) -> Result<Vec<String>> {
        let Some(directory) = self.descend(self.below(), Missing::Ignore)? else { return Ok(Vec::new()) };
        let entries = Dir::read_from(&directory).map_err(|errno| Error::reading(&self.path, errno))?;
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry.map_err(|errno| Error::reading(&self.path, errno))?;
            if let Ok(name) = entry.file_name().to_str()
                && !matches!(name, "." | "..")
            {
                names.push(name.to_owned());
            }
        }
        names.sort();
        Ok(names)
    }

    /// Creates the directory and its parents, accessible only to the user, and checks existing ones.
    pub fn make(&self) -> Result<()> {
        self.descend(self.below(), Missing::Create).map(drop)
    }

    /// Writes a file atomically and durably, readable only by its owner. Its directory is created.
    pub fn write(&self, bytes: &[u8]) -> Result<()> {
        self.parent(Missing::Create)?;
        files::write_atomic(&self.path, bytes, true)
    }

    /// Writes a value as indented JSON.
    pub fn write_json(&self, value: &impl Serialize) -> Result<()> {
        self.write(&files::to_json(&self.path, value)?)
    }

    /// Opens a lock file, and creates it if needed. It is never removed: a lock on a removed file protects nothing.
    pub fn open_lock(&self) -> Result<File> {
        self.open_to_write(OFlags::RDWR, Privacy::Readable)
    }

    /// Opens a private file for appending, and creates it if needed.
    pub fn append(&self) -> Result<File> {
        self.open_to_write(OFlags::WRONLY | OFlags::APPEND, Privacy::Private)
    }

    fn open_to_write(&self, access: OFlags, privacy: Privacy) -> Result<File> {
        let Some((parent, name)) = self.parent(Missing::Create)? else {
            return Err(self.refuse(Unsafe::NotAFile));
        };
        match self.open_file(&parent, name, access | OFlags::CREATE, privacy) {
            Ok(file) => Ok(file),
            Err(Refused::Errno(errno)) => Err(Error::writing(&self.path, errno.into())),
            Err(Refused::Unsafe(reason)) => Err(self.refuse(reason)),
        }
    }

    fn open_file(
        &self,
        parent: &impl AsFd,
        name: &OsStr,
        access: OFlags,
        privacy: Privacy,
    ) -> Result<File, Refused> {
        open_file(parent.as_fd(), Path::new(name), access, self.root.trust(), privacy)
    }

    /// The directory and name of the path's last component; `None` if the directory does not exist.
    fn parent(&self, missing: Missing) -> Result<Option<(Folder<'_>, &OsStr)>> {
        let (Some(parent), Some(name)) = (self.below().parent(), self.below().file_name()) else {
            return Err(self.refuse(Unsafe::NotAFile));
        };
        Ok(self.descend(parent, missing)?.map(|parent| (parent, name)))
    }

    /// Opens a directory below the root, one component at a time.
    fn descend(&self, below: &Path, missing: Missing) -> Result<Option<Folder<'_>>> {
        let Some((root, trust)) = self.root.open(missing)? else { return Ok(None) };
        let mut at = self.root.path.clone();
        let mut open = Folder::Root(root.as_fd());
        for component in below.components() {
            let Component::Normal(name) = component else { return Err(self.refuse(Unsafe::NotADirectory)) };
            at.push(name);
            let next = match openat(&open, name, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) if missing == Missing::Ignore => return Ok(None),
                Err(Errno::NOENT) => {
                    match mkdirat(&open, name, Mode::RWXU) {
                        Ok(()) | Err(Errno::EXIST) => {}
                        Err(errno) => return Err(Error::writing(&at, errno.into())),
                    }
                    openat(&open, name, DIRECTORY, Mode::empty())
                }
                opened => opened,
            };
            let next = match next {
                Ok(next) => next,
                Err(Errno::LOOP | Errno::NOTDIR) => {
                    let link = statat(&open, name, AtFlags::SYMLINK_NOFOLLOW)
                        .is_ok_and(|stat| kind(&stat) == FileType::Symlink);
                    let reason = if link { Unsafe::Link } else { Unsafe::NotADirectory };
                    return Err(Error::UnsafePath { path: at, reason });
                }
                Err(errno) => return Err(Error::reading(&at, errno)),
            };
            let stat = fstat(&next).map_err(|errno| Error::reading(&at, errno))?;
            trust
                .check_directory(&stat, Place::Open(next.as_fd()))
                .map_err(|reason| Error::UnsafePath { path: at.clone(), reason })?;
            open = Folder::Below(next);
        }
        Ok(Some(open))
    }

    fn below(&self) -> &Path {
        self.path.strip_prefix(&self.root.path).unwrap_or(Path::new(".."))
    }

    fn refuse(&self, reason: Unsafe) -> Error {
        Error::UnsafePath { path: self.path.clone(), reason }
    }
}

impl Root {
    fn open(&self, missing: Missing) -> Result<Option<&(OwnedFd, Trust)>> {
        if let Some(open) = self.open.get() {
            return Ok(Some(open));
        }
        let trust = Trust::of_this_process();
        let mut found = open_directory(&self.path, trust)?;
        if found.is_none() && missing == Missing::Create {
            files::make_directories(&self.path)?;
            found = open_directory(&self.path, trust)?;
            if found.is_none() {
                return Err(Error::writing(&self.path, Errno::NOENT.into()));
            }
        }
        Ok(found.map(|found| self.open.get_or_init(|| (found, trust))))
    }

    fn trust(&self) -> Trust {
        self.open.get().map_or_else(Trust::of_this_process, |(_, trust)| *trust)
    }
}

/// Opens kf's own directory, following links.
pub(super) fn open_directory(path: &Path, trust: Trust) -> Result<Option<OwnedFd>> {
    let Some(resolved) = resolve(path, trust, LastComponent::FollowLink)? else { return Ok(None) };
    let unsafe_path = |reason| Error::UnsafePath { path: path.to_owned(), reason };
    let directory = match openat(CWD, &resolved, DIRECTORY, Mode::empty()) {
        Ok(directory) => directory,
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NOTDIR) => return Err(unsafe_path(Unsafe::NotADirectory)),
        Err(errno) => return Err(Error::reading(path, errno)),
    };
    let stat = fstat(&directory).map_err(|errno| Error::reading(path, errno))?;
    trust.check_directory(&stat, Place::Open(directory.as_fd())).map_err(unsafe_path)?;
    Ok(Some(directory))
}

pub(super) enum Refused {
    Errno(Errno),
    Unsafe(Unsafe),
}

/// Opens a regular file and checks its owner and mode.
pub(super) fn open_file(
    parent: BorrowedFd<'_>,
    name: &Path,
    access: OFlags,
    trust: Trust,
    privacy: Privacy,
) -> Result<File, Refused> {
    let file =
        openat(parent, name, access | files::REGULAR_FILE, Mode::RUSR | Mode::WUSR).map_err(|errno| {
            match errno {
                Errno::LOOP => Refused::Unsafe(Unsafe::Link),
                // A socket, a pipe without a reader, or a directory.
                Errno::NXIO | Errno::ISDIR => Refused::Unsafe(Unsafe::NotAFile),
                errno => Refused::Errno(errno),
            }
        })?;
    let stat = fstat(&file).map_err(Refused::Errno)?;
    trust.check_file(&stat, Place::Open(file.as_fd()), privacy).map_err(Refused::Unsafe)?;
    Ok(File::from(file))
}

/// An open directory.
enum Folder<'a> {
    Root(BorrowedFd<'a>),
    Below(OwnedFd),
}

impl AsFd for Folder<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Root(fd) => *fd,
            Self::Below(fd) => fd.as_fd(),
        }
    }
}

impl Deref for OwnPath {
    type Target = Path;

    fn deref(&self) -> &Path {
        &self.path
    }
}

impl AsRef<Path> for OwnPath {
    fn as_ref(&self) -> &Path {
        &self.path
    }
}

impl From<OwnPath> for PathBuf {
    fn from(own: OwnPath) -> Self {
        own.path
    }
}

impl fmt::Debug for OwnPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.fmt(f)
    }
}

impl PartialEq for OwnPath {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for OwnPath {}
