//! Builds that do not depend on the folders of the machine.
//!
//! rustc embeds the paths of sources, for panic messages. Paths within a workspace are relative. Those of dependencies,
//! generated sources and the standard library are absolute, so each machine would produce other bytes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::Result;

/// The folders of one build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folders {
    /// The sources to build.
    pub workspace: PathBuf,
    /// Cargo's target folder, which also has generated sources.
    pub target: PathBuf,
    /// Cargo's home, with the sources of dependencies.
    pub cargo_home: PathBuf,
}

impl Folders {
    /// The flags of rustc that give each folder the same name on every machine, for `CARGO_ENCODED_RUSTFLAGS`.
    ///
    /// `sysroot` is rustc's own folder, and `commit` the commit it was built from. The paths of the standard library are
    /// absolute only if its sources are installed; otherwise rustc itself names them after the commit.
    ///
    /// # Errors
    ///
    /// The folder of downloaded sources cannot be read.
    pub fn encoded_flags(&self, sysroot: &Path, commit: &str) -> Result<OsString> {
        Ok(flags(&self.names(self.registries()?, &sysroot.join("lib/rustlib/src/rust"), commit)))
    }

    /// The sources of dependencies: one folder for each registry, named after its host.
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

    /// If several match, rustc uses the last: the target folder is often in the workspace.
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
    fn folders_and_registries_are_remapped_to_fixed_names() {
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
