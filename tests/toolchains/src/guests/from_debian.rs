//! A Rust toolchain for WebAssembly from Debian packages, unpacked and not installed.
//!
//! Debian ships the standard library for `wasm32-unknown-unknown` with a newer rustc than most
//! machines have. That rustc needs a newer C library as well, so it is started through the unpacked
//! dynamic loader; the programs that it starts (the host's `cc`, the linkers) use the system's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::toolchain::{Host, TARGET};
use crate::debian::{self, Packages, Suite};
use crate::{Error, Progress, Result, command, locations};

/// rustc without its dependency, a C compiler; its library with all dependencies.
const PACKAGES: Packages<'_> = Packages {
    alone: &["rustc"],
    with_dependencies: &["libstd-rust-dev", "libstd-rust-dev-wasm32"],
    suite: Suite::Named("forky"),
};

/// Downloads and unpacks the compiler if it is not cached. Returns its path.
pub(super) fn rustc(host: &Host, progress: Progress) -> Result<PathBuf> {
    let root = debian::cached("rust-wasm", &PACKAGES, progress)?;
    if !root.join("usr/lib/rustlib").join(TARGET).is_dir() {
        return Err(Error::malformed(root, format!("no library for {TARGET}")));
    }
    let rustc = locations::target().join("guests-debian/bin/rustc");
    write_if_changed(&rustc, &wrapper(&root, host)?)?;
    command::output(Command::new(&rustc).arg("-vV"))?;
    Ok(rustc)
}

/// A script that starts the unpacked rustc through the unpacked loader, with the linkers of the
/// host's Rust on PATH.
fn wrapper(root: &Path, host: &Host) -> Result<String> {
    let libraries = entry(&root.join("usr/lib"), |name| name.ends_with("-linux-gnu"))?;
    let loader = entry(&libraries, |name| name.starts_with("ld-linux"))?;
    // The real path: otherwise the script could differ each time.
    let linkers = fs_err::canonicalize(host.tools())?;
    Ok(format!(
        "#!/bin/sh\nPATH='{linkers}':\"$PATH\"; export PATH\n\
         exec '{loader}' --argv0 rustc --library-path '{libraries}' '{root}/usr/bin/rustc' --sysroot '{root}/usr' \"$@\"\n",
        linkers = linkers.join("gcc-ld").display(),
        loader = loader.display(),
        libraries = libraries.display(),
        root = root.display(),
    ))
}

fn entry(directory: &Path, matches: impl Fn(&str) -> bool) -> Result<PathBuf> {
    fs_err::read_dir(directory)?
        .filter_map(Result::ok)
        .find(|entry| matches(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .ok_or_else(|| Error::malformed(directory, "no dynamic loader in the packages"))
}

/// Writes the script only if it changed: cargo recompiles everything if the compiler's file changes.
fn write_if_changed(path: &Path, script: &str) -> Result<()> {
    if fs_err::read_to_string(path).is_ok_and(|text| text == script) {
        return Ok(());
    }
    if let Some(directory) = path.parent() {
        fs_err::create_dir_all(directory)?;
    }
    let aside = path.with_extension(std::process::id().to_string());
    fs_err::write(&aside, script)?;
    fs_err::set_permissions(&aside, PermissionsExt::from_mode(0o755))?;
    Ok(fs_err::rename(&aside, path)?)
}
