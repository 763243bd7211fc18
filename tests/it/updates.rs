//! The notice of newer versions.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::common::Home;
use crate::common::registry::{self, set_up};
use crate::common::terminal::{Terminal, shown};
use crate::common::versions::Version;

const NOTICE: &str = "hello 0.2.0 is available, 0.1.0 is installed";

/// A home whose last refresh found a newer version of `hello`. The registry is unreachable.
fn outdated() -> (Home, TempDir) {
    let out = tempfile::tempdir().unwrap();
    let home = Home::empty();
    Version::new("0.1.0").publish(out.path());
    set_up(&home, out.path());
    registry::add(&home, "hello");
    Version::new("0.2.0").publish(out.path());
    home.run(["command", "outdated"]).success();
    fs_err::rename(out.path().join("published"), out.path().join("away")).unwrap();
    (home, out)
}

fn stamp(home: &Home) -> PathBuf {
    home.path().join(".local/state/kf/update-notice")
}

/// The screen after a run on a terminal.
fn screen(home: &Home, words: &[&str], variables: &[(&str, &str)]) -> String {
    let mut kf = home.kf(words);
    kf.envs(variables.iter().copied());
    let (status, screen) = Terminal::start(kf).finish();
    let screen = shown(&screen);
    assert!(status.success(), "{screen}");
    screen
}

#[test]
fn notice_is_shown_once_a_day() {
    let (home, _out) = outdated();
    let hello = ["hello", "Ada"];
    let screen = |home: &Home| screen(home, &hello, &[]);
    let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&screen(&home)), ["hello Ada", NOTICE, "hint: kf command upgrade hello"]);
    assert_eq!(lines(&screen(&home)), ["hello Ada"]);
    let file = fs_err::OpenOptions::new().append(true).open(stamp(&home)).unwrap();
    file.file().set_modified(SystemTime::now() - Duration::from_secs(25 * 3600)).unwrap();
    assert!(screen(&home).contains(NOTICE));
}

#[test]
fn notice_is_for_people_only() {
    let (home, _out) = outdated();
    // In a pipe.
    assert_eq!(home.run(["hello"]).success().stderr, "");
    for variables in [[("KF_NO_UPDATE_NOTICE", "1")], [("CI", "true")]] {
        assert!(!screen(&home, &["hello"], &variables).contains("is available"), "{variables:?}");
    }
    assert!(!screen(&home, &["hello", "-o", "json"], &[]).contains("is available"));
    // None of these counts as shown.
    assert!(!stamp(&home).exists());
    assert!(screen(&home, &["hello"], &[]).contains(NOTICE));
}

#[test]
fn notice_ends_with_upgrade() {
    let (home, out) = outdated();
    fs_err::rename(out.path().join("away"), out.path().join("published")).unwrap();
    home.run(["command", "upgrade", "hello"]).success();
    assert!(!screen(&home, &["hello"], &[]).contains("is available"));
    // It was found before the upgrade, so nothing newer is known after it either.
    let _none = fs_err::remove_file(stamp(&home));
    assert!(!screen(&home, &["hello"], &[]).contains("is available"));
}

#[test]
fn damaged_notice_file_is_ignored() {
    let (home, _out) = outdated();
    let file = home.path().join(".cache/kf/updates.json");
    assert!(file.exists());
    fs_err::write(&file, "{").unwrap();
    assert!(!screen(&home, &["hello"], &[]).contains("is available"));
}
