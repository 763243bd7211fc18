//! The folder of a site.
//!
//! It is written next to its destination and takes its place when it is complete, so a reader sees the old site or the
//! new one, and a failure leaves the old one.

use std::io::{Error as IoError, ErrorKind};
use std::path::{Path, PathBuf};

use kf_core::Kind;
use kf_core::failure::{Context as _, Failure, Result};
use kf_home::files::read_regular_file;
use rustix::fs::{Mode, RenameFlags};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;

use crate::FORMAT;

/// The file that marks a folder as a site.
const MARKER: &str = "kf-site.json";
const MAX_MARKER_BYTES: u64 = 4096;

#[derive(Serialize, Deserialize)]
struct Marker {
    format: u64,
}

/// A folder that is being written.
#[derive(Debug)]
pub struct Folder {
    destination: PathBuf,
    aside: TempDir,
}

impl Folder {
    /// Prepares to write a site to `destination`, which may be an older site, an empty folder or nothing.
    ///
    /// # Errors
    ///
    /// Something else is there, or the folder above it cannot be written.
    pub fn create(destination: &Path) -> Result<Self> {
        let cannot = || format!("cannot write a site to {}", destination.display());
        let destination = match fs_err::canonicalize(destination) {
            Ok(found) => found,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                absolute(destination).context(Kind::Usage, cannot)?
            }
            Err(error) => return Err(error).context(Kind::Usage, cannot),
        };
        Self::check(&destination)?;
        let above = destination.parent().ok_or_else(|| IoError::from(ErrorKind::InvalidInput));
        let above = above.context(Kind::Usage, cannot)?;
        fs_err::create_dir_all(above).context(Kind::Failed, cannot)?;
        let aside =
            tempfile::Builder::new().prefix(".kf-site-").tempdir_in(above).context(Kind::Failed, cannot)?;
        // Readable for a web server.
        rustix::fs::chmod(aside.path(), Mode::from_raw_mode(0o755)).context(Kind::Failed, cannot)?;
        Ok(Self { destination, aside })
    }

    /// Refuses a folder with anything else than an older site.
    ///
    /// # Errors
    ///
    /// There is something else, or a site of a newer kf.
    pub fn check(destination: &Path) -> Result<()> {
        let shown = destination.display();
        let hint = "name a folder that does not exist, is empty, or has a site";
        let entries = match fs_err::read_dir(destination) {
            Ok(mut entries) => entries.next(),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            Err(error) if error.kind() == ErrorKind::NotADirectory => {
                return Err(Failure::usage(format!("{shown} is not a folder")).hint(hint));
            }
            Err(error) => return Err(error).context(Kind::Usage, || format!("cannot use {shown}")),
        };
        if entries.is_none() {
            return Ok(());
        }
        let marker = read_regular_file(&destination.join(MARKER), MAX_MARKER_BYTES).ok().flatten();
        match marker.and_then(|bytes| serde_json::from_slice::<Marker>(&bytes).ok()) {
            Some(Marker { format: FORMAT }) => Ok(()),
            Some(Marker { format }) => Err(Failure::usage(format!(
                "{shown} has a site of format {format}, and this kf writes format {FORMAT}"
            ))
            .hint("upgrade kf, or name another folder")),
            None => Err(Failure::usage(format!("{shown} is not empty and not a site")).hint(hint)),
        }
    }

    /// Writes a file, such as `commands/train.html`.
    pub fn write(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.aside.path().join(path);
        if let Some(folder) = path.parent() {
            fs_err::create_dir_all(folder)?;
        }
        Ok(fs_err::write(path, bytes)?)
    }

    /// Puts the folder in its place.
    pub fn finish(self) -> Result<()> {
        let marker = serde_json::to_vec(&Marker { format: FORMAT }).unwrap_or_default();
        self.write(MARKER, &marker)?;
        let cannot = || format!("cannot replace {}", self.destination.display());
        // One flush for all files.
        fs_err::File::open(self.aside.path())
            .and_then(|folder| rustix::fs::syncfs(folder.file()).map_err(IoError::from))
            .context(Kind::Failed, cannot)?;
        // In case that something else was put there meanwhile.
        Self::check(&self.destination)?;
        let (new, old) = (self.aside.path(), self.destination.as_path());
        match rename(new, old, RenameFlags::EXCHANGE) {
            // The old site is removed with the temporary folder.
            Ok(()) => Ok(()),
            Err(Errno::NOENT) => rename(new, old, RenameFlags::NOREPLACE).context(Kind::Failed, cannot),
            Err(Errno::INVAL | Errno::NOSYS) => replace(new, old).context(Kind::Failed, cannot),
            Err(error) => Err(error).context(Kind::Failed, cannot),
        }
    }
}

fn rename(from: &Path, to: &Path, flags: RenameFlags) -> rustix::io::Result<()> {
    rustix::fs::renameat_with(rustix::fs::CWD, from, rustix::fs::CWD, to, flags)
}

/// Replaces a folder on a file system that cannot exchange two: for a moment, there is none.
fn replace(new: &Path, old: &Path) -> std::io::Result<()> {
    let above = old.parent().ok_or(ErrorKind::InvalidInput)?;
    let removed = tempfile::Builder::new().prefix(".kf-site-").tempdir_in(above)?;
    let kept = removed.path().join("old");
    fs_err::rename(old, &kept)?;
    fs_err::rename(new, old).inspect_err(|_| {
        let _lost = fs_err::rename(&kept, old);
    })
}

/// The path without symbolic links in the part that exists.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let path = std::path::absolute(path)?;
    let Some((above, name)) = path.parent().zip(path.file_name()) else { return Ok(path) };
    match fs_err::canonicalize(above) {
        Ok(above) => Ok(above.join(name)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(path),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// The names in a folder, sorted.
    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs_err::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn write(destination: &Path, file: &str) {
        let folder = Folder::create(destination).unwrap();
        folder.write(file, b"x").unwrap();
        folder.finish().unwrap();
    }

    #[test]
    fn new_site_replaces_old_site_and_leaves_nothing_else() {
        let work = tempfile::tempdir().unwrap();
        let out = work.path().join("above/out");
        write(&out, "commands/old.html");
        assert_eq!(names(&out), ["commands", MARKER]);
        assert_eq!(fs_err::metadata(&out).unwrap().permissions().mode() & 0o777, 0o755);
        write(&out, "new.html");
        assert_eq!(names(&out), [MARKER, "new.html"]);
        assert_eq!(names(&work.path().join("above")), ["out"]);
    }

    #[test]
    fn folder_is_replaced_where_two_cannot_be_exchanged() {
        let work = tempfile::tempdir().unwrap();
        let at = |name: &str| work.path().join(name);
        for name in ["old", "new"] {
            fs_err::create_dir(at(name)).unwrap();
            fs_err::write(at(name).join(name), "").unwrap();
        }
        replace(&at("new"), &at("old")).unwrap();
        assert_eq!((names(work.path()), names(&at("old"))), (vec!["old".to_owned()], vec!["new".to_owned()]));
        replace(&at("missing"), &at("old")).unwrap_err();
        assert_eq!((names(work.path()), names(&at("old"))), (vec!["old".to_owned()], vec!["new".to_owned()]));
    }

    #[test]
    fn empty_folder_is_used_and_link_is_followed() {
        let work = tempfile::tempdir().unwrap();
        fs_err::create_dir(work.path().join("real")).unwrap();
        std::os::unix::fs::symlink("real", work.path().join("link")).unwrap();
        write(&work.path().join("link"), "a.html");
        assert_eq!(names(&work.path().join("real")), ["a.html", MARKER]);
        assert!(work.path().join("link").is_symlink());
    }

    #[test]
    fn unfinished_site_changes_nothing() {
        let work = tempfile::tempdir().unwrap();
        let out = work.path().join("out");
        write(&out, "a.html");
        let folder = Folder::create(&out).unwrap();
        folder.write("b.html", b"x").unwrap();
        drop(folder);
        assert_eq!(names(&out), ["a.html", MARKER]);
        assert_eq!(names(work.path()), ["out"]);
    }

    #[test]
    fn other_folder_file_or_newer_site_is_refused_and_kept() {
        let work = tempfile::tempdir().unwrap();
        let refused = |out: &Path| {
            let refused = Folder::create(out).unwrap_err();
            assert_eq!(refused.kind(), Kind::Usage);
            assert_eq!(names(work.path()).iter().filter(|name| name.starts_with('.')).count(), 0);
            refused.message().replace(&work.path().display().to_string(), "")
        };
        let out = work.path().join("out");
        fs_err::create_dir(&out).unwrap();
        fs_err::write(out.join("thesis.tex"), "").unwrap();
        assert_eq!(refused(&out), "/out is not empty and not a site");
        fs_err::write(out.join(MARKER), "{").unwrap();
        assert_eq!(refused(&out), "/out is not empty and not a site");
        fs_err::write(out.join(MARKER), "{\"format\":2}").unwrap();
        assert_eq!(refused(&out), "/out has a site of format 2, and this kf writes format 1");
        assert_eq!(names(&out), [MARKER, "thesis.tex"]);
        assert_eq!(refused(&out.join("thesis.tex")), "/out/thesis.tex is not a folder");
    }
}
