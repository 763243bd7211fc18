//! The version before the installed one.

use jiff::{SignedDuration, Timestamp};
use kf_core::format::FormatError;
use kf_home::lock::NameLock;
use kf_registry::previous::{self, Previous};
use kf_registry::receipt::{self, Receipt};
use kf_registry::{Error, Result};

use crate::fixture::*;

fn at(hours: i64) -> Timestamp {
    start() + SignedDuration::from_hours(hours)
}

/// Publishes and installs a version of hello, as `kf command upgrade` does.
fn upgrade(fixture: &Fixture, version: &str, hours: i64) -> Receipt {
    fixture.artifact("hello", version, format!("\0asm hello {version}").as_bytes());
    fixture.build(at(hours)).unwrap();
    let fetched = fetch(&fixture.refresh(at(hours)).unwrap(), "hello").unwrap();
    let new = Receipt::new(&fetched, None, at(hours)).unwrap();
    let home = fixture.home();
    let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
    record(fixture, &lock, &new).unwrap();
    receipt::write(&home, &lock, &new).unwrap();
    new
}

/// What is done before the receipt is written.
fn record(fixture: &Fixture, lock: &NameLock, new: &Receipt) -> Result<()> {
    let home = fixture.home();
    let ran = receipt::read(&home, &name("hello"))?.map(|receipt| Previous::Added(Box::new(receipt)));
    previous::record(&home, lock, new, ran)
}

fn kept(fixture: &Fixture) -> Option<Receipt> {
    let home = fixture.home();
    let current = receipt::require(&home, &name("hello")).unwrap();
    match previous::of(&home, &current).unwrap()? {
        Previous::Added(receipt) => Some(*receipt),
        Previous::BuiltIn => None,
    }
}

fn kept_version(fixture: &Fixture) -> Option<String> {
    kept(fixture).map(|receipt| receipt.version.to_string())
}

fn file(fixture: &Fixture) -> std::path::PathBuf {
    fixture.home().previous(&name("hello")).into()
}

#[test]
fn only_version_before_installed_one_is_kept() {
    let fixture = Fixture::published();
    add(&fixture, "hello", start()).unwrap();
    assert_eq!(kept_version(&fixture), None);
    for (version, hours, before) in [("0.2.0", 1, "0.1.0"), ("0.3.0", 2, "0.2.0"), ("0.4.0", 3, "0.3.0")] {
        upgrade(&fixture, version, hours);
        assert_eq!(kept_version(&fixture).as_deref(), Some(before));
        assert!(previous::receipts(&fixture.home(), &name("hello")).unwrap().len() <= 2);
    }
    let home = fixture.home();
    let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
    receipt::remove(&home, &lock).unwrap();
    assert!(!file(&fixture).exists());
}

/// As if kf was killed between the two writes.
#[test]
fn interrupted_upgrade_keeps_version_before_current_one() {
    let fixture = Fixture::published();
    add(&fixture, "hello", start()).unwrap();
    let installed = upgrade(&fixture, "0.2.0", 1);
    let home = fixture.home();
    for version in ["0.3.0", "0.4.0"] {
        let mut new = installed.clone();
        new.version = version.parse().unwrap();
        new.at = at(2);
        let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
        record(&fixture, &lock, &new).unwrap();
        assert_eq!(kept_version(&fixture).as_deref(), Some("0.1.0"));
    }
    upgrade(&fixture, "0.5.0", 3);
    assert_eq!(kept_version(&fixture).as_deref(), Some("0.2.0"));
}

#[test]
fn installing_same_files_again_keeps_version_before() {
    let fixture = Fixture::published();
    add(&fixture, "hello", start()).unwrap();
    let installed = upgrade(&fixture, "0.2.0", 1);
    let home = fixture.home();
    let again = Receipt { at: at(2), ..installed };
    let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
    record(&fixture, &lock, &again).unwrap();
    receipt::write(&home, &lock, &again).unwrap();
    assert_eq!(kept_version(&fixture).as_deref(), Some("0.1.0"));
}

#[test]
fn refresh_updates_block_yank_and_ceiling_of_kept_version() {
    let fixture = Fixture::new();
    fixture.plugin_toml(
        "hello",
        "alice",
        "[[ceiling.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"get\"]\n",
    );
    fixture.build(start()).unwrap();
    let first = add(&fixture, "hello", start()).unwrap();
    let installed = upgrade(&fixture, "0.2.0", 1);
    assert!(!kept(&fixture).unwrap().ceiling.kubernetes.is_empty());
    let blocked = format!(
        "yanked = [{{ version = \"0.1.0\", reason = \"it loses data\" }}]\n[[blocked]]\nsha256 = \"{}\"\nreason = \"it was stolen\"\n",
        first.program_digest()
    );
    fixture.plugin_toml("hello", "alice", &blocked);
    fixture.build(at(2)).unwrap();
    fixture.refresh(at(2)).unwrap();
    let kept = kept(&fixture).unwrap();
    assert_eq!(kept.blocked.as_deref(), Some("it was stolen"));
    assert_eq!((kept.yanked, kept.yank_reason.as_deref()), (true, Some("it loses data")));
    assert!(kept.ceiling.kubernetes.is_empty());
    assert_eq!(kept.consent, first.consent);
    let current = receipt::require(&fixture.home(), &name("hello")).unwrap();
    assert_eq!((current.blocked, current.yanked, current.version), (None, false, installed.version));
}

#[test]
fn edited_or_foreign_entry_is_refused() {
    let fixture = Fixture::published();
    add(&fixture, "hello", start()).unwrap();
    let installed = upgrade(&fixture, "0.2.0", 1);
    let home = fixture.home();
    let of = || previous::of(&home, &installed);
    let text = fs_err::read_to_string(file(&fixture)).unwrap();
    for (from, to) in
        [("\"selection\": false", "\"selection\": true"), ("\"version\": \"0.1.0\"", "\"version\": 1")]
    {
        let edited = text.replace(from, to);
        if edited == text {
            continue;
        }
        fs_err::write(file(&fixture), edited).unwrap();
        assert!(of().is_err(), "{to}");
    }
    fs_err::write(file(&fixture), text.replace("\"name\": \"hello\"", "\"name\": \"audit\"")).unwrap();
    assert!(of().is_err());
    // The next upgrade replaces a damaged file.
    fs_err::write(file(&fixture), "{").unwrap();
    assert!(of().is_err());
    upgrade(&fixture, "0.3.0", 2);
    assert_eq!(kept_version(&fixture).as_deref(), Some("0.2.0"));
}

#[test]
fn newer_format_is_reported_and_not_changed() {
    let fixture = Fixture::published();
    let first = add(&fixture, "hello", start()).unwrap();
    let newer = "{ \"format\": 2, \"something\": \"else\" }";
    fs_err::create_dir_all(file(&fixture).parent().unwrap()).unwrap();
    fs_err::write(file(&fixture), newer).unwrap();
    let home = fixture.home();
    let lock = NameLock::acquire(&home, &name("hello"), |_| {}).unwrap();
    for result in [previous::of(&home, &first).map(drop), record(&fixture, &lock, &first)] {
        let error = result.unwrap_err();
        let is_newer = matches!(error, Error::Home(kf_home::Error::Format(FormatError::Newer { .. })));
        assert!(is_newer, "{error}");
    }
    assert_eq!(fs_err::read_to_string(file(&fixture)).unwrap(), newer);
}
