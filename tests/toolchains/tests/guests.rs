//! Building guests with and without the installed target.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;

use kf_toolchains::guests::toolchain::{Machine, TARGET, Toolchain, Way, resolve};
use kf_toolchains::{command, guests, locations, progress, skip};

/// The `kf:abi` section: name and text, length-prefixed.
const ABI: &[u8] = b"\x06kf:abi0.1.0";

#[expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a failure here fails the test")]
fn builds_hello(toolchain: &Toolchain) {
    let guests = guests::build(toolchain, &["kf-plugin-hello"], "guest").unwrap();
    let wasm = fs_err::read(&guests[0].wasm_path).unwrap();
    assert!(wasm.starts_with(b"\0asm\x0d\0\x01\0"), "a component, not a module");
    assert!(wasm.windows(ABI.len()).any(|bytes| bytes == ABI), "no ABI version in it");
    for import in ["kf:plugin/kube", "kf:plugin/logs", "kf:plugin/files", "wasi:"] {
        let found = wasm.windows(import.len()).any(|bytes| bytes == import.as_bytes());
        assert!(!found, "hello has no permissions and imports {import}");
    }
    for folder in [locations::workspace(), locations::cargo_home(), toolchain.sysroot.clone()] {
        let name = folder.as_os_str().as_encoded_bytes();
        let found = wasm.windows(name.len()).any(|bytes| bytes == name);
        assert!(!found, "it has a path of this machine: {}", folder.display());
    }
}

#[test]
fn guest_is_built_with_first_toolchain_found() {
    let toolchain = resolve(&Machine::default(), Way::forced().unwrap(), progress::silent).unwrap();
    builds_hello(&toolchain);
}

#[test]
fn guest_is_built_from_debian_packages_without_target_and_rustup() {
    let apt = command::find("apt-get").map(drop).ok_or("this machine has no apt-get");
    if skip::unless(apt, "guest_is_built_from_debian_packages_without_target_and_rustup") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let toolchain = resolve(&machine_without_target(folder.path()), None, progress::silent).unwrap();
    assert_eq!(toolchain.way, Way::Debian);
    builds_hello(&toolchain);
}

/// This machine's Rust without the library for guests, and without rustup.
#[expect(clippy::unwrap_used, reason = "a failure here fails the test")]
fn machine_without_target(folder: &Path) -> Machine {
    let Machine { rustc, .. } = Machine::default();
    let sysroot = command::output(Command::new(&rustc).args(["--print", "sysroot"])).unwrap();
    let libraries = folder.join("lib/rustlib");
    fs_err::create_dir_all(&libraries).unwrap();
    for entry in fs_err::read_dir(Path::new(sysroot.trim()).join("lib/rustlib")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_name() != TARGET {
            symlink(entry.path(), libraries.join(entry.file_name())).unwrap();
        }
    }
    let wrapper = folder.join("rustc");
    let script = format!(
        "#!/bin/sh\nif [ \"$*\" = '--print sysroot' ]; then echo '{}'; else exec '{}' \"$@\"; fi\n",
        folder.display(),
        rustc.display()
    );
    fs_err::write(&wrapper, script).unwrap();
    fs_err::set_permissions(&wrapper, PermissionsExt::from_mode(0o755)).unwrap();
    let rustup = folder.join("no-rustup-here");
    Machine { rustc: wrapper.into(), rustup: rustup.into() }
}
