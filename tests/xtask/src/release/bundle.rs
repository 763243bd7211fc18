//! The signed first-party commands, to be built in.

use std::path::{Path, PathBuf};

use kf_toolchains::locations;

use crate::step::{Result, cargo_command, quietly};
use crate::{built_in, plugins};

/// Builds the first-party commands, signs them with `keys`, packs them, and returns the folder.
pub fn first_party(keys: &Path, time: &str) -> Result<PathBuf> {
    quietly("compiling kf and its tools", &mut cargo_command(&["build", "--workspace", "--bins"]))?;
    plugins::build()?;
    built_in::pack(&plugins::artifacts(), keys, &locations::target().join("release-commands"), time)
}
