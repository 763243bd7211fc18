//! One signed registry for the whole run, and a home that has added from it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::{Home, Ran};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The built first-party commands, a folder each.
pub fn artifacts() -> PathBuf {
    let dir = std::env::var_os("KF_TEST_PLUGINS")
        .map_or_else(|| repository().join("target/plugins"), PathBuf::from);
    assert!(dir.is_dir(), "{} is not there; run `cargo xtask test`", dir.display());
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

/// A copy of one built command, for a registry that is quick to build: the folder with its folder.
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
/// that are made the first time.
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
    ])
}

/// The words after `kf` of the line that a refusal hints at.
pub fn hinted(refused: &Ran) -> Vec<String> {
    let line = refused.stderr.lines().find_map(|line| line.strip_prefix("hint: kf ")).unwrap();
    line.split(' ').map(str::to_owned).collect()
}

/// The URL and the root of a built registry.
pub fn location(out: &Path) -> (String, PathBuf) {
    let published = out.join("published");
    (format!("file://{}", published.display()), published.join("metadata/1.root.json"))
}

/// A home that knows the registry.
pub fn set_up(home: &Home, out: &Path) {
    let (url, root) = location(out);
    home.run(["registry", "add", "kubeflow", &url, "--root", &root.display().to_string()]).success();
}

/// A home with the first-party commands of these names.
pub fn copy_prepared_home(to: &Path, names: &[&str]) {
    static PREPARED: OnceLock<Home> = OnceLock::new();
    let prepared = PREPARED.get_or_init(|| {
        let home = Home::empty();
        set_up(&home, published());
        for entry in fs_err::read_dir(artifacts()).unwrap() {
            add(&home, entry.unwrap().file_name().to_str().unwrap());
        }
        home
    });
    copy_home(prepared, to, names);
}

/// Adds a command and accepts what it asks for.
#[track_caller]
pub fn add(home: &Home, name: &str) {
    let ran = home.run(["command", "add", name]);
    if ran.code == Some(8) {
        home.run(hinted(&ran)).success();
    } else {
        ran.success();
    }
}

/// Copies a home, without the commands that are not named.
pub fn copy_home(from: &Home, to: &Path, names: &[&str]) {
    copy(&from.path().join("."), to);
    for entry in fs_err::read_dir(to.join(".local/share/kf/receipts")).unwrap() {
        let path = entry.unwrap().path();
        if !names.contains(&path.file_stem().unwrap().to_str().unwrap()) {
            fs_err::remove_file(&path).unwrap();
        }
    }
}

/// Copies a folder and everything in it.
pub fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap().success());
}
