//! Which version a request resolves to, and how refusals read.

use jiff::{SignedDuration, Timestamp};
use kf_core::Digest;
use kf_registry::index::Request;
use kf_registry::publish::SigningKey;
use kf_registry::{Error, Result};
use semver::Version;

use crate::fixture::*;

/// hello in four versions, each an hour after the one before: the ABI of 0.3.0 is for a later kf.
fn with_versions() -> (Fixture, Timestamp) {
    let fixture = Fixture::published();
    let mut now = start();
    for (version, abi) in [("0.1.1", "0.1.0"), ("0.2.0", "0.1.0"), ("0.3.0", "9.0.0")] {
        now += SignedDuration::from_hours(1);
        fixture.artifact("hello", version, format!("\0asm hello {version}").as_bytes());
        let manifest = fixture.path("artifacts/hello/plugin.toml");
        let text = fs_err::read_to_string(&manifest).unwrap();
        fs_err::write(&manifest, text.replace("abi = \"0.1.0\"", &format!("abi = {abi:?}"))).unwrap();
        fixture.build(now).unwrap();
    }
    (fixture, now)
}

fn resolved(fixture: &Fixture, now: Timestamp, request: &str) -> Result<String> {
    let Request { name, want, .. } = Request::parse(request).unwrap();
    let session = fixture.refresh(now)?;
    let found = session.view().resolve(&name, &want, &|abi: &Version| abi.major == 0)?;
    Ok(found.version.to_string())
}

#[test]
fn newest_version_that_this_kf_can_run_is_resolved() {
    let (fixture, now) = with_versions();
    for (request, version) in
        [("hello", "0.2.0"), ("hello@0.1", "0.1.1"), ("hello@>=0.1.0", "0.2.0"), ("hello@0.1.0", "0.1.0")]
    {
        assert_eq!(resolved(&fixture, now, request).unwrap(), version, "{request}");
    }
    let error = resolved(&fixture, now, "hello@0.3.0").unwrap_err();
    assert!(matches!(error, Error::UnsupportedAbi { .. }), "{error}");
}

#[test]
fn yanked_version_is_skipped_and_blocked_one_is_refused() {
    let (fixture, now) = with_versions();
    let blocked = Digest::of(b"\0asm hello 0.1.1");
    let index =
        format!("yanked = [\"0.2.0\"]\n[[blocked]]\nsha256 = \"{blocked}\"\nreason = \"it was stolen\"\n");
    fixture.plugin_toml("hello", "alice", &index);
    let now = now + SignedDuration::from_hours(1);
    fixture.build(now).unwrap();
    assert_eq!(resolved(&fixture, now, "hello").unwrap(), "0.1.0");
    assert_eq!(resolved(&fixture, now, "hello@0.2.0").unwrap(), "0.2.0", "named exactly");
    let error = resolved(&fixture, now, "hello@0.1.1").unwrap_err();
    assert_eq!(error.to_string(), "hello 0.1.1 is blocked by registry team: it was stolen");
}

/// The text and the hint of a refusal.
fn words<T: std::fmt::Debug>(result: Result<T>) -> (String, String) {
    let error = result.unwrap_err();
    (error.to_string(), error.hint().unwrap_or_default())
}

#[test]
fn refusal_says_what_does_not_hold_and_who_can_mend_it() {
    let hours = SignedDuration::from_hours;
    let fixture = Fixture::published();
    let stranger = SigningKey::generate().unwrap();
    let mut body = fixture.body("targets.json");
    body["version"] = 2.into();
    fixture.publish_role("targets.json", &body, &[&fixture.keys.targets[0], &stranger]);
    assert_eq!(
        words(fixture.refresh(start())),
        (
            "cannot verify registry team: signature threshold not met for role targets: 1/2 valid signatures"
                .into(),
            "ask the registry's admins who must sign the role targets".into()
        )
    );

    let fixture = Fixture::published();
    assert_eq!(
        words(fixture.refresh(start() + hours(25))),
        (
            "cannot verify registry team: timestamp metadata expired at 2026-11-22T08:00:00Z".into(),
            "ask the registry's admins to publish again, or use an address that is up to date".into()
        )
    );

    let fixture = Fixture::published();
    let mut body = fixture.body("author-alice.json");
    body["version"] = 2.into();
    fixture.publish_role("author-alice.json", &body, &[&stranger]);
    let session = fixture.refresh(start()).unwrap();
    assert_eq!(
        words(resolve(&session, "hello")),
        (
            "cannot verify hello of author alice in registry team: signature threshold not met for role \
             author-alice: 0/1 valid signatures"
                .into(),
            "ask the author alice, or the admins of registry team".into()
        )
    );

    // A web server's own page in place of a file.
    let fixture = Fixture::published();
    fs_err::write(fixture.metadata("timestamp.json"), "<html>").unwrap();
    let (text, hint) = words(fixture.refresh(start()));
    assert!(text.starts_with("cannot verify registry team: timestamp.json: "), "{text}");
    assert_eq!(hint, "check the address, or tell the registry's admins");

    let fixture = Fixture::published();
    fixture.refresh(start()).unwrap();
    fixture.save("old");
    fixture.artifact("hello", "0.2.0", b"\0asm hello, fixed");
    fixture.build(start() + hours(1)).unwrap();
    fixture.refresh(start() + hours(1)).unwrap();
    fixture.restore("old");
    assert_eq!(
        words(fixture.refresh(start() + hours(1))),
        (
            "cannot verify registry team: rollback detected for timestamp: it has version 1, but version 2 was \
             verified before"
                .into(),
            "use an address that is up to date, or wait until this one is".into()
        )
    );
}
