//! The files below a directory that the user named.
//!
//! Every step opens one name in a directory that is already open, and never through a link
//! (`O_NOFOLLOW`). So a name that is replaced by a link between two calls is an error and not a way
//! out, and `..` is never resolved.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use rustix::io::Errno;

use crate::limits::MAX_FILES_BELOW;

/// How deep directories can be nested.
const MAX_DEPTH: usize = 64;
/// How many names one walk reads, including skipped ones.
const MAX_NAMES: usize = 200_000;
/// How many skipped names are reported.
const MAX_SKIPPED: usize = 1_000;
/// How many patterns of names to skip are allowed.
const MAX_PATTERNS: usize = 100;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const DIRECTORY_BELOW: OFlags = DIRECTORY.union(OFlags::NOFOLLOW);
/// `NONBLOCK`, because opening a named pipe would wait for a writer.
const FILE_BELOW: OFlags =
    OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK).union(OFlags::CLOEXEC);

/// A directory that the user named. It is opened at the first use and stays open for the whole run.
#[derive(Debug)]
pub(crate) struct Directory {
    named: PathBuf,
    open: Option<OwnedFd>,
}

/// A regular file below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct DirectoryFile {
    /// Relative to the directory.
    pub(crate) path: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) executable: bool,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct DirectoryTree {
    pub(crate) files: Vec<DirectoryFile>,
    pub(crate) skipped: Vec<String>,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("cannot read `{path}`: {source}")]
    Unreadable { path: String, source: io::Error },
    #[error("`{path}` contains more than {MAX_FILES_BELOW} files")]
    TooManyFiles { path: String },
    #[error("`{path}` contains more than {MAX_NAMES} names")]
    TooManyNames { path: String },
    #[error("`{path}` is nested more than {MAX_DEPTH} directories deep")]
    TooDeep { path: String },
    #[error("more than {MAX_PATTERNS} patterns to skip")]
    TooManyPatterns,
    #[error("`{}` is not a regular file below `{directory}`", path.escape_debug())]
    Outside { directory: String, path: String },
}

type Result<T> = std::result::Result<T, DirectoryError>;

impl Directory {
    pub(crate) fn named(named: PathBuf) -> Self {
        Self { named, open: None }
    }

    /// Every regular file below it that is not skipped.
    pub(crate) fn walk(&mut self, skip: &[String]) -> Result<DirectoryTree> {
        if skip.len() > MAX_PATTERNS {
            return Err(DirectoryError::TooManyPatterns);
        }
        let name = self.name();
        let mut walk = Walk { name: &name, skip, names: 0, tree: DirectoryTree::default() };
        walk.descend(self.open()?, "", 0)?;
        let mut tree = walk.tree;
        tree.files.sort_by(|left, right| left.path.cmp(&right.path));
        Ok(tree)
    }

    /// Opens one of its regular files for reading.
    pub(crate) fn open_file(&mut self, path: &str) -> Result<File> {
        let directory = self.name();
        let outside = || DirectoryError::Outside { directory: directory.clone(), path: path.to_owned() };
        let names: Vec<&str> = path.split('/').take(MAX_DEPTH + 2).collect();
        let Some((file, above)) = names.split_last() else { return Err(outside()) };
        let is_valid = |name: &&str| !matches!(*name, "" | "." | "..") && !name.contains('\0');
        if names.len() > MAX_DEPTH + 1 || !names.iter().all(is_valid) {
            return Err(outside());
        }
        let root = self.open()?;
        let mut held: Option<OwnedFd> = None;
        let unreadable = |errno: Errno| match errno {
            // A link, a file where a directory should be, a socket.
            Errno::LOOP | Errno::NOTDIR | Errno::NXIO => outside(),
            errno => DirectoryError::Unreadable { path: path.to_owned(), source: errno.into() },
        };
        for name in above {
            let parent = held.as_ref().unwrap_or(root);
            held = Some(openat(parent, *name, DIRECTORY_BELOW, Mode::empty()).map_err(unreadable)?);
        }
        let parent = held.as_ref().unwrap_or(root);
        let file = openat(parent, *file, FILE_BELOW, Mode::empty()).map_err(unreadable)?;
        let status = fstat(&file).map_err(unreadable)?;
        if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
            return Err(outside());
        }
        Ok(File::from(file))
    }

    fn name(&self) -> String {
        self.named.display().to_string()
    }

    fn open(&mut self) -> Result<&OwnedFd> {
        if self.open.is_none() {
            // The user named this directory, so a link is followed.
            let opened = openat(CWD, &self.named, DIRECTORY, Mode::empty());
            let unreadable =
                |errno: Errno| DirectoryError::Unreadable { path: self.name(), source: errno.into() };
            self.open = Some(opened.map_err(unreadable)?);
        }
        let missing = || DirectoryError::Unreadable { path: self.name(), source: Errno::BADF.into() };
        self.open.as_ref().ok_or_else(missing)
    }
}

struct Walk<'a> {
    name: &'a str,
    skip: &'a [String],
    names: usize,
    tree: DirectoryTree,
}

impl Walk<'_> {
    fn descend(&mut self, directory: &OwnedFd, prefix: &str, depth: usize) -> Result<()> {
        if depth > MAX_DEPTH {
            return Err(DirectoryError::TooDeep { path: self.name.to_owned() });
        }
        for entry in Dir::read_from(directory).map_err(|errno| self.unreadable(prefix, errno))? {
            let entry = entry.map_err(|errno| self.unreadable(prefix, errno))?;
            let raw = entry.file_name();
            if matches!(raw.to_bytes(), b"." | b"..") {
                continue;
            }
            self.names += 1;
            if self.names > MAX_NAMES {
                return Err(DirectoryError::TooManyNames { path: self.name.to_owned() });
            }
            let below = |name: &str| match prefix {
                "" => name.to_owned(),
                prefix => format!("{prefix}/{name}"),
            };
            let Ok(name) = raw.to_str() else {
                self.skip(below(&raw.to_string_lossy()));
                continue;
            };
            let path = below(name);
            if self.skip.iter().any(|pattern| matches_pattern(pattern, name)) {
                self.skip(path);
                continue;
            }
            let status = match statat(directory, raw, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(status) => status,
                // It was deleted in the meantime.
                Err(Errno::NOENT) => continue,
                Err(errno) => return Err(self.unreadable(&path, errno)),
            };
            match FileType::from_raw_mode(status.st_mode) {
                FileType::RegularFile => {
                    if self.tree.files.len() >= MAX_FILES_BELOW {
                        return Err(DirectoryError::TooManyFiles { path: self.name.to_owned() });
                    }
                    let executable = Mode::from_raw_mode(status.st_mode)
                        .intersects(Mode::XUSR.union(Mode::XGRP).union(Mode::XOTH));
                    let size = u64::try_from(status.st_size).unwrap_or_default();
                    self.tree.files.push(DirectoryFile { path, size, executable });
                }
                FileType::Directory => {
                    match openat(directory, raw, DIRECTORY_BELOW, Mode::empty()) {
                        Ok(opened) => self.descend(&opened, &path, depth + 1)?,
                        // It was replaced in the meantime.
                        Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) => self.skip(path),
                        Err(errno) => return Err(self.unreadable(&path, errno)),
                    }
                }
                _ => self.skip(path),
            }
        }
        Ok(())
    }

    fn skip(&mut self, path: String) {
        if self.tree.skipped.len() < MAX_SKIPPED {
            self.tree.skipped.push(path);
        }
    }

    fn unreadable(&self, path: &str, errno: Errno) -> DirectoryError {
        let path = if path.is_empty() { self.name.to_owned() } else { format!("{}/{path}", self.name) };
        DirectoryError::Unreadable { path, source: errno.into() }
    }
}

/// Whether a name matches a pattern, in which a `*` at the start or the end matches anything.
fn matches_pattern(pattern: &str, name: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(""), _) => true,
        (Some(rest), Some(_)) => name.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (Some(end), None) => name.ends_with(end),
        (None, Some(start)) => name.starts_with(start),
        (None, None) => name == pattern,
    }
}
