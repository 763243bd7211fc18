//! The first-party commands as artifacts: a folder each, with `plugin.wasm` and `plugin.toml`.

use std::path::{Path, PathBuf};

use kf_guests::toolchain::{self, Options};

use crate::say;
use crate::step::{Doing, Result, target, workspace};

/// Builds every command of `plugins/`; returns the folder `kf registry build` takes them from.
pub fn build() -> Result<PathBuf> {
    let names = folders(&workspace().join("plugins"))?;
    let packages: Vec<String> = names.iter().map(|name| format!("kf-plugin-{name}")).collect();
    let artifacts = target().join("plugins");
    let sources = names.iter().map(|name| workspace().join("plugins").join(name).join("plugin.toml"));
    let toolchain = toolchain()?;
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    let built = kf_guests::build(&toolchain, &packages, "guest").doing("cannot build the commands")?;
    for ((name, manifest), component) in names.iter().zip(sources).zip(built) {
        place(&artifacts.join(name), &manifest, &component.wasm_path)?;
    }
    // What a command of another time left behind must not be published.
    for name in folders(&artifacts)?.iter().filter(|name| !names.contains(name)) {
        fs_err::remove_dir_all(artifacts.join(name)).doing("cannot clear an old command")?;
    }
    Ok(artifacts)
}

/// The Rust that builds guests; says which it took.
pub fn toolchain() -> Result<toolchain::Toolchain> {
    let options = Options::from_environment().doing("cannot choose a wasm toolchain")?;
    let toolchain = toolchain::resolve(&options).doing("cannot build commands")?;
    say::line(&format!("· building the commands with {}", toolchain.way));
    Ok(toolchain)
}

/// Puts a component and its manifest where `kf registry build` looks for them.
pub fn place(folder: &Path, manifest: &Path, component: &Path) -> Result<()> {
    fs_err::create_dir_all(folder).doing("cannot place a command")?;
    fs_err::copy(manifest, folder.join("plugin.toml")).doing("cannot place a command")?;
    fs_err::copy(component, folder.join("plugin.wasm")).doing("cannot place a command")?;
    Ok(())
}

fn folders(parent: &Path) -> Result<Vec<String>> {
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
