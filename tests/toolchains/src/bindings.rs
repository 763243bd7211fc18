//! The SDK's bindings to the ABI, generated once and checked in.
//!
//! If every build of a plugin generated them, it would first compile a WIT parser and a code generator,
//! which takes nearly a minute. The WIT of a released version never changes, so its bindings do not
//! either.
//!
//! Run `cargo xtask bindings` after a change of the WIT.

use std::path::{Path, PathBuf};

use wit_bindgen_core::wit_parser::Resolve;
use wit_bindgen_core::{Files, WorldGenerator};

/// Why the bindings could not be generated.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Io(#[from] std::io::Error),
    #[error("cannot generate bindings from the WIT: {0:#}")]
    Wit(String),
    #[error("the generator returned no file")]
    Empty,
}

/// Writes `kf-plugin-sdk/src/bindings.rs`.
pub fn write() -> Result<(), Error> {
    let sdk = sdk_folder();
    let text = generate(&sdk.join("wit/since-0.1.0"))?;
    fs_err::write(sdk.join("src/bindings.rs"), text)?;
    Ok(())
}

/// Generates the bindings for the world `command` of a WIT folder.
///
/// The first line has the digest of the folder, which a test of the SDK checks.
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
