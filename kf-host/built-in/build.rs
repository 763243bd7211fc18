//! Generates the list of built-in commands, if the feature `embedded` is enabled.
//!
//! | variable | value |
//! |---|---|
//! | `KF_BUILT_IN` | absolute path of the folder that `kf-bundle` wrote |
//! | `KF_REGISTRY_URL` | addresses of the default registry, separated by spaces; if unset, there is no default registry |

use std::env::var_os;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    println!("cargo::rerun-if-env-changed=KF_BUILT_IN");
    println!("cargo::rerun-if-env-changed=KF_REGISTRY_URL");
    let (mut commands, mut registry) = ("&[]".to_owned(), "None".to_owned());
    if var_os("CARGO_FEATURE_EMBEDDED").is_some() {
        let folder = var_os("KF_BUILT_IN").map(PathBuf::from).filter(|folder| folder.is_absolute());
        let missing = "KF_BUILT_IN must be the absolute path of a folder that kf-bundle wrote";
        let folder = folder.ok_or_else(|| io::Error::other(missing))?;
        println!("cargo::rerun-if-changed={}", folder.display());
        commands = list(&folders(&folder.join("commands"))?);
        let urls = var_os("KF_REGISTRY_URL").and_then(|urls| urls.into_string().ok()).unwrap_or_default();
        let urls: Vec<&str> = urls.split_whitespace().collect();
        if !urls.is_empty() {
            registry = default_registry(&folder.join("registry"), &urls)?;
        }
    }
    let out = PathBuf::from(var_os("OUT_DIR").unwrap_or_default());
    fs_err::write(out.join("commands.rs"), commands)?;
    fs_err::write(out.join("registry.rs"), registry)
}

/// The folders in a folder, sorted by name.
fn folders(parent: &Path) -> io::Result<Vec<PathBuf>> {
    let mut folders = Vec::new();
    for entry in fs_err::read_dir(parent)? {
        let path = entry?.path();
        if path.is_dir() {
            folders.push(path);
        }
    }
    folders.sort();
    if folders.is_empty() {
        return Err(io::Error::other(format!("{} is empty", parent.display())));
    }
    Ok(folders)
}

fn list(commands: &[PathBuf]) -> String {
    let mut list = String::from("&[\n");
    for folder in commands {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let file = |file: &str| folder.join(file).display().to_string();
        let _infallible = writeln!(
            list,
            "BuiltIn {{ name: {name:?}, receipt: include_str!({:?}), manifest: include_str!({:?}), \
             component: include_bytes!({:?}) }},",
            file("receipt.json"),
            file("plugin.toml"),
            file("plugin.wasm.br"),
        );
    }
    list.push(']');
    list
}

/// The registry of the built-in commands.
fn default_registry(folder: &Path, urls: &[&str]) -> io::Result<String> {
    let folders = folders(folder)?;
    let [folder] = folders.as_slice() else {
        return Err(io::Error::other(format!("{} holds more than one registry", folder.display())));
    };
    let id = folder.file_name().unwrap_or_default().to_string_lossy();
    let root = folder.join("root.json").display().to_string();
    Ok(format!("Some(DefaultRegistry {{ id: {id:?}, urls: &{urls:?}, root: include_bytes!({root:?}) }})"))
}
