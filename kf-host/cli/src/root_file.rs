//! The root of a registry, in a file that the user names.

use std::path::Path;

use kf_core::Kind;
use kf_core::failure::{Context as _, Result};

/// Reads the root metadata that a flag names.
pub fn read_root(path: &Path) -> Result<Vec<u8>> {
    fs_err::read(path).context(Kind::Usage, || "cannot read the root".to_owned())
}
