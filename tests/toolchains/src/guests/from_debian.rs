//! A Rust for WebAssembly out of Debian's packages, unpacked and not installed.
//!
//! Debian ships the standard library for `wasm32-unknown-unknown` beside a newer rustc than most
//! machines have. That rustc wants a newer C library too, so it is started through the unpacked
//! dynamic loader; the programs it starts in turn (the host's `cc`, the linkers) keep the
//! system's.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::toolchain::{Host, TARGET};
use crate::debian::{self, Packages, Suite};
use crate::{Error, Progress, Result, command, locations};

/// rustc alone, because what it depends on is a C compiler; its library with all that runs it.
const PACKAGES: Packages<'_> = Packages {
    alone: &["rustc"],
    with_dependencies: &["libstd-rust-dev", "libstd-rust-dev-wasm32"],
    suite: Suite::Named("forky"),
};

/// The unpacked compiler, downloaded and unpacked if it is not in the cache yet.
pub(super) fn rustc(host: &Host, progress: Progress) -> Result<PathBuf> {
    let root = debian::cached("rust-wasm", &PACKAGES, progress)?;
    if !root.join("usr/lib/rustlib").join(TARGET).is_dir() {
        return Err(Error::malformed(root, format!("it has no library for {TARGET}")));
    }
    let rustc = locations::target().join("guests-debian/bin/rustc");
    write_if_other(&rustc, &wrapper(&root, host)?)?;
    command::output(Command::new(&rustc).arg("-vV"))?;
    Ok(rustc)
}

/// A script that starts the unpacked rustc through the unpacked loader, with the linkers of the
/// host's Rust on PATH.
fn wrapper(root: &Path, host: &Host) -> Result<String> {
    let libraries = entry(&root.join("usr/lib"), |name| name.ends_with("-linux-gnu"))?;
    let loader = entry(&libraries, |name| name.starts_with("ld-linux"))?;
    // The way there may be another each time, and the script may not.
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

fn entry(directory: &Path, is_it: impl Fn(&str) -> bool) -> Result<PathBuf> {
    fs_err::read_dir(directory)?
        .filter_map(Result::ok)
        .find(|entry| is_it(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .ok_or_else(|| Error::malformed(directory, "the packages hold no dynamic loader"))
}

/// Cargo compiles everything again when the compiler's file changes.
fn write_if_other(path: &Path, script: &str) -> Result<()> {
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
