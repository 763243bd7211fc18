//! A second build from another folder, whose files must be the same.
//!
//! The folders that could get into a file have other names there: that of the sources, that of what cargo builds, and
//! that of cargo's packages. What is built in is shared.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

use kf_toolchains::{command, locations};

use super::compile::Build;
use super::pack::{fresh, names};
use crate::say;
use crate::step::{Doing, Failure, Result};

/// Builds `first` again, and compares what comes of it with what is in `released`.
pub fn verify(first: &Build, released: &Path) -> Result<()> {
    let doing = "cannot build again in another folder";
    let folder = locations::target().join("reproduce");
    fresh(&folder)?;
    let workspace = folder.join("another/place/for-kf");
    copy_sources(&first.workspace, &workspace)?;
    let cargo_home = folder.join("packages");
    symlink(&first.cargo_home, &cargo_home).doing(doing)?;
    let second = Build {
        target: workspace.join("target"),
        workspace,
        cargo_home,
        triple: first.triple.clone(),
        cross: first.cross.clone(),
        built_in: first.built_in.clone(),
        registry_url: first.registry_url.clone(),
        time: first.time.clone(),
    };
    let again = folder.join("release");
    fresh(&again)?;
    super::make(&second, None, &folder.join("stage"), &again)?;
    let differ = differing(released, &again)?;
    if !differ.is_empty() {
        let places = format!("{} and {}", released.display(), again.display());
        return Err(Failure(format!("not the same in {places}: {}", differ.join(", "))));
    }
    say::line(&format!("the same bytes from another folder: {}", names(&again)?.join(", ")));
    fs_err::remove_dir_all(&folder).doing("cannot clear the other folder")
}

/// The files that git knows or would add.
fn copy_sources(from: &Path, to: &Path) -> Result<()> {
    let doing = "cannot copy the sources";
    let mut git = Command::new("git");
    git.current_dir(from).args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    for name in command::output(&mut git).doing(doing)?.split('\0').filter(|name| from.join(name).is_file()) {
        let copy = to.join(name);
        fs_err::create_dir_all(copy.parent().unwrap_or(to)).doing(doing)?;
        fs_err::copy(from.join(name), copy).doing(doing)?;
    }
    Ok(())
}

/// Names of files of the second folder that the first one has not, or with other bytes.
fn differing(first: &Path, second: &Path) -> Result<Vec<String>> {
    let content = |folder: &Path, name: &str| fs_err::read(folder.join(name)).ok();
    let mut names = names(second)?;
    names.retain(|name| content(first, name) != content(second, name));
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_with_other_bytes_or_missing_differs() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (folder, files) in
            [(&first, [("kf", "1"), ("wheel", "2")]), (&second, [("kf", "1"), ("wheel", "3")])]
        {
            for (name, text) in files {
                fs_err::write(folder.path().join(name), text).unwrap();
            }
        }
        fs_err::write(second.path().join("archive"), "").unwrap();
        assert_eq!(differing(first.path(), second.path()).unwrap(), ["archive", "wheel"]);
    }
}
