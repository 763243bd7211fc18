//! The way down to kf's own directory.
//!
//! It begins at `/` and looks at one directory after the other. Each was found in one that nobody else could
//! change, so what was seen of it stays true, and a path serves as well as an open directory would.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};
use rustix::io::Errno;

use super::rules::{Ancestor, Place, Trust, Unsafe, kind};
use crate::error::{Error, Result};

/// As many as the kernel follows.
const MAX_LINKS: usize = 40;

/// What the last name of a path may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Last {
    /// A link, which is followed.
    MayBeLink,
    /// Whatever it is, it is left to be opened.
    Unresolved,
}

/// Follows a path whose every directory is safe, and gives it without links; `None` where there is nothing.
///
/// What the last name stands for is not looked at, but for a link that is to be followed.
pub(super) fn resolve(path: &Path, trust: Trust, last: Last) -> Result<Option<PathBuf>> {
    let absolute = std::path::absolute(path)?;
    let mut at = PathBuf::from("/");
    let Some(root) = look(&at)? else { return Ok(None) };
    let system = root.st_uid;
    let judge = |path: &Path, stat: &Stat| {
        trust
            .ancestor(stat, Place::Path(path), system)
            .map_err(|reason| Error::UnsafePath { path: path.to_owned(), reason })
    };
    let mut directory = judge(&at, &root)?;
    let mut names = Vec::new();
    push(&mut names, &absolute);
    let mut links = 0;
    while let Some(name) = names.pop() {
        if name == ".." {
            at.pop();
            let Some(stat) = look(&at)? else { return Ok(None) };
            directory = judge(&at, &stat)?;
            continue;
        }
        at.push(&name);
        let is_last = names.is_empty();
        if is_last && last == Last::Unresolved {
            return Ok(Some(at));
        }
        let Some(stat) = look(&at)? else { return Ok(None) };
        if kind(&stat) == FileType::Symlink {
            if directory == Ancestor::Sticky {
                trust.owner(&stat).map_err(|reason| Error::UnsafePath { path: at.clone(), reason })?;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::UnsafePath { path: path.to_owned(), reason: Unsafe::TooManyLinks });
            }
            let target = fs_err::read_link(&at)?;
            at.pop();
            if target.is_absolute() {
                at = PathBuf::from("/");
                directory = judge(&at, &root)?;
            }
            push(&mut names, &target);
        } else if is_last {
            return Ok(Some(at));
        } else if kind(&stat) == FileType::Directory {
            directory = judge(&at, &stat)?;
        } else {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

/// The names of a path, the first one on top.
fn push(names: &mut Vec<OsString>, path: &Path) {
    let before = names.len();
    names.extend(path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
    if let Some(new) = names.get_mut(before..) {
        new.reverse();
    }
}

fn look(path: &Path) -> Result<Option<Stat>> {
    match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Error::reading(path, errno)),
    }
}
