//! The first-party commands as artifacts: a folder each, with `plugin.wasm` and `plugin.toml`.

use std::path::{Path, PathBuf};

use kf_toolchains::guests::toolchain::{Machine, Toolchain, Way, resolve};
use kf_toolchains::remap::Folders;
use kf_toolchains::{guests, locations};

use crate::report;
use crate::step::{Context, Result};

/// The folder of artifacts for `kf registry build`.
pub fn artifacts() -> PathBuf {
    locations::target().join("plugins")
}

/// Builds every command of `plugins/` into [`artifacts`].
pub fn build() -> Result<()> {
    build_with(&toolchain()?, &all()?)
}

/// The names of all commands.
pub fn all() -> Result<Vec<String>> {
    folders(&sources())
}

/// Builds these commands with a toolchain.
pub fn build_with(toolchain: &Toolchain, names: &[String]) -> Result<()> {
    let packages = packages(names);
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let log = locations::log("guests");
    let built =
        report::during("building the commands", Some(&log), || guests::build(toolchain, &packages, "guest"))
            .context("cannot build the commands")?;
    for (name, component) in names.iter().zip(built) {
        place(&artifacts().join(name), &sources().join(name).join("plugin.toml"), &component.wasm_path)?;
    }
    // Artifacts of commands that no longer exist must not be published.
    let known = all()?;
    for name in folders(&artifacts())?.iter().filter(|name| !known.contains(name)) {
        fs_err::remove_dir_all(artifacts().join(name)).context("cannot clear an old command")?;
    }
    Ok(())
}

/// Builds every command as released, as `NAME.wasm` in the folder `out`. The bytes are the same for all `folders` with
/// the same sources.
///
/// Demo and tests use the same profile as releases.
pub fn build_for_release(folders: &Folders, toolchain: &Toolchain, out: &Path) -> Result<()> {
    let names = all()?;
    let packages = packages(&names);
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let log = locations::log("guests");
    let label = format!("building the commands in {}", folders.workspace.display());
    let built =
        report::during(&label, Some(&log), || guests::build_in(folders, toolchain, &packages, "guest"))
            .context("cannot build the commands")?;
    if out.exists() {
        fs_err::remove_dir_all(out).context("cannot clear the folder of the commands")?;
    }
    fs_err::create_dir_all(out).context("cannot create the folder of the commands")?;
    for (name, component) in names.iter().zip(built) {
        fs_err::copy(&component.wasm_path, out.join(name).with_extension("wasm"))
            .context("cannot copy a command")?;
    }
    Ok(())
}

fn packages(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("kf-plugin-{name}")).collect()
}

fn sources() -> PathBuf {
    locations::workspace().join("plugins")
}

/// The toolchain for guests. Prints which one is used.
pub fn toolchain() -> Result<Toolchain> {
    let forced = Way::forced().context("cannot choose a wasm toolchain")?;
    let toolchain = resolve(&Machine::default(), forced, report::step).context("cannot build commands")?;
    report::step(&format!("commands are compiled with {}", toolchain.way));
    Ok(toolchain)
}

/// Copies a component and its manifest into a folder for `kf registry build`.
pub fn place(folder: &Path, manifest: &Path, component: &Path) -> Result<()> {
    fs_err::create_dir_all(folder).context("cannot copy a command")?;
    fs_err::copy(manifest, folder.join("plugin.toml")).context("cannot copy a command")?;
    fs_err::copy(component, folder.join("plugin.wasm")).context("cannot copy a command")?;
    Ok(())
}

/// The names of the subfolders, sorted.
pub fn folders(parent: &Path) -> Result<Vec<String>> {
    if !parent.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(parent).context("cannot find the commands")? {
        let entry = entry.context("cannot find the commands")?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}
