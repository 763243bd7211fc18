//! What a refresh says about each address of a registry.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use kf_home::Home;
use kf_registry::Error;
use kf_registry::registries::Registry;
use kf_registry::transport::Url;
use kf_registry::trust::{self, MirrorState, Options};

use crate::fixture::*;

/// hello 0.1.0 in `old`, and hello 0.2.0, signed an hour later, in `published`.
fn with_old_mirror() -> (Fixture, Timestamp) {
    let fixture = Fixture::published();
    fixture.save("old");
    let later = start() + SignedDuration::from_hours(1);
    fixture.artifact("hello", "0.2.0", b"\0asm hello, fixed");
    fixture.build(later).unwrap();
    (fixture, later)
}

fn registry(fixture: &Fixture, folders: &[&str]) -> Registry {
    let url = |folder: &&str| Url::parse(&format!("file://{}", fixture.path(folder).display())).unwrap();
    Registry { urls: folders.iter().map(url).collect(), ..fixture.registry() }
}

/// The state of each address and why it is not current.
fn found(fixture: &Fixture, home: &Home, folders: &[&str], now: Timestamp) -> Vec<(MirrorState, String)> {
    let registry = registry(fixture, folders);
    let session = trust::refresh(home, &registry, &Options::at(now)).unwrap();
    let mirrors = session.mirrors();
    assert_eq!(trust::last_found(home, &registry.id), mirrors);
    assert_eq!(mirrors.len(), folders.len());
    mirrors.iter().map(|mirror| (mirror.state, mirror.why.clone().unwrap_or_default())).collect()
}

#[test]
fn stale_mirror_is_named_with_its_time() {
    let (fixture, later) = with_old_mirror();
    for folders in [["old", "published"], ["published", "old"]] {
        let home = Home::under(fixture.path(&folders.concat()));
        let found = found(&fixture, &home, &folders, later);
        let stale = folders.iter().position(|folder| *folder == "old").unwrap();
        assert_eq!(
            found[stale],
            (MirrorState::Stale, "it was last updated at 2026-11-21T08:00:00Z".to_owned())
        );
        assert_eq!(found[1 - stale], (MirrorState::Current, String::new()));
    }
}

#[test]
fn expired_invalid_and_missing_mirrors_are_named() {
    let (fixture, later) = with_old_mirror();
    let now = later + SignedDuration::from_hours(23) + SignedDuration::from_mins(30);
    fixture.write("forged/metadata/timestamp.json", "<html>not found</html>");
    let found = found(&fixture, &fixture.home(), &["old", "missing", "forged", "published"], now);
    assert_eq!(found[0].0, MirrorState::Stale);
    assert_eq!(found[0].1, "timestamp metadata expired at 2026-11-22T08:00:00Z");
    assert_eq!(found[1], (MirrorState::Unreachable, "it has no timestamp.json".to_owned()));
    assert_eq!(found[2].0, MirrorState::Invalid, "{}", found[2].1);
    assert_eq!(found[3], (MirrorState::Current, String::new()));
}

/// Its timestamp is valid, so it is tried, and then refused.
#[test]
fn mirror_with_damaged_targets_is_named() {
    let (fixture, later) = with_old_mirror();
    fixture.save("damaged");
    let targets = fixture.path("damaged/metadata/2.targets.json");
    let targets = if targets.exists() { targets } else { fixture.path("damaged/metadata/1.targets.json") };
    fs_err::write(&targets, "{}").unwrap();
    let found = found(&fixture, &fixture.home(), &["damaged", "published"], later);
    assert_eq!(found[0].0, MirrorState::Invalid, "{}", found[0].1);
    assert!(found[0].1.contains("targets.json"), "{}", found[0].1);
    assert_eq!(found[1].0, MirrorState::Current);
}

#[test]
fn single_address_is_not_asked_twice() {
    let fixture = Fixture::published();
    let session = fixture.refresh(start()).unwrap();
    assert!(session.mirrors().is_empty());
    assert!(trust::last_found(&fixture.home(), &fixture.registry().id).is_empty());
    assert!(!fixture.path("home/cache").exists());
}

#[test]
fn unreachable_mirrors_alone_are_an_error() {
    let fixture = Fixture::published();
    let registry = registry(&fixture, &["missing", "gone"]);
    let options = quick(start(), Duration::from_secs(60));
    let error = trust::refresh(&fixture.home(), &registry, &options).unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
}
