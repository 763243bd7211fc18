//! Passes the exact version of wasmtime to the crate.

use std::path::Path;

fn main() {
    let lock = Path::new("../../Cargo.lock");
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={}", lock.display());
    let version = fs_err::read_to_string(lock).ok().and_then(|lock| wasmtime_version(&lock));
    match version {
        Some(version) => println!("cargo::rustc-env=KF_WASMTIME_VERSION={version}"),
        None => println!("cargo::error=no version of wasmtime in {}", lock.display()),
    }
}

fn wasmtime_version(lock: &str) -> Option<String> {
    let mut lines = lock.lines().skip_while(|line| *line != r#"name = "wasmtime""#);
    Some(lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')?.to_owned())
}
