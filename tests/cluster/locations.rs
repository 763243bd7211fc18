//! Where things lie: the sources in this repository, the cache of built programs, and the
//! directories of running clusters.

use std::env;
use std::path::{Path, PathBuf};

/// Overrides the directory in which built programs and unpacked packages are kept.
pub const CACHE_VARIABLE: &str = "KF_DEV_CACHE";

/// `tests/cluster` of this repository.
pub(crate) fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("cluster")
}

/// The cargo workspace.
pub(crate) fn workspace() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests).to_owned()
}

fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The parent of every cluster's directory.
pub(crate) fn clusters() -> PathBuf {
    target().join("kf-cluster")
}

/// Where built programs and unpacked packages are kept between runs.
pub(crate) fn cache() -> PathBuf {
    if let Some(path) = env::var_os(CACHE_VARIABLE) {
        return path.into();
    }
    let base = env::var_os("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .filter(|path| path.is_absolute())
        .or_else(|| env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(target);
    base.join("kf-dev")
}
