//! The first-party commands, signed, for a kf that has them built in.

use std::path::{Path, PathBuf};

use kf_toolchains::locations;

use crate::step::{Result, cargo_command, quietly};
use crate::{built_in, plugins};

/// Builds the first-party commands, signs them with `keys`, and packs them; the folder of what was packed.
pub fn first_party(keys: &Path, time: &str) -> Result<PathBuf> {
    quietly("compiling kf and its tools", &mut cargo_command(&["build", "--workspace", "--bins"]))?;
    plugins::build()?;
    built_in::pack(&plugins::artifacts(), keys, &locations::target().join("release-commands"), time)
}
