//! Builds that do not depend on where they are made.
//!
//! rustc writes the paths of sources into what it compiles, for the messages of panics. Paths within a workspace are
//! relative to it. Those of dependencies, of generated sources and of the standard library are not: each machine has these
//! in folders of its own, and so had other bytes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Result;

/// The folders of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// What is built.
    pub workspace: PathBuf,
    /// Where cargo puts it, with sources that are generated.
    pub target: PathBuf,
    /// Where cargo keeps the sources of dependencies.
    pub cargo_home: PathBuf,
}

impl Folders {
    /// rustc's flags that name each of the folders the same on every machine, for `CARGO_ENCODED_RUSTFLAGS`.
    ///
    /// `sysroot` is rustc's own folder, and `commit` what it was built from. The standard library's paths are in it only
    /// where its sources are installed; elsewhere rustc itself names them after the commit.
    ///
    /// # Errors
    ///
    /// The folder of downloaded sources cannot be read.
    pub fn encoded_flags(&self, sysroot: &Path, commit: &str) -> Result<OsString> {
        Ok(flags(&self.names(self.registries()?, &sysroot.join("lib/rustlib/src/rust"), commit)))
    }

    /// The sources of dependencies: one folder for each registry, with the host of a mirror in its name.
    fn registries(&self) -> Result<Vec<PathBuf>> {
        let all = self.cargo_home.join("registry/src");
        if !all.is_dir() {
            return Ok(Vec::new());
        }
        let entries = fs_err::read_dir(all)?.map(|entry| entry.map(|entry| entry.path()));
        let mut registries = entries.collect::<Result<Vec<_>, _>>()?;
        registries.sort();
        Ok(registries)
    }

    /// Of several that fit, rustc takes the last: the target folder is often in the workspace.
    fn names(&self, registries: Vec<PathBuf>, library: &Path, commit: &str) -> Vec<(PathBuf, String)> {
        let mut names = vec![
            (self.workspace.clone(), "/kf".to_owned()),
            (self.target.clone(), "/kf/target".to_owned()),
            (library.to_owned(), format!("/rustc/{commit}")),
        ];
        names.extend(registries.into_iter().map(|folder| (folder, "/cargo".to_owned())));
        names
    }
}

fn flags(names: &[(PathBuf, String)]) -> OsString {
    let mut flags = OsString::new();
    for (folder, name) in names {
        if !flags.is_empty() {
            flags.push("\u{1f}");
        }
        flags.push("--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
    flags
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_have_the_same_names_whatever_they_and_the_registries_mirror_are_called() {
        let folder = tempfile::tempdir().unwrap();
        let cargo_home = folder.path().join("cargo home");
        let mirror = cargo_home.join("registry/src/mirror.example-0123");
        fs_err::create_dir_all(&mirror).unwrap();
        let folders =
            Folders { workspace: "/home/me/a kf".into(), target: "/home/me/a kf/target".into(), cargo_home };
        let flags = folders.encoded_flags(Path::new("/rust"), "59807").unwrap();
        let flags = flags.to_str().unwrap().replace(mirror.to_str().unwrap(), "MIRROR");
        let expected = [
            "--remap-path-prefix=/home/me/a kf=/kf",
            "--remap-path-prefix=/home/me/a kf/target=/kf/target",
            "--remap-path-prefix=/rust/lib/rustlib/src/rust=/rustc/59807",
            "--remap-path-prefix=MIRROR=/cargo",
        ];
        assert_eq!(flags.split('\u{1f}').collect::<Vec<_>>(), expected);
    }
}
