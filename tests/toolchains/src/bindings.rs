//! The SDK's bindings to the ABI, generated once and checked in.
//!
//! Generating them in every build of every plugin would compile a WIT parser and a code generator
//! first, nearly a minute before the author's first line. The WIT of a released version never
//! changes, so neither do its bindings.
//!
//! `cargo xtask bindings` runs it, after a change of the WIT.

use std::path::{Path, PathBuf};

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

/// Why the bindings could not be rewritten.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("the WIT does not make bindings: {0:#}")]
    Wit(String),
    #[error("the generator made no file")]
    Empty,
}

/// Writes `kf-plugin-sdk/src/bindings.rs`.
pub fn write() -> Result<(), Error> {
    let sdk = sdk_folder();
    let text = generate(&sdk.join("wit/since-0.1.0"))?;
    fs_err::write(sdk.join("src/bindings.rs"), text)?;
    Ok(())
}

/// The text of the bindings to the world `command` in a WIT folder.
///
/// The first line holds the digest a test of the SDK compares with the folder's.
pub fn generate(wit: &Path) -> Result<String, Error> {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(wit).map_err(|error| Error::Wit(format!("{error:#}")))?;
    let world = resolve
        .select_world(&[package], Some("command"))
        .map_err(|error| Error::Wit(format!("{error:#}")))?;
    let options = wit_bindgen_rust::Opts {
        format: true,
        generate_all: true,
        pub_export_macro: true,
        export_macro_name: Some("export_command".into()),
        default_bindings_module: Some("kf_plugin_sdk::bindings".into()),
        ..Default::default()
    };
    let mut files = Files::default();
    options
        .build()
        .generate(&mut resolve, world, &mut files)
        .map_err(|error| Error::Wit(format!("{error:#}")))?;
    let (_, generated) = files.iter().next().ok_or(Error::Empty)?;
    let digest = crate::guests::wit_digest(wit)?;
    let body = String::from_utf8_lossy(generated);
    Ok(format!("// wit: {digest:016x}, by `cargo xtask bindings`. Do not edit.\n{body}"))
}

fn sdk_folder() -> PathBuf {
    crate::locations::workspace().join("kf-plugin-sdk")
}
