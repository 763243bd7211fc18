//! The first-party commands as artifacts: a folder each, with `plugin.wasm` and `plugin.toml`.

use std::path::{Path, PathBuf};

use kf_toolchains::guests::toolchain::{Machine, Toolchain, Way, resolve};
use kf_toolchains::remap::Folders;
use kf_toolchains::{guests, locations};

use crate::say;
use crate::step::{Doing, Result};

/// Where `kf registry build` takes the commands from.
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

/// Builds these commands with a toolchain that was found before.
pub fn build_with(toolchain: &Toolchain, names: &[String]) -> Result<()> {
    let packages = packages(names);
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let log = locations::log("guests");
    let built =
        say::during("building the commands", Some(&log), || guests::build(toolchain, &packages, "guest"))
            .doing("cannot build the commands")?;
    for (name, component) in names.iter().zip(built) {
        place(&artifacts().join(name), &sources().join(name).join("plugin.toml"), &component.wasm_path)?;
    }
    // What a command of another time left behind must not be published.
    let known = all()?;
    for name in folders(&artifacts())?.iter().filter(|name| !known.contains(name)) {
        fs_err::remove_dir_all(artifacts().join(name)).doing("cannot clear an old command")?;
    }
    Ok(())
}

/// Builds every command as it is shipped: into the folder `out`, `NAME.wasm` each and nothing else. The bytes are the
/// same for all `folders` with the same sources.
///
/// Demo and tests run what is shipped, so there is one profile for all of them.
pub fn build_for_release(folders: &Folders, toolchain: &Toolchain, out: &Path) -> Result<()> {
    let names = all()?;
    let packages = packages(&names);
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let log = locations::log("guests");
    let label = format!("building the commands in {}", folders.workspace.display());
    let built = say::during(&label, Some(&log), || guests::build_in(folders, toolchain, &packages, "guest"))
        .doing("cannot build the commands")?;
    if out.exists() {
        fs_err::remove_dir_all(out).doing("cannot clear the folder of the commands")?;
    }
    fs_err::create_dir_all(out).doing("cannot make the folder of the commands")?;
    for (name, component) in names.iter().zip(built) {
        fs_err::copy(&component.wasm_path, out.join(name).with_extension("wasm"))
            .doing("cannot place a command")?;
    }
    Ok(())
}

fn packages(names: &[String]) -> Vec<String> {
    names.iter().map(|name| format!("kf-plugin-{name}")).collect()
}

fn sources() -> PathBuf {
    locations::workspace().join("plugins")
}

/// The Rust that builds guests; says which it took.
pub fn toolchain() -> Result<Toolchain> {
    let forced = Way::forced().doing("cannot choose a wasm toolchain")?;
    let toolchain = resolve(&Machine::default(), forced, say::step).doing("cannot build commands")?;
    say::step(&format!("commands are compiled with {}", toolchain.way));
    Ok(toolchain)
}

/// Puts a component and its manifest where `kf registry build` looks for them.
pub fn place(folder: &Path, manifest: &Path, component: &Path) -> Result<()> {
    fs_err::create_dir_all(folder).doing("cannot place a command")?;
    fs_err::copy(manifest, folder.join("plugin.toml")).doing("cannot place a command")?;
    fs_err::copy(component, folder.join("plugin.wasm")).doing("cannot place a command")?;
    Ok(())
}

/// The names of the folders in a folder, sorted.
pub fn folders(parent: &Path) -> Result<Vec<String>> {
    if !parent.exists() {
        return Ok(Vec::new());
    }
    let mut names = Vec::new();
    for entry in fs_err::read_dir(parent).doing("cannot look for commands")? {
        let entry = entry.doing("cannot look for commands")?;
        if entry.path().is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    names.sort();
    Ok(names)
}
