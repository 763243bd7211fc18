//! Cargo, told to make components.

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

/// Builds the packages' libraries; one component each, in the order asked.
///
/// The crate type is given here and not in their `Cargo.toml`, because the host's static target
/// has no dynamic libraries and would warn about each of them.
pub fn build(toolchain: &Toolchain, packages: &[&str], profile: &str) -> Result<Vec<GuestArtifact>> {
    build_in(&folders(toolchain), toolchain, packages, profile)
}

/// As [`build`], from and into other folders than this workspace's.
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

/// Builds a package's examples; one component each, in order of name.
///
/// All features are on: examples that are guests hide from the host's builds behind one.
pub fn build_examples(toolchain: &Toolchain, package: &str, profile: &str) -> Result<Vec<GuestArtifact>> {
    let words = ["--package", package, "--examples", "--all-features"];
    let artifacts = cargo(&folders(toolchain), toolchain, "build", &words, profile)?;
    if artifacts.is_empty() {
        return Err(Error::NoComponent(package.to_owned()));
    }
    Ok(artifacts)
}

/// Builds one of a package's examples.
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
    // Flags meant for the host's own build are no flags for a guest.
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

/// This workspace's. The target folder lies apart from that of the host's build, whose flags differ; and apart by compiler,
/// whose libraries do.
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
