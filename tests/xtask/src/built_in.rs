//! Packs built-in commands, and builds a kf with some of them for the tests.
//!
//! The commands are published in a registry, and verified, examined and added to a home by kf itself. `kf-bundle` then
//! packs that home.

use std::path::{Path, PathBuf};
use std::process::Command;

use kf_toolchains::locations;

use crate::plugins;
use crate::published::Kf;
use crate::step::{Context, Result, cargo_command, programs, quietly};

/// The built-in commands of the tests' kf: enough for a first job, and one command without rights.
const FOR_TESTS: [&str; 5] = ["hello", "logs", "status", "train", "whoami"];

/// Seconds since 1970. A fixed date makes the bytes reproducible.
const TESTS_DATE: &str = "1790000000";

/// Packs all commands of a folder, signed with `keys`, into the folder for `KF_BUILT_IN`, and returns its path. All files
/// are created in `work`, which is cleared first.
pub fn pack(artifacts: &Path, keys: &Path, work: &Path, date: &str) -> Result<PathBuf> {
    if work.exists() {
        fs_err::remove_dir_all(work).context("cannot clear the last bundle")?;
    }
    fs_err::create_dir_all(work).context("cannot create a folder for the bundle")?;
    let kf = Kf {
        program: programs()?.join("kf"),
        home: work.join("home"),
        artifacts: artifacts.to_owned(),
        folder: work.to_owned(),
    };
    let names = plugins::folders(artifacts)?;
    kf.set_up(keys, &names.iter().map(String::as_str).collect::<Vec<_>>())?;
    let bundle = work.join("bundle");
    let mut pack = Command::new(programs()?.join("kf-bundle"));
    quietly("packing the commands", pack.arg(&kf.home).arg(&bundle).arg(date))?;
    Ok(bundle)
}

/// The folder of the tests' kf, with the keys and the registry of its commands.
pub fn for_tests() -> PathBuf {
    locations::target().join("built-in")
}

/// Builds the tests' kf. Everything else must be built.
pub fn build_for_tests() -> Result<()> {
    let folder = for_tests();
    let (artifacts, work) = (folder.join("artifacts"), folder.join("work"));
    let mut packed = String::new();
    for name in FOR_TESTS {
        let built = plugins::artifacts().join(name);
        plugins::place(&artifacts.join(name), &built.join("plugin.toml"), &built.join("plugin.wasm"))?;
        let facts = fs_err::metadata(built.join("plugin.wasm")).context("cannot read a command")?;
        packed.push_str(&format!("{name} {} {:?}\n", facts.len(), facts.modified().ok()));
    }
    // Packing is slow, so it is skipped if no command has changed.
    let (stamp, mut bundle) = (folder.join("packed"), work.join("bundle"));
    if !bundle.is_dir() || fs_err::read_to_string(&stamp).ok().as_ref() != Some(&packed) {
        bundle = pack(&artifacts, &folder.join("keys"), &work, TESTS_DATE)?;
        fs_err::write(&stamp, packed).context("cannot record what was packed")?;
    }
    let mut cargo = cargo_command(&["build", "--workspace", "--bin", "kf", "--features", "kf-host/built-in"]);
    cargo.env("KF_BUILT_IN", &bundle);
    cargo.env("KF_REGISTRY_URL", format!("file://{}", work.join("published").display()));
    quietly("compiling kf with commands inside", &mut cargo)?;
    place_program(&programs()?.join("kf"), &folder.join("kf"))?;
    // Both have the same path, so the other kf is built again.
    quietly("compiling kf", &mut cargo_command(&["build", "--workspace", "--bin", "kf"]))
}

/// Installs a program, even if an old one with this name is running.
fn place_program(from: &Path, to: &Path) -> Result<()> {
    let action = "cannot place kf with commands inside";
    let aside = to.with_extension("new");
    fs_err::copy(from, &aside).context(action)?;
    fs_err::rename(&aside, to).context(action)
}
