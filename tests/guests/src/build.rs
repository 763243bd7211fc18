use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde::Deserialize;

use crate::Error;
use crate::toolchain::{TARGET, Toolchain, Way, environment};

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
pub fn build(toolchain: &Toolchain, packages: &[&str], profile: &str) -> Result<Vec<GuestArtifact>, Error> {
    let build = |package: &&str| {
        let words = ["--package", *package, "--lib", "--crate-type", "cdylib"];
        let artifacts = cargo(toolchain, "rustc", &words, profile)?;
        let library = package.replace('-', "_");
        let artifact = artifacts.into_iter().find(|artifact| artifact.name == library);
        artifact.ok_or_else(|| Error::NoComponent((*package).to_owned()))
    };
    packages.iter().map(build).collect()
}

/// Builds a package's examples; one component each, in order of name.
///
/// All features are on: examples that are guests hide from the host's builds behind one.
pub fn build_examples(
    toolchain: &Toolchain,
    package: &str,
    profile: &str,
) -> Result<Vec<GuestArtifact>, Error> {
    let artifacts =
        cargo(toolchain, "build", &["--package", package, "--examples", "--all-features"], profile)?;
    if artifacts.is_empty() {
        return Err(Error::NoComponent(package.to_owned()));
    }
    Ok(artifacts)
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
    toolchain: &Toolchain,
    verb: &str,
    words: &[&str],
    profile: &str,
) -> Result<Vec<GuestArtifact>, Error> {
    let workspace = crate::workspace();
    let mut command = Command::new(environment("CARGO").unwrap_or_else(|| "cargo".to_owned()));
    command
        .current_dir(&workspace)
        .args([verb, "--quiet", "--message-format", "json-render-diagnostics"])
        .args(["--target", TARGET, "--profile", profile, "--target-dir"])
        .arg(target_folder(&workspace, toolchain.way))
        .args(words)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_LINKER", &toolchain.linker)
        .stderr(Stdio::inherit());
    // Flags meant for the host's own build are no flags for a guest.
    for variable in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "CARGO_BUILD_TARGET", "CARGO_TARGET_DIR"] {
        command.env_remove(variable);
    }
    if let Some(rustc) = &toolchain.rustc {
        command.env("RUSTC", rustc);
    }
    let output = command.output()?;
    if !output.status.success() {
        let message = format!("{verb} {} for {TARGET}", words.join(" "));
        return Err(Error::Program { program: "cargo".to_owned(), message });
    }
    let mut artifacts = Vec::new();
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        let message: Message = serde_json::from_str(line)?;
        let Some(target) = message.target.filter(|_| message.reason == "compiler-artifact") else { continue };
        let wasm = message.filenames.into_iter().find(|path| path.extension().is_some_and(|is| is == "wasm"));
        if let Some(wasm_path) = wasm {
            artifacts.push(GuestArtifact { name: target.name, wasm_path });
        }
    }
    artifacts.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(artifacts)
}

/// Apart from the host's build, whose flags differ; and apart by compiler, whose libraries do.
fn target_folder(workspace: &Path, way: Way) -> PathBuf {
    match way {
        Way::Installed | Way::Rustup => workspace.join("target/guests"),
        Way::Debian => workspace.join("target/guests-debian"),
    }
}
