//! The commands that a kf carries inside, and a kf that carries some of them for the tests.
//!
//! What goes in comes out of a registry, by kf's own way: published, verified, examined and added to a home, which
//! `kf-bundle` then packs.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use kf_toolchains::locations;

use crate::plugins;
use crate::step::{Doing, Failure, Result, cargo_command, programs, quietly};

/// What the tests' kf carries: enough for a first job, and one command without any rights.
const FOR_TESTS: [&str; 5] = ["hello", "logs", "status", "train", "whoami"];

/// Any date would do; a fixed one makes the same bytes every time.
const TESTS_DATE: u64 = 1_790_000_000;

/// How a bundle is made.
pub struct Bundle<'a> {
    /// A folder for each command, with `plugin.wasm` and `plugin.toml`.
    pub artifacts: &'a Path,
    /// Who signs; made if there are none.
    pub keys: &'a Path,
    /// Where everything else goes, in a folder of its own.
    pub work: &'a Path,
    /// The release's, in seconds since 1970.
    pub date: u64,
}

impl Bundle<'_> {
    /// Packs the commands into a folder for `KF_BUILT_IN`, and gives its path.
    pub fn pack(&self) -> Result<PathBuf> {
        if self.work.exists() {
            fs_err::remove_dir_all(self.work).doing("cannot clear the last bundle")?;
        }
        fs_err::create_dir_all(self.work).doing("cannot make a folder for the bundle")?;
        let published = self.work.join("published");
        let mut build = self.kf(&["registry", "build"])?;
        build.arg(locations::workspace().join("registry-index"));
        build.arg("--artifacts").arg(self.artifacts).arg("--out").arg(&published);
        build.arg("--keys").arg(self.keys).arg("--create-keys");
        quietly("signing the built-in commands", &mut build)?;
        let mut trust = self.kf(&["registry", "add", "kubeflow"])?;
        trust.arg(format!("file://{}", published.display()));
        trust.arg("--root").arg(published.join("metadata/1.root.json"));
        quietly("trusting their registry", &mut trust)?;
        let names = plugins::folders(self.artifacts)?;
        self.add(&names)?;
        let bundle = self.work.join("commands");
        let mut pack = Command::new(programs()?.join("kf-bundle"));
        pack.arg(self.home()).arg(&bundle).arg(self.date.to_string());
        quietly("packing the built-in commands", &mut pack)?;
        Ok(bundle)
    }

    /// Adds all of them, and accepts what they ask for.
    fn add(&self, names: &[String]) -> Result<()> {
        let mut words = vec!["command".to_owned(), "add".to_owned()];
        words.extend(names.iter().cloned());
        let asked = self.kf(&words)?.stdin(Stdio::null()).output().doing("cannot add the commands")?;
        if asked.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&asked.stderr);
        let accepting = hinted(&said).ok_or_else(|| Failure(format!("cannot add the commands: {said}")))?;
        quietly("adding the built-in commands", &mut self.kf(&accepting)?)
    }

    fn home(&self) -> PathBuf {
        self.work.join("home")
    }

    fn kf(&self, words: &[impl AsRef<OsStr>]) -> Result<Command> {
        let mut kf = Command::new(programs()?.join("kf"));
        kf.args(words).env("KF_HOME", self.home());
        Ok(kf)
    }
}

/// The words after `kf` of the line that kf hints at.
pub fn hinted(said: &str) -> Option<Vec<String>> {
    let hint = said.lines().find_map(|line| line.strip_prefix("hint: kf "))?;
    Some(hint.split(' ').map(str::to_owned).collect())
}

/// Where the tests' kf is, with the keys of its commands' author.
pub fn for_tests() -> PathBuf {
    locations::target().join("built-in")
}

/// Builds the tests' kf. Everything else is built already.
pub fn build_for_tests() -> Result<()> {
    let folder = for_tests();
    let artifacts = folder.join("artifacts");
    let mut packed = String::new();
    for name in FOR_TESTS {
        let built = plugins::artifacts().join(name);
        plugins::place(&artifacts.join(name), &built.join("plugin.toml"), &built.join("plugin.wasm"))?;
        let facts = fs_err::metadata(built.join("plugin.wasm")).doing("cannot look at a command")?;
        packed.push_str(&format!("{name} {} {:?}\n", facts.len(), facts.modified().ok()));
    }
    // Packing takes a while, and the commands change rarely.
    let (stamp, mut bundle) = (folder.join("packed"), folder.join("work/commands"));
    if !bundle.is_dir() || fs_err::read_to_string(&stamp).ok().as_ref() != Some(&packed) {
        let keys = folder.join("keys");
        let work = folder.join("work");
        bundle = Bundle { artifacts: &artifacts, keys: &keys, work: &work, date: TESTS_DATE }.pack()?;
        fs_err::write(&stamp, packed).doing("cannot note what was packed")?;
    }
    let kf = programs()?.join("kf");
    let mut cargo = cargo_command(&["build", "--workspace", "--bin", "kf"]);
    cargo.args(["--features", "kf-host/built-in"]).env("KF_BUILT_IN", &bundle);
    quietly("compiling kf with commands inside", &mut cargo)?;
    place_program(&kf, &folder.join("kf"))?;
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
