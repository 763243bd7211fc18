//! One signed registry for the whole run, and homes with commands added from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex, OnceLock};

use super::{Home, Ran};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The built first-party commands, one folder each.
pub fn artifacts() -> PathBuf {
    let dir = std::env::var_os("KF_TEST_PLUGINS")
        .map_or_else(|| repository().join("target/plugins"), PathBuf::from);
    assert!(dir.is_dir(), "{} does not exist; run `cargo xtask test`", dir.display());
    dir
}

/// The published registry, built once for all tests of this program.
pub fn published() -> &'static Path {
    static PUBLISHED: OnceLock<tempfile::TempDir> = OnceLock::new();
    let dir = PUBLISHED.get_or_init(|| {
        let dir = tempfile::Builder::new().prefix("kf-registry-").tempdir().unwrap();
        build(&index(), &artifacts(), dir.path());
        dir
    });
    dir.path()
}

/// An artifacts folder with only this command, for a registry that is quick to build.
pub fn only(name: &str, work: &Path) -> PathBuf {
    let folder = work.join("artifacts");
    fs_err::create_dir_all(&folder).unwrap();
    copy(&artifacts().join(name), &folder);
    folder
}

/// The reviewed text of the first-party commands.
pub fn index() -> PathBuf {
    repository().join("registry-index")
}

/// Builds a registry from an index and artifacts into `out/published`, with keys in `out/keys`
/// that are created the first time.
pub fn build(index: &Path, artifacts: &Path, out: &Path) {
    try_build(index, artifacts, out).success();
}

pub fn try_build(index: &Path, artifacts: &Path, out: &Path) -> Ran {
    Home::empty().run([
        "registry".as_ref(),
        "build".as_ref(),
        index.as_os_str(),
        "--artifacts".as_ref(),
        artifacts.as_os_str(),
        "--out".as_ref(),
        out.join("published").as_os_str(),
        "--keys".as_ref(),
        out.join("keys").as_os_str(),
        "--create-keys".as_ref(),
        "--approve-grants".as_ref(),
    ])
}

/// Builds a registry with another version of `hello`, on top of what the folder has. `rules` are its permissions and its
/// ceiling, and `entry` is added to its entry in the index.
pub fn publish_hello(version: &str, rules: &str, entry: &str, out: &Path) {
    let work = tempfile::tempdir().unwrap();
    let (text, artifacts) = (work.path().join("index"), only("hello", work.path()));
    copy(&index(), &text);
    let manifest = artifacts.join("hello/plugin.toml");
    let old = fs_err::read_to_string(&manifest).unwrap();
    let new = old.replace("version = \"0.1.0\"", &format!("version = \"{version}\"")) + rules;
    fs_err::write(&manifest, new).unwrap();
    let path = text.join("plugins/hello.toml");
    let old = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, format!("{old}{entry}\n{}", rules.replace("permissions", "ceiling"))).unwrap();
    build(&text, &artifacts, out);
}

/// The words after `kf` in the hint of a refusal.
pub fn hinted(refused: &Ran) -> Vec<String> {
    let line = refused.stderr.lines().find_map(|line| line.strip_prefix("hint: kf ")).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

/// The URL and the root of a built registry.
pub fn location(out: &Path) -> (String, PathBuf) {
    let published = out.join("published");
    (format!("file://{}", published.display()), published.join("metadata/1.root.json"))
}

/// Sets up the registry in a home.
pub fn set_up(home: &Home, out: &Path) {
    let (url, root) = location(out);
    home.run(["registry", "add", "kubeflow", &url, "--root", &root.display().to_string()]).success();
}

/// Homes with commands of one registry. Each command is added once and then copied.
pub struct Shelf {
    published: fn() -> &'static Path,
    /// A home with the registry set up.
    empty: OnceLock<Home>,
    /// For each command a home with only that command added.
    added: Mutex<BTreeMap<String, Arc<OnceLock<Home>>>>,
}

/// The first-party commands.
pub static FIRST_PARTY: Shelf = Shelf::of(published);

impl Shelf {
    pub const fn of(published: fn() -> &'static Path) -> Self {
        Self { published, empty: OnceLock::new(), added: Mutex::new(BTreeMap::new()) }
    }

    /// A home with these commands added.
    pub fn home(&self, names: &[&str]) -> Home {
        let empty = self.empty.get_or_init(|| {
            let home = Home::empty();
            set_up(&home, (self.published)());
            home
        });
        let home = Home::empty();
        copy(&empty.path().join("."), home.path());
        for name in names {
            let entry = Arc::clone(self.added.lock().unwrap().entry((*name).to_owned()).or_default());
            let added = entry.get_or_init(|| {
                let home = self.home(&[]);
                add(&home, name);
                home
            });
            // All commands have the same author, so any of the registry's states will do.
            for folder in ["compiled", "locks", "receipts", "registries", "store"] {
                let kf = Path::new(".local/share/kf");
                copy(&added.path().join(kf).join(folder), &home.path().join(kf));
            }
        }
        home
    }
}

/// Adds a command and accepts its rights.
#[track_caller]
pub fn add(home: &Home, name: &str) {
    let ran = home.run(["command", "add", name]);
    if ran.code == Some(8) {
        home.run(hinted(&ran)).success();
    } else {
        ran.success();
    }
}

/// Copies a folder and everything in it.
pub fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}
