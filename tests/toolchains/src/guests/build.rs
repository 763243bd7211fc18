//! Building components with cargo.

use std::path::PathBuf;
use std::process::Command;

use serde::Deserialize;

use super::toolchain::{TARGET, Toolchain, Way};
use crate::remap::Folders;
use crate::{Error, Result, command, locations};

/// A component that was built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GuestArtifact {
    /// The library's or example's name.
    pub name: String,
    pub wasm_path: PathBuf,
}

/// Builds the libraries of packages: one component each, in the given order.
///
/// The crate type is set here and not in their `Cargo.toml`, because the host's static target has no
/// dynamic libraries and would print a warning for each.
pub fn build(toolchain: &Toolchain, packages: &[&str], profile: &str) -> Result<Vec<GuestArtifact>> {
    build_in(&folders(toolchain), toolchain, packages, profile)
}

/// The same as [`build`], with other folders than those of this workspace.
pub fn build_in(
    folders: &Folders,
    toolchain: &Toolchain,
    packages: &[&str],
    profile: &str,
) -> Result<Vec<GuestArtifact>> {
    let build = |package: &&str| {
        let words = ["--package", *package, "--lib", "--crate-type", "cdylib"];
        let artifacts = cargo(folders, toolchain, "rustc", &words, profile)?;
        let library = package.replace('-', "_");
        let artifact = artifacts.into_iter().find(|artifact| artifact.name == library);
        artifact.ok_or_else(|| Error::NoComponent((*package).to_owned()))
    };
    packages.iter().map(build).collect()
}

/// Builds the examples of a package: one component each, sorted by name.
///
/// All features are enabled: examples that are guests need one, so that the host's builds skip them.
pub fn build_examples(toolchain: &Toolchain, package: &str, profile: &str) -> Result<Vec<GuestArtifact>> {
    let words = ["--package", package, "--examples", "--all-features"];
    let artifacts = cargo(&folders(toolchain), toolchain, "build", &words, profile)?;
    if artifacts.is_empty() {
        return Err(Error::NoComponent(package.to_owned()));
    }
    Ok(artifacts)
}

/// Builds one example of a package.
pub fn build_example(
    toolchain: &Toolchain,
    package: &str,
    example: &str,
    profile: &str,
) -> Result<GuestArtifact> {
    let words = ["--package", package, "--example", example, "--all-features"];
    let artifacts = cargo(&folders(toolchain), toolchain, "build", &words, profile)?;
    let artifact = artifacts.into_iter().find(|artifact| artifact.name == example);
    artifact.ok_or_else(|| Error::NoComponent(example.to_owned()))
}

/// A line of cargo's JSON messages; other lines have other fields.
#[derive(Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    target: Option<Target>,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

fn cargo(
    folders: &Folders,
    toolchain: &Toolchain,
    verb: &str,
    words: &[&str],
    profile: &str,
) -> Result<Vec<GuestArtifact>> {
    let mut cargo = Command::new(locations::variable("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(&folders.workspace)
        .args([verb, "--message-format", "json-render-diagnostics"])
        .args(["--target", TARGET, "--profile", profile, "--target-dir"])
        .arg(&folders.target)
        .args(words)
        .env("CARGO_HOME", &folders.cargo_home)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &toolchain.linker);
    // These variables are for the host's own build.
    for variable in ["RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR", "RUSTC_BOOTSTRAP"] {
        cargo.env_remove(variable);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", folders.encoded_flags(&toolchain.sysroot, &toolchain.commit)?);
    if let Some(rustc) = &toolchain.rustc {
        cargo.env("RUSTC", rustc);
    }
    let messages = command::logged(&mut cargo, &locations::log("guests"))?;
    let mut artifacts = Vec::new();
    for line in messages.lines() {
        let message: Message = serde_json::from_str(line)
            .map_err(|error| Error::malformed("cargo's messages", format!("{error}: {line}")))?;
        let Some(target) = message.target.filter(|_| message.reason == "compiler-artifact") else { continue };
        let wasm = message.filenames.into_iter().find(|path| path.extension().is_some_and(|is| is == "wasm"));
        if let Some(wasm_path) = wasm {
            artifacts.push(GuestArtifact { name: target.name, wasm_path });
        }
    }
    artifacts.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(artifacts)
}

/// The folders of this workspace. The target folder is separate from that of the host's build, which has other flags, and
/// separate for each compiler, which has other libraries.
fn folders(toolchain: &Toolchain) -> Folders {
    let target = match toolchain.way {
        Way::Installed | Way::Rustup => "guests",
        Way::Debian => "guests-debian",
    };
    Folders {
        workspace: locations::workspace(),
        target: locations::target().join(target),
        cargo_home: locations::cargo_home(),
    }
}
