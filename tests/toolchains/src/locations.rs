//! Paths: the sources in this repository, the cache of built programs, the directories of running
//! clusters, and the logs.

use std::env;
use std::path::{Path, PathBuf};

/// Overrides the directory for built programs and unpacked packages.
pub const CACHE_VARIABLE: &str = "KF_DEV_CACHE";

/// The cargo workspace.
#[must_use]
pub fn workspace() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

/// `tests/cluster` of this repository, with the modules of the Go programs.
#[must_use]
pub fn sources() -> PathBuf {
    workspace().join("tests/cluster")
}

/// Cargo's target directory.
#[must_use]
pub fn target() -> PathBuf {
    variable("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// Cargo's home, with the sources of dependencies.
#[must_use]
pub fn cargo_home() -> PathBuf {
    let in_home = || variable("HOME").map(|home| Path::new(&home).join(".cargo"));
    variable("CARGO_HOME").map(PathBuf::from).or_else(in_home).unwrap_or_else(|| target().join("cargo-home"))
}

/// The parent of every cluster's directory.
#[must_use]
pub fn clusters() -> PathBuf {
    target().join("kf-cluster")
}

/// The log file of a long step.
#[must_use]
pub fn log(step: &str) -> PathBuf {
    target().join("xtask").join(format!("{}.log", step.replace([' ', '/'], "-")))
}

/// The directory for built programs and unpacked packages, kept between runs.
#[must_use]
pub fn cache() -> PathBuf {
    if let Some(path) = variable(CACHE_VARIABLE) {
        return path.into();
    }
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(target);
    base.join("kf-dev")
}

/// The value of an environment variable, unless it is empty.
pub(crate) fn variable(name: &str) -> Option<std::ffi::OsString> {
    env::var_os(name).filter(|value| !value.is_empty())
}
