//! Sets the linker arguments of a release.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind-tables.ld");
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    let target = variable("TARGET");
    if variable("PROFILE") != "release" || target != "x86_64-unknown-linux-gnu" {
        return;
    }
    // In a release a panic aborts, so the unwind tables are not needed.
    if let Ok(folder) = std::env::current_dir() {
        let script = folder.join("no-unwind-tables.ld");
        println!("cargo::rustc-link-arg-bin=kf=-Wl,-T,{}", script.display());
    }
    // Packed relocations take a fortieth of the space.
    if variable("HOST") == target && libc_reads_packed_relocations() {
        println!("cargo::rustc-link-arg-bin=kf=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether this machine's glibc, with which kf is linked, supports `DT_RELR`: 2.36 and later do.
fn libc_reads_packed_relocations() -> bool {
    let asked = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let answer = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = answer.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let number =
        |(major, minor): (&str, &str)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?));
    version.and_then(number).is_some_and(|version| version >= (2, 36))
}
