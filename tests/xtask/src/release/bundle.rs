//! The first-party commands, signed, for a kf that has them built in.

use std::path::{Path, PathBuf};
use std::process::Command;

use kf_toolchains::locations;

use super::pack::fresh;
use crate::published::Kf;
use crate::step::{Result, cargo_command, programs, quietly};
use crate::{plugins, say};

/// Builds the first-party commands, signs them with `keys`, and packs them; the folder of what was packed.
pub fn first_party(keys: &Path, time: &str) -> Result<Option<PathBuf>> {
    quietly("compiling kf and its tools", &mut cargo_command(&["build", "--workspace", "--bins"]))?;
    let bundler = programs()?.join("kf-bundle");
    if !bundler.is_file() {
        say::step("this workspace has no kf-bundle, so kf is released without built-in commands");
        return Ok(None);
    }
    plugins::build()?;
    let added = add_all(keys)?;
    bundle(&bundler, &added.home, time).map(Some)
}

/// Has kf sign, verify and examine every command, as it does for users; the home that has them all.
fn add_all(keys: &Path) -> Result<Kf> {
    let folder = locations::target().join("release-commands");
    fresh(&folder)?;
    let kf = Kf { program: programs()?.join("kf"), home: folder.join("home"), folder };
    let names = plugins::all()?;
    kf.set_up(keys, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    Ok(kf)
}

/// Packs the commands of a home; the folder that the build takes in as `KF_BUILT_IN`.
fn bundle(bundler: &Path, home: &Path, time: &str) -> Result<PathBuf> {
    let bundle = locations::target().join("release-bundle");
    quietly("packing the commands", Command::new(bundler).arg(home).arg(&bundle).arg(time))?;
    Ok(bundle)
}
