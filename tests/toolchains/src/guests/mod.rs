//! The WebAssembly guests: first-party commands and the adversarial ones.
//!
//! Guests are ordinary members of the workspace compiled for `wasm32-unknown-unknown`. The linker
//! is `wasm-component-ld`, so cargo's output is a component. They have no WASI: a guest can use only the
//! ABI that it imports.
//!
//! A machine may lack Rust's standard library for that target; [`toolchain`] finds it in one of three
//! ways.

mod build;
mod from_debian;
pub mod toolchain;

pub use build::{GuestArtifact, build, build_example, build_examples, build_in};

use std::path::Path;

/// FNV-1a over the names and texts of a folder's WIT files, sorted by name. It detects outdated
/// bindings; it is not a protection against attackers.
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
