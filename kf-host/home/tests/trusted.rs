//! Files that another user could have written are refused.
//!
//! Only root can change owners and create devices, so some checks need root.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests fail like tests; clippy only excuses functions marked as tests"
)]

use std::os::unix::fs::{PermissionsExt as _, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use kf_core::Kind;
use kf_home::Error;
use kf_home::trusted::{self, OwnPath, Unsafe};
use kf_toolchains::skip;
use rustix::fs::{CWD, FileType, Mode, XattrFlags, makedev, mknodat, setxattr};

/// A user that is neither root nor the one running the tests.
const STRANGER: u32 = 65534;

fn mode(path: &Path, mode: u32) {
    fs_err::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

fn is_root(test: &str) -> bool {
    !skip::unless(chown_works().then_some(()).ok_or("only root can change owners"), test)
}

fn chown_works() -> bool {
    rustix::process::geteuid().is_root()
}

fn node(path: &Path, kind: FileType, device: u64) {
    mknodat(CWD, path, kind, Mode::from_raw_mode(0o600), device).unwrap();
}

#[track_caller]
fn refused<T: std::fmt::Debug>(result: kf_home::Result<T>, why: &Unsafe) {
    match result {
        Err(error @ Error::UnsafePath { .. }) => {
            assert_eq!(error.kind(), Kind::Untrusted);
            assert!(error.hint().is_some(), "{error}");
            assert!(error.to_string().ends_with(&why.to_string()), "{error}, not {why}");
        }
        other => panic!("{other:?}"),
    }
}

/// A temporary directory with kf's own directory `own`, which contains `below/file`.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        place.own().at("below/file").write(b"mine").unwrap();
        place
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    /// As a new process sees it.
    fn own(&self) -> OwnPath {
        OwnPath::new(self.path("own"))
    }

    fn read(&self) -> kf_home::Result<Option<Vec<u8>>> {
        self.own().at("below/file").read(100)
    }

    /// Replaces the file with something else.
    fn plant(&self, plant: impl FnOnce(&Path)) {
        let file = self.path("own/below/file");
        fs_err::remove_file(&file).unwrap();
        plant(&file);
    }
}

#[test]
fn own_files_are_read_and_missing_ones_are_none() {
    let place = Place::new();
    assert_eq!(place.read().unwrap().as_deref(), Some(&b"mine"[..]));
    for missing in ["below/other", "other/file", "file"] {
        assert_eq!(place.own().at(missing).read(100).unwrap(), None, "{missing}");
    }
    assert_eq!(OwnPath::new(place.path("none")).at("x/y").read(100).unwrap(), None);
    assert_eq!(OwnPath::new(place.path("own/below/file")).at("x").names().ok(), None);
    assert_eq!(place.own().names().unwrap(), ["below"]);
    assert_eq!(place.own().at("other").names().unwrap(), [""; 0]);
    assert!(place.own().at("below/file").read(3).is_err(), "longer than allowed");
    // Other users may read.
    mode(&place.path("own"), 0o755);
    mode(&place.path("own/below/file"), 0o644);
    place.read().unwrap().unwrap();
}

#[test]
fn written_files_are_private() {
    let place = Place::new();
    place.own().at("new/dir").make().unwrap();
    place.own().at("new/lock").open_lock().unwrap();
    place.own().at("log/lines").append().unwrap();
    let found = |path: &str| fs_err::metadata(place.path(path)).unwrap().permissions().mode() & 0o777;
    for directory in ["own", "own/below", "own/new", "own/new/dir", "own/log"] {
        assert_eq!(found(directory), 0o700, "{directory}");
    }
    for file in ["own/below/file", "own/new/lock", "own/log/lines"] {
        assert_eq!(found(file), 0o600, "{file}");
    }
}

#[test]
fn files_writable_by_others_are_refused() {
    for loose in [0o602, 0o606, 0o666, 0o777] {
        let place = Place::new();
        mode(&place.path("own/below/file"), loose);
        refused(place.read(), &Unsafe::Writable(loose));
        // It exists, and is neither locked nor appended to.
        refused(place.own().at("below/file").open_lock(), &Unsafe::Writable(loose));
        refused(place.own().at("below/file").append(), &Unsafe::Writable(loose));
    }
}

#[test]
fn directories_writable_by_others_are_refused() {
    for directory in ["own", "own/below"] {
        for loose in [0o702, 0o707, 0o777, 0o1777] {
            let place = Place::new();
            mode(&place.path(directory), loose);
            refused(place.read(), &Unsafe::Writable(loose));
            refused(place.own().at("below/file").write(b"new"), &Unsafe::Writable(loose));
            refused(place.own().at("below").names(), &Unsafe::Writable(loose));
            assert_eq!(fs_err::read(place.path("own/below/file")).unwrap(), b"mine");
        }
    }
}

#[test]
fn non_regular_files_are_refused_without_blocking() {
    let place = Place::new();
    place.plant(|path| node(path, FileType::Fifo, 0));
    refused(place.read(), &Unsafe::NotAFile);
    refused(place.own().at("below/file").append(), &Unsafe::NotAFile);
    refused(place.own().at("below/file").open_lock(), &Unsafe::NotAFile);
    // With a reader at its other end it can be opened.
    let _reader =
        fs_err::OpenOptions::new().read(true).write(true).open(place.path("own/below/file")).unwrap();
    refused(place.own().at("below/file").append(), &Unsafe::NotAFile);

    let place = Place::new();
    place.plant(|path| drop(UnixListener::bind(path).unwrap()));
    refused(place.read(), &Unsafe::NotAFile);

    let place = Place::new();
    place.plant(|path| fs_err::create_dir(path).unwrap());
    refused(place.read(), &Unsafe::NotAFile);
    refused(place.own().at("below/file").append(), &Unsafe::NotAFile);

    let place = Place::new();
    refused(place.own().at("below/file/x").read(100), &Unsafe::NotADirectory);
    if is_root("non_regular_files_are_refused_without_blocking") {
        place.plant(|path| node(path, FileType::CharacterDevice, makedev(1, 5)));
        refused(place.read(), &Unsafe::NotAFile);
    }
}

#[test]
fn links_below_own_directory_are_refused() {
    let place = Place::new();
    fs_err::write(place.path("elsewhere"), "theirs").unwrap();
    place.plant(|path| symlink(place.path("elsewhere"), path).unwrap());
    refused(place.read(), &Unsafe::Link);
    refused(place.own().at("below/file").append(), &Unsafe::Link);
    refused(place.own().at("below/file").open_lock(), &Unsafe::Link);
    // A dangling link does not create its target.
    place.plant(|path| symlink(place.path("made"), path).unwrap());
    refused(place.own().at("below/file").append(), &Unsafe::Link);
    assert!(!place.path("made").exists());

    let place = Place::new();
    fs_err::rename(place.path("own/below"), place.path("moved")).unwrap();
    symlink(place.path("moved"), place.path("own/below")).unwrap();
    refused(place.read(), &Unsafe::Link);
    refused(place.own().at("below/other").write(b"new"), &Unsafe::Link);
    assert!(!place.path("moved/other").exists());
}

#[test]
fn paths_outside_own_directory_are_refused() {
    let place = Place::new();
    fs_err::write(place.path("outside"), "theirs").unwrap();
    for path in ["../outside", "below/../../outside", "/etc/passwd", "below/.."] {
        assert!(matches!(place.own().at(path).read(100), Err(Error::UnsafePath { .. })), "{path}");
    }
}

#[test]
fn linked_own_directory_is_followed_and_checked() {
    let place = Place::new();
    fs_err::create_dir(place.path("disk")).unwrap();
    mode(&place.path("disk"), 0o700);
    fs_err::rename(place.path("own"), place.path("disk/kf")).unwrap();
    symlink("disk/../disk/kf", place.path("own")).unwrap();
    place.read().unwrap().unwrap();
    mode(&place.path("disk"), 0o777);
    refused(place.read(), &Unsafe::Writable(0o777));
    mode(&place.path("disk"), 0o700);
    mode(&place.path("disk/kf"), 0o777);
    refused(place.read(), &Unsafe::Writable(0o777));
    // Link loops are detected.
    fs_err::remove_file(place.path("own")).unwrap();
    symlink("own", place.path("own")).unwrap();
    refused(place.read(), &Unsafe::TooManyLinks);
}

#[test]
fn parent_directory_writable_by_others_is_refused() {
    let place = Place::new();
    mode(place.dir.path(), 0o777);
    refused(place.read(), &Unsafe::Writable(0o777));
    refused(place.own().at("x").write(b"new"), &Unsafe::Writable(0o777));
    // As in /tmp, where other users cannot replace the entry.
    mode(place.dir.path(), 0o1777);
    place.read().unwrap().unwrap();
}

#[test]
fn files_of_another_user_are_refused() {
    if !is_root("files_of_another_user_are_refused") {
        return;
    }
    for planted in ["own", "own/below", "own/below/file"] {
        let place = Place::new();
        chown(place.path(planted), Some(STRANGER), None).unwrap();
        refused(place.read(), &Unsafe::Owner(STRANGER));
        refused(place.own().at("below/file").append(), &Unsafe::Owner(STRANGER));
    }
    // The home of another user, as `sudo` leaves it in HOME.
    let place = Place::new();
    chown(place.dir.path(), Some(STRANGER), None).unwrap();
    refused(place.read(), &Unsafe::Owner(STRANGER));
    // A link of another user in a sticky directory.
    let place = Place::new();
    fs_err::rename(place.path("own"), place.path("real")).unwrap();
    mode(place.dir.path(), 0o1777);
    symlink("real", place.path("own")).unwrap();
    place.read().unwrap().unwrap();
    std::os::unix::fs::lchown(place.path("own"), Some(STRANGER), None).unwrap();
    refused(place.read(), &Unsafe::Owner(STRANGER));
    // Also after `..` from an own directory.
    let behind = OwnPath::new(place.path("real/../own"));
    refused(behind.at("below/file").read(100), &Unsafe::Owner(STRANGER));
}

#[test]
fn named_files_follow_links_to_safe_targets() {
    let place = Place::new();
    fs_err::write(place.path("dotfiles"), "policy").unwrap();
    mode(&place.path("dotfiles"), 0o644);
    symlink("dotfiles", place.path("kuberc")).unwrap();
    let read = || trusted::read_named(&place.path("kuberc"), 100);
    assert_eq!(read().unwrap().as_deref(), Some(&b"policy"[..]));
    mode(&place.path("dotfiles"), 0o666);
    refused(read(), &Unsafe::Writable(0o666));
    mode(&place.path("dotfiles"), 0o644);
    mode(place.dir.path(), 0o777);
    refused(read(), &Unsafe::Writable(0o777));
    mode(place.dir.path(), 0o700);
    assert_eq!(trusted::read_named(&place.path("none"), 100).unwrap(), None);
    assert_eq!(trusted::read_named(&place.path("none/none"), 100).unwrap(), None);

    let read = || trusted::read_private(&place.path("dotfiles"), 100);
    refused(read(), &Unsafe::Readable(0o644));
    mode(&place.path("dotfiles"), 0o600);
    assert_eq!(read().unwrap().as_deref(), Some(&b"policy"[..]));
    refused(trusted::read_private(&place.path("kuberc"), 100), &Unsafe::Link);
    refused(trusted::append_to(&place.path("kuberc")), &Unsafe::Link);
    trusted::append_to(&place.path("new")).unwrap();
    assert!(trusted::append_to(&place.path("none/new")).is_err());
    assert!(trusted::append_to(Path::new("/")).is_err());
}

/// Containers run with any uid, and the home directory often belongs to root's group.
#[test]
fn root_only_group_is_private() {
    if !is_root("root_only_group_is_private") {
        return;
    }
    let place = Place::new();
    for path in ["own", "own/below", "own/below/file"] {
        chown(place.path(path), None, Some(0)).unwrap();
        mode(&place.path(path), 0o770);
    }
    place.read().unwrap().unwrap();
    place.own().at("below/file").append().unwrap();
    chown(place.path("own/below/file"), None, Some(STRANGER)).unwrap();
    refused(place.read(), &Unsafe::Writable(0o770));
}

/// With an access control list, the group's mode is the limit of all its entries.
#[test]
fn group_with_access_list_is_not_private() {
    let place = Place::new();
    let own = place.path("own");
    // Version 2; owner rwx, uid 65534 rwx, group r-x, mask rwx, others none.
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in
        [(1_u16, 7_u16, u32::MAX), (2, 7, STRANGER), (4, 5, u32::MAX), (16, 7, u32::MAX), (32, 0, u32::MAX)]
    {
        list.extend(tag.to_le_bytes());
        list.extend(permissions.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    let set = setxattr(&own, "system.posix_acl_access", &list, XattrFlags::empty());
    let test = "group_with_access_list_is_not_private";
    if skip::unless(set.map_err(|_| "access control lists are not supported here"), test) || !is_root(test) {
        return;
    }
    refused(place.read(), &Unsafe::Writable(0o770));
    let place = Place::new();
    setxattr(place.dir.path(), "system.posix_acl_access", &list, XattrFlags::empty()).unwrap();
    refused(place.read(), &Unsafe::Writable(0o770));
}
