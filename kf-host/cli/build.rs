//! How a release of kf is linked.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=no-unwind-tables.ld");
    let variable = |name| std::env::var_os(name).unwrap_or_default();
    let target = variable("TARGET");
    if variable("PROFILE") != "release" || target != "x86_64-unknown-linux-gnu" {
        return;
    }
    // In a release a panic aborts, so nothing reads the tables that say how to unwind.
    if let Ok(folder) = std::env::current_dir() {
        let script = folder.join("no-unwind-tables.ld");
        println!("cargo::rustc-link-arg-bin=kf=-Wl,-T,{}", script.display());
    }
    // Packed, the addresses that the loader writes at every start take a fortieth of the space.
    if variable("HOST") == target && libc_reads_packed_relocations() {
        println!("cargo::rustc-link-arg-bin=kf=-Wl,-z,pack-relative-relocs");
    }
}

/// Whether the glibc that kf is linked with, which is the machine's own, knows `DT_RELR`: 2.36 does.
fn libc_reads_packed_relocations() -> bool {
    let asked = Command::new("getconf").arg("GNU_LIBC_VERSION").output();
    let answer = asked.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let version = answer.trim().strip_prefix("glibc ").and_then(|version| version.split_once('.'));
    let number =
        |(major, minor): (&str, &str)| Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?));
    version.and_then(number).is_some_and(|version| version >= (2, 36))
}
