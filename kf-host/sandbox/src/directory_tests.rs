//! Which files below a directory can be read.

use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::directory::{Directory, DirectoryError, DirectoryTree};
use crate::limits::MAX_FILES_BELOW;

/// `project` with a script in it, and a secret beside it.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    let project = home.path().join("project");
    fs_err::create_dir_all(project.join("src/data")).unwrap();
    fs_err::write(project.join("train.py"), "print(1)").unwrap();
    fs_err::write(project.join("src/data/a.txt"), "a").unwrap();
    fs_err::write(project.join("run.sh"), "#!/bin/sh").unwrap();
    let run = std::fs::Permissions::from_mode(0o755);
    fs_err::set_permissions(project.join("run.sh"), run).unwrap();
    fs_err::write(home.path().join("secret"), "secret").unwrap();
    home
}

fn project(home: &TempDir) -> Directory {
    Directory::named(home.path().join("project"))
}

fn paths(tree: &DirectoryTree) -> Vec<&str> {
    tree.files.iter().map(|file| file.path.as_str()).collect()
}

fn skip(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn is_outside(directory: &mut Directory, path: &str) -> bool {
    matches!(directory.open_file(path), Err(DirectoryError::Outside { .. }))
}

fn mkfifo(path: &Path) {
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
}

#[test]
fn files_are_sorted_and_have_sizes() {
    let home = home();
    let tree = project(&home).walk(&[]).unwrap();
    assert_eq!(paths(&tree), ["run.sh", "src/data/a.txt", "train.py"]);
    let facts: Vec<_> = tree.files.iter().map(|file| (file.size, file.executable)).collect();
    assert_eq!(facts, [(9, true), (1, false), (8, false)]);
    assert!(tree.skipped.is_empty());
}

#[test]
fn skipped_names_are_reported_and_not_read() {
    let home = home();
    let mut project = project(&home);
    let tree = project.walk(&skip(&["src", "*.sh"])).unwrap();
    assert_eq!(paths(&tree), ["train.py"]);
    let mut skipped = tree.skipped;
    skipped.sort();
    assert_eq!(skipped, ["run.sh", "src"]);
    assert_eq!(paths(&project.walk(&skip(&["tr*"])).unwrap()), ["run.sh", "src/data/a.txt"]);
    assert!(project.walk(&skip(&["*"])).unwrap().files.is_empty());
    assert!(project.walk(&vec![String::new(); 1000]).is_err());
}

#[test]
fn links_are_neither_followed_nor_listed() {
    let home = home();
    let inside = home.path().join("project");
    symlink(home.path().join("secret"), inside.join("link")).unwrap();
    symlink(home.path(), inside.join("up")).unwrap();
    symlink("train.py", inside.join("alias.py")).unwrap();
    let mut project = project(&home);
    let tree = project.walk(&[]).unwrap();
    assert_eq!(paths(&tree), ["run.sh", "src/data/a.txt", "train.py"]);
    let mut skipped = tree.skipped;
    skipped.sort();
    assert_eq!(skipped, ["alias.py", "link", "up"]);
    for path in ["link", "up/secret", "alias.py"] {
        assert!(is_outside(&mut project, path), "{path}");
    }
}

#[test]
fn path_outside_directory_is_refused() {
    let home = home();
    let mut project = project(&home);
    let absolute = home.path().join("secret").display().to_string();
    let deep = "src/".repeat(100) + "a.txt";
    for path in [
        "",
        "/",
        ".",
        "..",
        "../secret",
        "src/../../secret",
        "./train.py",
        "src//data",
        "train.py/",
        "src\0",
        &absolute,
        &deep,
    ] {
        assert!(is_outside(&mut project, path), "{path:?}");
    }
    let mut text = String::new();
    project.open_file("src/data/a.txt").unwrap().read_to_string(&mut text).unwrap();
    assert_eq!(text, "a");
    assert!(matches!(project.open_file("missing"), Err(DirectoryError::Unreadable { .. })));
}

#[test]
fn name_replaced_by_link_is_refused() {
    let home = home();
    let mut project = project(&home);
    project.walk(&[]).unwrap();
    let inside = home.path().join("project");
    fs_err::remove_file(inside.join("train.py")).unwrap();
    symlink(home.path().join("secret"), inside.join("train.py")).unwrap();
    assert!(is_outside(&mut project, "train.py"));
    // Nor is the directory itself, once it is open.
    fs_err::rename(&inside, home.path().join("moved")).unwrap();
    symlink(home.path(), &inside).unwrap();
    assert_eq!(paths(&project.walk(&[]).unwrap()), ["run.sh", "src/data/a.txt"]);
    assert!(project.open_file("secret").is_err());
}

#[test]
fn named_pipe_is_skipped_without_blocking() {
    let home = home();
    mkfifo(&home.path().join("project/pipe"));
    let mut project = project(&home);
    let tree = project.walk(&[]).unwrap();
    assert_eq!(tree.skipped, ["pipe"]);
    assert!(is_outside(&mut project, "pipe"));
    assert!(is_outside(&mut project, "src"));
}

#[test]
fn named_directory_can_be_link_but_not_file() {
    let home = home();
    let link = home.path().join("link");
    symlink(home.path().join("project"), &link).unwrap();
    assert_eq!(Directory::named(link).walk(&[]).unwrap().files.len(), 3);
    let file = home.path().join("secret");
    let error = Directory::named(file.clone()).walk(&[]).unwrap_err();
    assert!(error.to_string().starts_with(&format!("cannot read `{}`: ", file.display())), "{error}");
    assert!(Directory::named(home.path().join("none")).walk(&[]).is_err());
}

#[test]
fn too_many_files_are_refused_not_truncated() {
    let home = tempfile::tempdir().unwrap();
    for number in 0..=MAX_FILES_BELOW {
        fs_err::File::create(home.path().join(number.to_string())).unwrap();
    }
    let error = Directory::named(home.path().to_owned()).walk(&[]).unwrap_err();
    assert!(error.to_string().ends_with("contains more than 10000 files"), "{error}");
    let deep = tempfile::tempdir().unwrap();
    fs_err::create_dir_all(deep.path().join("d/".repeat(70))).unwrap();
    let error = Directory::named(deep.path().to_owned()).walk(&[]).unwrap_err();
    assert!(matches!(error, DirectoryError::TooDeep { .. }), "{error}");
}
