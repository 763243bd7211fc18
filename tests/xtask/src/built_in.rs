//! The commands that a kf carries inside, and a kf that carries some of them for the tests.
//!
//! What goes in comes out of a registry, by kf's own way: published, verified, examined and added to a home, which
//! `kf-bundle` then packs.

use std::path::{Path, PathBuf};
use std::process::Command;

use kf_toolchains::locations;

use crate::plugins;
use crate::published::Kf;
use crate::step::{Doing, Result, cargo_command, programs, quietly};

/// What the tests' kf carries: enough for a first job, and one command without any rights.
const FOR_TESTS: [&str; 5] = ["hello", "logs", "status", "train", "whoami"];

/// Seconds since 1970. Any date would do; a fixed one makes the same bytes every time.
const TESTS_DATE: &str = "1790000000";

/// Packs all commands of a folder, signed with `keys`, into the folder that a build takes in as `KF_BUILT_IN`, and gives
/// its path. Everything is made in `work`, which is kf's own.
pub fn pack(artifacts: &Path, keys: &Path, work: &Path, date: &str) -> Result<PathBuf> {
    if work.exists() {
        fs_err::remove_dir_all(work).doing("cannot clear the last bundle")?;
    }
    fs_err::create_dir_all(work).doing("cannot make a folder for the bundle")?;
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

/// Where the tests' kf is, with the keys of its commands' author and their registry.
pub fn for_tests() -> PathBuf {
    locations::target().join("built-in")
}

/// Builds the tests' kf. Everything else is built already.
pub fn build_for_tests() -> Result<()> {
    let folder = for_tests();
    let (artifacts, work) = (folder.join("artifacts"), folder.join("work"));
    let mut packed = String::new();
    for name in FOR_TESTS {
        let built = plugins::artifacts().join(name);
        plugins::place(&artifacts.join(name), &built.join("plugin.toml"), &built.join("plugin.wasm"))?;
        let facts = fs_err::metadata(built.join("plugin.wasm")).doing("cannot look at a command")?;
        packed.push_str(&format!("{name} {} {:?}\n", facts.len(), facts.modified().ok()));
    }
    // Packing takes a while, and the commands change rarely.
    let (stamp, mut bundle) = (folder.join("packed"), work.join("bundle"));
    if !bundle.is_dir() || fs_err::read_to_string(&stamp).ok().as_ref() != Some(&packed) {
        bundle = pack(&artifacts, &folder.join("keys"), &work, TESTS_DATE)?;
        fs_err::write(&stamp, packed).doing("cannot note what was packed")?;
    }
    let mut cargo = cargo_command(&["build", "--workspace", "--bin", "kf", "--features", "kf-host/built-in"]);
    cargo.env("KF_BUILT_IN", &bundle);
    cargo.env("KF_REGISTRY_URL", format!("file://{}", work.join("published").display()));
    quietly("compiling kf with commands inside", &mut cargo)?;
    place_program(&programs()?.join("kf"), &folder.join("kf"))?;
    // Both are called kf, so the other one is put back.
    quietly("compiling kf", &mut cargo_command(&["build", "--workspace", "--bin", "kf"]))
}

/// Puts a program in its place, even where another one of the name is running.
fn place_program(from: &Path, to: &Path) -> Result<()> {
    let doing = "cannot place kf with commands inside";
    let aside = to.with_extension("new");
    fs_err::copy(from, &aside).doing(doing)?;
    fs_err::rename(&aside, to).doing(doing)
}
