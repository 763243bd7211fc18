//! Builds the WebAssembly guests: the first-party commands and the adversarial ones.
//!
//! Guests are ordinary members of the workspace compiled for `wasm32-unknown-unknown`. The linker
//! is `wasm-component-ld`, so what cargo writes is a component already. There is no WASI in them:
//! a guest can reach nothing but the ABI it imports.
//!
//! The one thing a machine may lack is Rust's standard library for that target; [`toolchain`]
//! finds it in three ways.

#[cfg(feature = "bindings")]
pub mod bindings;
mod build;
mod debian;
pub mod toolchain;

pub use build::{GuestArtifact, build, build_examples};

use std::path::{Path, PathBuf};

/// Why a guest could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("{program} failed: {message}")]
    Program { program: String, message: String },
    #[error("cargo's messages could not be read: {0}")]
    Messages(#[from] serde_json::Error),
    #[error("`{0}` makes no component; is its crate-type cdylib?")]
    NoComponent(String),
    #[error("{0} is not part of this Rust toolchain")]
    NoLinker(PathBuf),
    #[error("KF_GUEST_TOOLCHAIN is `{0}`; it can be installed, rustup or debian")]
    UnknownWay(String),
    #[error("no Rust for wasm32-unknown-unknown: {0}")]
    NoToolchain(String),
    #[error("no Debian mirror is configured on this machine")]
    NoMirror,
}

/// FNV-1a over the names and texts of a folder's WIT files, in order of name. It finds forgotten
/// regenerations; it guards against nobody.
pub fn wit_digest(folder: &Path) -> std::io::Result<u64> {
    let mut files = fs_err::read_dir(folder)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<Vec<_>, _>>()?;
    files.retain(|path| path.extension().is_some_and(|extension| extension == "wit"));
    files.sort();
    let mut digest = 0xcbf2_9ce4_8422_2325_u64;
    for path in files {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        for byte in name.into_bytes().into_iter().chain(fs_err::read(&path)?) {
            digest = (digest ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }
    Ok(digest)
}

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    manifest.ancestors().nth(2).unwrap_or(manifest).to_owned()
}
