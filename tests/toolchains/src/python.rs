//! Debian's Python and Python packages, for images.
//!
//! The interpreter is always that of one Debian release, and the packages are wheels for exactly that
//! interpreter, installed by the machine's pip into a directory. Each set is pinned by a requirements file
//! that lists every package, so nothing is resolved. All modules are compiled beforehand: a pod could not
//! keep its compiled modules and would start many times slower.

use std::path::{Path, PathBuf};
use std::process::Command;

use fs_err as fs;

use crate::cache::{self, Key};
use crate::debian::{self, Packages, Suite};
use crate::{Progress, Result, command, effort, locations};

/// The version of the Python in [`base`]; packages may require a patch version.
const VERSION: &str = "3.11.2";

const BASE: Packages<'_> = Packages {
    alone: &[
        "base-files",
        "libbz2-1.0",
        "libc6",
        "libcrypt1",
        "libexpat1",
        "libffi8",
        "libgcc-s1",
        "liblzma5",
        "libpython3.11-minimal",
        "libpython3.11-stdlib",
        "libsqlite3-0",
        "libssl3",
        "libstdc++6",
        "libuuid1",
        "media-types",
        "netbase",
        "python3.11-minimal",
        "zlib1g",
    ],
    with_dependencies: &[],
    suite: Suite::Named("bookworm"),
};

/// The parts of those packages that no program in a pod needs.
const UNUSED: [&str; 5] =
    ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/lintian", "usr/lib/*/gconv"];

/// A set of Python packages: `<name>.txt` in `tests/cluster/python` lists them.
#[derive(Debug)]
pub struct Site {
    /// The name of the set.
    pub name: &'static str,
    /// How many seconds of one core it takes to download and unpack it.
    pub core_seconds: u64,
}

/// The directory with Debian's Python and the libraries it loads, as the root of a file system.
pub fn base(progress: Progress) -> Result<PathBuf> {
    let unpacked = debian::key(&BASE)?.with(UNUSED.join(" ")).with("compiled 1");
    cache::entry("python-base", unpacked, progress, |directory| {
        debian::fetch(&BASE, directory, progress)?;
        for unused in UNUSED {
            for path in matching(directory, unused)? {
                fs::remove_dir_all(path)?;
            }
        }
        std::os::unix::fs::symlink("python3.11", directory.join("usr/bin/python3"))?;
        compile(directory, &directory.join("usr/lib/python3.11"))
    })
}

/// Compiles every module in `modules` with the interpreter of `base`. The compiled modules are not checked
/// against the modification times of their sources, which an image does not keep.
fn compile(base: &Path, modules: &Path) -> Result<()> {
    let architecture = std::env::consts::ARCH;
    let libraries = [base.join("lib"), base.join("usr/lib")]
        .map(|directory| directory.join(format!("{architecture}-linux-gnu")));
    let [first, second] = libraries.each_ref().map(|path| path.display().to_string());
    let loader = if architecture == "aarch64" { "ld-linux-aarch64.so.1" } else { "ld-linux-x86-64.so.2" };
    let [libraries, _] = libraries;
    let mut python = Command::new(libraries.join(loader));
    python.arg("--library-path").arg(format!("{first}:{second}"));
    python.arg(base.join("usr/bin/python3.11")).env("PYTHONHOME", base.join("usr"));
    // The tests of some packages have modules that do not compile.
    python.args(["-m", "compileall", "-q", "--invalidation-mode=unchecked-hash", "-x", "/tests?/"]);
    command::output(python.arg("-s").arg(modules).args(["-p", "/"]).arg(modules)).map(drop)
}

/// The directories below `root` that match `pattern`, where `*` is any one name.
fn matching(root: &Path, pattern: &str) -> Result<Vec<PathBuf>> {
    let mut found = vec![root.to_owned()];
    for part in pattern.split('/') {
        let mut next = Vec::new();
        for directory in found {
            if part == "*" {
                for entry in fs::read_dir(directory)? {
                    next.push(entry?.path());
                }
            } else {
                next.push(directory.join(part));
            }
        }
        found = next.into_iter().filter(|path| path.is_dir()).collect();
    }
    Ok(found)
}

impl Site {
    fn requirements(&self) -> PathBuf {
        locations::sources().join("python").join(format!("{}.txt", self.name))
    }

    fn kind(&self) -> String {
        format!("python-{}", self.name)
    }

    fn key(&self) -> Result<Key> {
        Key::new().with("site 2").with(VERSION).with_file(&self.requirements())
    }

    /// How many seconds of one core it takes to install now: none if it is cached.
    pub fn core_seconds_left(&self) -> Result<u64> {
        Ok(if cache::has(&self.kind(), self.key()?) { 0 } else { self.core_seconds })
    }

    /// Installs the packages if they are not cached. Returns their directory, for `PYTHONPATH`.
    pub fn installed(&self, progress: Progress) -> Result<PathBuf> {
        let base = base(progress)?;
        let python = command::need("python3", "to install Python packages for the tests", "install it")?;
        cache::entry(&self.kind(), self.key()?, progress, |directory| {
            progress(&format!("installing {}: {}", self.name, effort::estimate(self.core_seconds)));
            let mut pip = Command::new(python);
            pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"])
                .args(["--no-compile", "--only-binary=:all:", "--implementation=cp"])
                .arg(format!("--python-version={VERSION}"))
                .args(platforms())
                .arg("--target")
                .arg(directory)
                .arg("--requirement")
                .arg(self.requirements());
            command::logged(&mut pip, &locations::log(&self.kind()))?;
            use_own_interpreter(&directory.join("bin"))?;
            compile(&base, directory)
        })
    }
}

/// pip writes scripts for the interpreter that runs it. This changes them to the one of [`base`].
fn use_own_interpreter(programs: &Path) -> Result<()> {
    let Ok(entries) = fs::read_dir(programs) else { return Ok(()) };
    for entry in entries {
        let path = entry?.path();
        let Ok(text) = fs::read_to_string(&path) else { continue };
        if let Some((first, rest)) = text.split_once('\n')
            && first.starts_with("#!")
            && first.contains("python")
        {
            fs::write(&path, format!("#!/usr/bin/python3\n{rest}"))?;
        }
    }
    Ok(())
}

/// The platforms whose wheels run with the C library of [`base`].
fn platforms() -> impl Iterator<Item = String> {
    let architecture = std::env::consts::ARCH;
    ["manylinux_2_34", "manylinux_2_31", "manylinux_2_28", "manylinux_2_27", "manylinux_2_24"]
        .into_iter()
        .chain(["manylinux_2_17", "manylinux2014", "manylinux_2_12", "manylinux2010", "manylinux_2_5"])
        .chain(["manylinux1", "linux"])
        .map(move |platform| format!("--platform={platform}_{architecture}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_matches_existing_directories() {
        let root = tempfile::tempdir().unwrap();
        for directory in ["usr/lib/a/gconv", "usr/lib/b", "usr/lib/c/gconv"] {
            fs::create_dir_all(root.path().join(directory)).unwrap();
        }
        let mut found = matching(root.path(), "usr/lib/*/gconv").unwrap();
        found.sort();
        assert_eq!(found, ["usr/lib/a/gconv", "usr/lib/c/gconv"].map(|path| root.path().join(path)));
        assert!(matching(root.path(), "usr/share/doc").unwrap().is_empty());
    }
}
