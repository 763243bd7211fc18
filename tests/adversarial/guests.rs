//! The guests, built once per process.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::OnceLock;

use kf_sandbox::Code;
use kf_toolchains::guests::toolchain::{Machine, Way, resolve};
use kf_toolchains::{guests, progress};
use semver::Version;

/// The component of an attack.
pub(crate) fn wasm(attack: &str) -> Vec<u8> {
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let toolchain = resolve(&Machine::default(), Way::forced().unwrap(), progress::silent).unwrap();
        // The `dev` profile builds quickly, and the guests need not be fast.
        let guests = guests::build_examples(&toolchain, "kf-attacks", "dev").unwrap();
        guests.into_iter().map(|guest| (guest.name, guest.wasm_path)).collect()
    });
    fs_err::read(&built[attack]).unwrap()
}

/// The ABI version of the guests.
pub(crate) const ABI: Version = Version::new(0, 1, 0);

/// The machine code of an attack.
pub(crate) fn code(attack: &str) -> Code {
    Code::Compiled(kf_sandbox::compile(&wasm(attack)).unwrap())
}
