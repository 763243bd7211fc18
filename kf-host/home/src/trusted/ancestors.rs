//! Resolves the path to kf's own directory.
//!
//! It starts at `/` and checks each directory in turn. Each is in a directory that no other user can change, so the
//! checks stay valid, and paths are as safe as open directories.

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Stat, statat};
use rustix::io::Errno;

use super::rules::{Ancestor, Place, Trust, Unsafe, kind};
use crate::error::{Error, Result};

/// The limit of the kernel.
const MAX_LINKS: usize = 40;

/// How the last component of a path is resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LastComponent {
    /// A link is followed.
    FollowLink,
    /// It is not resolved.
    Unresolved,
}

/// Resolves links in a path and checks every directory; `None` if it does not exist.
///
/// The last component is not checked, except for a link that is followed.
pub(super) fn resolve(path: &Path, trust: Trust, last: LastComponent) -> Result<Option<PathBuf>> {
    let absolute = std::path::absolute(path)?;
    let mut at = PathBuf::from("/");
    let Some(root) = lstat(&at)? else { return Ok(None) };
    let system = root.st_uid;
    let check = |path: &Path, stat: &Stat| {
        trust
            .check_ancestor(stat, Place::Path(path), system)
            .map_err(|reason| Error::UnsafePath { path: path.to_owned(), reason })
    };
    let mut directory = check(&at, &root)?;
    let mut pending = Vec::new();
    push_components(&mut pending, &absolute);
    let mut links = 0;
    while let Some(name) = pending.pop() {
        if name == ".." {
            at.pop();
            let Some(stat) = lstat(&at)? else { return Ok(None) };
            directory = check(&at, &stat)?;
            continue;
        }
        at.push(&name);
        let is_last = pending.is_empty();
        if is_last && last == LastComponent::Unresolved {
            return Ok(Some(at));
        }
        let Some(stat) = lstat(&at)? else { return Ok(None) };
        if kind(&stat) == FileType::Symlink {
            if directory == Ancestor::Sticky {
                trust.check_owner(&stat).map_err(|reason| Error::UnsafePath { path: at.clone(), reason })?;
            }
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::UnsafePath { path: path.to_owned(), reason: Unsafe::TooManyLinks });
            }
            let target = fs_err::read_link(&at)?;
            at.pop();
            if target.is_absolute() {
                at = PathBuf::from("/");
                directory = check(&at, &root)?;
            }
            push_components(&mut pending, &target);
        } else if is_last {
            return Ok(Some(at));
        } else if kind(&stat) == FileType::Directory {
            directory = check(&at, &stat)?;
        } else {
            return Ok(None);
        }
    }
    Ok(Some(at))
}

/// Pushes the components of a path in reverse, so that the first is popped first.
fn push_components(pending: &mut Vec<OsString>, path: &Path) {
    let before = pending.len();
    pending.extend(path.components().filter_map(|component| match component {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    }));
    if let Some(new) = pending.get_mut(before..) {
        new.reverse();
    }
}

fn lstat(path: &Path) -> Result<Option<Stat>> {
    match statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(errno) => Err(Error::reading(path, errno)),
    }
}
