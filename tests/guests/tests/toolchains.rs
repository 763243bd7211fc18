//! Guests are built on machines that have the target, and on machines that do not.

use kf_guests::build;
use kf_guests::toolchain::{Options, Way, resolve};

/// The `kf:abi` section as kf looks for it: name and text, length-prefixed.
const ABI: &[u8] = b"\x06kf:abi0.1.0";

#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what fails here fails the test")]
fn builds_hello(way: Way) {
    let options = Options { only: Some(way), ..Options::from_environment().unwrap() };
    let toolchain = resolve(&options).unwrap();
    assert_eq!(toolchain.way, way);
    let guests = build(&toolchain, &["kf-plugin-hello"], "guest").unwrap();
    let wasm = fs_err::read(&guests[0].wasm_path).unwrap();
    assert!(wasm.starts_with(b"\0asm\x0d\0\x01\0"), "a component, not a module");
    assert!(wasm.windows(ABI.len()).any(|bytes| bytes == ABI), "the ABI's version is in it");
    for import in ["kf:plugin/kube", "kf:plugin/logs", "kf:plugin/files", "wasi:"] {
        let found = wasm.windows(import.len()).any(|bytes| bytes == import.as_bytes());
        assert!(!found, "hello asks for nothing and imports {import}");
    }
}

#[test]
fn with_the_installed_target() {
    builds_hello(Way::Installed);
}

#[test]
fn without_the_target_from_debians_packages() {
    if !std::path::Path::new("/etc/debian_version").is_file() {
        eprintln!("skipped: this is no Debian");
        return;
    }
    builds_hello(Way::Debian);
}
