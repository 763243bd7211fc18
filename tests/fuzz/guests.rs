//! Components, and the command trees of the first-party commands.

use std::path::{Path, PathBuf};

use kf_sandbox::{InspectError, inspect};
use serde_json::Value;

use crate::documents::assert_is_short;
use crate::mutate;
use crate::run::run;

/// The folder of the built first-party commands.
fn built() -> PathBuf {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("target/plugins");
    std::env::var_os("KF_TEST_PLUGINS").map_or_else(default, PathBuf::from)
}

/// The command trees that lie beside the built commands, if any do.
pub fn command_trees() -> Vec<Value> {
    let folders = fs_err::read_dir(built()).unwrap().map(|entry| entry.unwrap().path());
    let files = folders.map(|folder| folder.join("command.json"));
    files.filter_map(|file| serde_json::from_slice(&fs_err::read(file).ok()?).ok()).collect()
}

#[test]
fn component_with_changed_sections_is_refused_or_valid() {
    let seed = fs_err::read(built().join("hello/plugin.wasm")).unwrap();
    inspect(&seed).unwrap();
    run(150, |_, changes| match inspect(&mutate::component(&seed, changes)) {
        Ok(inspection) => assert_eq!((inspection.abi.major, inspection.abi.minor), (0, 1)),
        Err(error) => {
            assert_is_short(&error);
            if let InspectError::MalformedAbi(abi) | InspectError::UnsupportedAbi(abi) = &error {
                assert!(abi.chars().count() <= 400, "{abi:?}");
            }
        }
    });
}

/// The custom sections come first: most of the changes are there.
#[test]
fn small_component_with_changed_bytes_is_refused() {
    // A component without anything, and one with the section of the ABI.
    let empty = b"\0asm\x0d\0\x01\0".to_vec();
    let abi = mutate::component(&empty, &[(1, 0, 18)]);
    for seed in [empty, abi] {
        run(500, |_, changes| {
            assert_is_short(&inspect(&mutate::bytes(&seed, changes)).unwrap_err());
            assert_is_short(&inspect(&mutate::component(&seed, changes)).unwrap_err());
        });
    }
}
