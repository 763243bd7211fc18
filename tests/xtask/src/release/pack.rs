//! The files of a release except the wheel: program, archive, checksums.

use std::path::{Path, PathBuf};
use std::process::Command;

use kf_toolchains::cache::digest_of;
use kf_toolchains::command;

use super::compile::Build;
use super::extras::place;
use crate::report;
use crate::step::{Context, Failure, Result};

/// The file that `sha256sum --check` reads.
const CHECKSUMS: &str = "SHA256SUMS";

/// Creates an empty folder.
pub fn fresh(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs_err::remove_dir_all(folder).context("cannot clear a folder")?;
    }
    fs_err::create_dir_all(folder).context("cannot create a folder")
}

/// Copies a folder recursively, with the usual modes.
pub fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    let parent = to.parent().unwrap_or(to);
    fs_err::create_dir_all(parent).context("cannot create a folder")?;
    let copied = command::output(Command::new("cp").arg("-R").arg(from).arg(to));
    copied
        .and_then(|_| command::output(Command::new("chmod").args(["-R", "u=rwX,go=rX"]).arg(to)))
        .map(drop)
        .context("cannot copy a folder")
}

/// Copies the program into the release, with the platform in its name.
pub fn program(program: &Path, into: &Path, name: &str) -> Result<PathBuf> {
    let released = into.join(name);
    fs_err::copy(program, &released).context("cannot copy kf")?;
    command::output(Command::new("chmod").arg("755").arg(&released)).context("cannot make kf executable")?;
    Ok(released)
}

/// Writes `NAME.tar.gz`, to be unpacked over a prefix such as `~/.local`.
pub fn archive(
    build: &Build,
    program: &Path,
    share: &Path,
    stage: &Path,
    into: &Path,
    name: &str,
) -> Result<()> {
    let root = stage.join(name);
    fresh(&root)?;
    fs_err::create_dir_all(root.join("bin")).context("cannot create a folder")?;
    fs_err::copy(program, root.join("bin/kf")).context("cannot copy kf")?;
    copy_folder(share, &root.join("share"))?;
    for document in ["README.md", "CHANGELOG.md", "LICENSE"] {
        let text = fs_err::read(build.folders.workspace.join(document)).context("cannot copy a document")?;
        place(&root.join("share/doc/kf").join(document), &text)?;
    }
    let mut tar = Command::new("tar");
    tar.args(["--create", "--format=ustar", "--sort=name", "--owner=0", "--group=0", "--numeric-owner"])
        .args(["--mode=u=rwX,go=rX", "--use-compress-program=gzip --no-name --best"])
        .arg(format!("--mtime=@{}", build.time))
        .arg("--file")
        .arg(into.join(format!("{name}.tar.gz")))
        .arg("--directory")
        .arg(stage)
        .arg(name);
    command::output(&mut tar).map(drop).context("cannot write the archive")
}

/// The names of a release's files, in order.
pub fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs_err::read_dir(folder).context("cannot read the release")?;
    let names = entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()));
    let mut names = names.collect::<std::io::Result<Vec<_>>>().context("cannot read the release")?;
    names.retain(|name| name != CHECKSUMS);
    names.sort();
    Ok(names)
}

/// Writes the checksums of all files.
pub fn checksums(folder: &Path) -> Result<()> {
    let mut lines = String::new();
    for name in names(folder)? {
        let content = fs_err::read(folder.join(&name)).context("cannot read the release")?;
        lines += &format!("{}  {name}\n", digest_of(&content));
    }
    fs_err::write(folder.join(CHECKSUMS), lines).context("cannot write the checksums")
}

/// Prints the size of each file. Fails if one exceeds its limit.
pub fn sizes(folder: &Path) -> Result<()> {
    let mut too_large = Vec::new();
    for name in names(folder)? {
        let bytes = fs_err::metadata(folder.join(&name)).context("cannot read the release")?.len();
        report::line(&format!("  {:>5} MB  {name}", megabytes(bytes)));
        if limit(&name).is_some_and(|limit| bytes > limit) {
            too_large.push(name);
        }
    }
    if too_large.is_empty() {
        return Ok(());
    }
    Err(Failure(format!("over the size limit: {}", too_large.join(", "))))
}

fn limit(name: &str) -> Option<u64> {
    match Path::new(name).extension() {
        Some(wheel) if wheel == "whl" => Some(super::MAX_WHEEL_BYTES),
        Some(archive) if archive == "gz" => None,
        _ => Some(super::MAX_PROGRAM_BYTES),
    }
}

fn megabytes(bytes: u64) -> String {
    format!("{}.{}", bytes / 1_000_000, bytes / 100_000 % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_accepted_by_sha256sum() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["kf-1", "kf-1.tar.gz"] {
            fs_err::write(folder.path().join(name), name).unwrap();
        }
        checksums(folder.path()).unwrap();
        let mut verify = Command::new("sha256sum");
        verify.current_dir(folder.path()).args(["--check", "--strict", CHECKSUMS]);
        assert_eq!(command::output(&mut verify).unwrap(), "kf-1: OK\nkf-1.tar.gz: OK\n");
        assert_eq!(names(folder.path()).unwrap(), ["kf-1", "kf-1.tar.gz"]);
    }

    #[test]
    fn oversized_release_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, bytes: u64| {
            fs_err::File::create(folder.path().join(name)).unwrap().set_len(bytes).unwrap();
        };
        file("kf-1", super::super::MAX_PROGRAM_BYTES);
        file("kf-1.tar.gz", super::super::MAX_PROGRAM_BYTES + 1);
        file("kf_cli-1.whl", super::super::MAX_WHEEL_BYTES);
        sizes(folder.path()).unwrap();
        file("kf_cli-1.whl", super::super::MAX_WHEEL_BYTES + 1);
        assert!(sizes(folder.path()).unwrap_err().0.contains("kf_cli-1.whl"));
    }
}
