//! python-tuf, an independent implementation of the specification, must accept and refuse the same as kf.
//!
//! `cargo xtask test` installs it into `target/python-tuf`. Where that is missing, these tests fail or
//! are skipped, as [`skip`] says.

use std::path::{Path, PathBuf};
use std::process::Command;

use jiff::{SignedDuration, Timestamp};
use kf_core::Digest;
use kf_registry::publish::{self, KeyRing, RoleName, SigningKey, Submission};
use kf_toolchains::skip;

use crate::fixture::*;
use crate::programs::output_of;
use crate::splitting::grow;

/// The Python with python-tuf.
fn python() -> PathBuf {
    kf_toolchains::locations::target().join("python-tuf/bin/python")
}

fn skip_without_python_tuf(test: &str) -> bool {
    let missing = "python-tuf is not installed; `cargo xtask test` does it";
    skip::unless(python().exists().then_some(()).ok_or(missing), test)
}

/// The digest of `target` according to python-tuf, or its error.
fn ask(fixture: &Fixture, target: &str) -> Result<String, String> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = output_of(
        Command::new(python())
            .arg(here.join("tests/second_opinion.py"))
            .args([fixture.path("published"), fixture.path("python")])
            .arg(target),
    );
    let text = String::from_utf8(output.stdout).unwrap().trim().to_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.is_empty(), "{complaint}");
    if output.status.success() { Ok(text) } else { Err(text) }
}

#[test]
fn python_tuf_accepts_and_refuses_the_same() {
    if skip_without_python_tuf("python_tuf_accepts_and_refuses_the_same") {
        return;
    }
    // python-tuf has no injected clock.
    let now = Timestamp::now();
    let fixture = Fixture::new();
    fixture.build(now - SignedDuration::from_hours(2)).unwrap();
    fixture.save("old");
    let wasm = "plugins/hello/0.1.0/plugin.wasm";
    assert_eq!(ask(&fixture, wasm), Ok(Digest::of(b"\0asm hello").to_string()));
    let index = fs_err::read(fixture.target("index/plugins.json")).unwrap();
    assert_eq!(ask(&fixture, "index/plugins.json"), Ok(Digest::of(&index).to_string()));

    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.build(now - SignedDuration::from_hours(1)).unwrap();
    fixture.refresh(now).unwrap();
    let wasm = "plugins/hello/0.2.0/plugin.wasm";
    assert_eq!(ask(&fixture, wasm), Ok(Digest::of(b"\0asm hello 2").to_string()));
    assert!(ask(&fixture, "plugins/audit/0.2.0/plugin.wasm").unwrap_err().contains("not found"));

    // Both refuse a rollback.
    fixture.save("new");
    fixture.restore("old");
    assert!(fixture.refresh(now).is_err());
    assert!(ask(&fixture, wasm).unwrap_err().contains("BadVersionNumberError"));

    // Both refuse a changed byte.
    fixture.restore("new");
    fs_err::remove_dir_all(fixture.path("python")).unwrap();
    let session = fixture.refresh(now).unwrap();
    fs_err::write(fixture.target(wasm), b"\0asm hello 3").unwrap();
    assert!(fetch(&session, "hello").is_err());
    assert!(ask(&fixture, wasm).unwrap_err().contains("LengthOrHashMismatchError"));
}

#[test]
fn python_tuf_reads_split_registry() {
    if skip_without_python_tuf("python_tuf_reads_split_registry") {
        return;
    }
    let now = Timestamp::now();
    let fixture = Fixture::new();
    fixture.build(now - SignedDuration::from_hours(2)).unwrap();
    let wasm = "plugins/hello/0.1.0/plugin.wasm";
    assert!(ask(&fixture, wasm).is_ok());
    grow(&fixture);
    fixture.artifact("audit", "0.1.0", b"\0asm audit");
    fixture.build(now - SignedDuration::from_hours(1)).unwrap();
    assert_eq!(ask(&fixture, wasm), Ok(Digest::of(b"\0asm hello").to_string()));
    let audit = "plugins/audit/0.1.0/plugin.wasm";
    assert_eq!(ask(&fixture, audit), Ok(Digest::of(b"\0asm audit").to_string()));
    let index = fs_err::read(fixture.target("index/names/g.json")).unwrap();
    assert_eq!(ask(&fixture, "index/names/g.json"), Ok(Digest::of(&index).to_string()));

    // Both refuse a shard that only one admin signed.
    let mut body = fixture.body("names-g.json");
    body["version"] = 2.into();
    fixture.publish_role("names-g.json", &body, &[&fixture.keys.targets[0]]);
    fs_err::remove_dir_all(fixture.path("python")).unwrap();
    assert!(fixture.refresh(now).is_err());
    assert!(ask(&fixture, wasm).unwrap_err().contains("UnsignedMetadataError"));
}

#[test]
fn python_tuf_follows_our_roots() {
    if skip_without_python_tuf("python_tuf_follows_our_roots") {
        return;
    }
    let now = Timestamp::now();
    let fixture = Fixture::new();
    fixture.build(now - SignedDuration::from_hours(24 * 200)).unwrap();
    let built = fixture.build(now).unwrap();
    assert_eq!(built.versions["root.json"], 2);
    assert!(ask(&fixture, "plugins/hello/0.1.0/plugin.wasm").is_ok());
}

#[test]
fn python_tuf_accepts_what_is_staged_signed_and_assembled() {
    if skip_without_python_tuf("python_tuf_accepts_what_is_staged_signed_and_assembled") {
        return;
    }
    let now = Timestamp::now();
    let fixture = Fixture::new();
    fixture.build(now - SignedDuration::from_hours(2)).unwrap();
    // It knows the first root before the second replaces the timestamp key.
    assert!(ask(&fixture, "plugins/hello/0.1.0/plugin.wasm").is_ok());
    let new = SigningKey::generate().unwrap();
    let old = &fixture.keys.timestamp;
    fixture.next_root(now, |root| {
        root["keys"].as_object_mut().unwrap().remove(old.id());
        root["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
        root["roles"]["timestamp"]["keyids"] = serde_json::json!([new.id()]);
        root["x-note"] = "rotated".into();
    });
    fixture.stage_only(Some(&["root"]), None, "root", now).unwrap();
    fixture.sign_all("root");
    let online = [&fixture.keys.snapshot, old, &new];
    fixture
        .prepare_with(Some("root"), now, &online, &|_: &Submission<'_>| Ok(Vec::new()))
        .unwrap()
        .write()
        .unwrap();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.stage_only(Some(&["author-alice"]), None, "alices", now).unwrap();
    fixture.sign_all("alices");
    let online = [&fixture.keys.snapshot, &new];
    fixture
        .prepare_with(Some("alices"), now, &online, &|_: &Submission<'_>| Ok(Vec::new()))
        .unwrap()
        .write()
        .unwrap();
    let digest = Digest::of(b"\0asm hello 2").to_string();
    assert_eq!(ask(&fixture, "plugins/hello/0.2.0/plugin.wasm"), Ok(digest));
}

/// Root, targets and the author need two of three keys, and each key signs apart from the others.
#[test]
fn python_tuf_accepts_thresholds_of_two() {
    if skip_without_python_tuf("python_tuf_accepts_thresholds_of_two") {
        return;
    }
    let now = Timestamp::now();
    let fixture = Fixture::new();
    fixture.build(now - SignedDuration::from_hours(2)).unwrap();
    let alices = [(); 3].map(|()| SigningKey::generate().unwrap());
    fixture.author("bob", &["audit"], &[fixture.bob()]);
    fixture.author("alice", &["hello", "train"], &alices.each_ref());
    let file = fixture.path("source/authors/alice.toml");
    let text = fs_err::read_to_string(&file).unwrap();
    fs_err::write(file, text + "threshold = 2\n").unwrap();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.next_root(now, |_| {});
    let staged = fixture.stage_only(None, None, "staging", now).unwrap();
    assert_eq!(staged.roles, ["root", "targets", "author-alice"].map(|role| role.parse().unwrap()));
    let sign = |role: RoleName, keys: &[&SigningKey]| {
        for key in keys {
            publish::sign(&fixture.path("staging"), &role, key).unwrap();
        }
    };
    let KeyRing { root, targets, .. } = &fixture.keys;
    sign(RoleName::Root, &[&root[2], &root[0]]);
    sign(RoleName::Targets, &[&targets[1], &targets[2]]);
    sign("author-alice".parse().unwrap(), &[&alices[0]]);
    refused(fixture.assemble("staging", now), "1/2");
    sign("author-alice".parse().unwrap(), &[&alices[2]]);
    fixture.assemble("staging", now).unwrap();
    let wasm = "plugins/hello/0.2.0/plugin.wasm";
    let digest = Digest::of(b"\0asm hello 2").to_string();
    assert_eq!(ask(&fixture, wasm), Ok(digest));
    fetch(&fixture.refresh(now).unwrap(), "hello").unwrap();

    // Both refuse one signature of two.
    let mut body = fixture.body("author-alice.json");
    body["version"] = (body["version"].as_u64().unwrap() + 1).into();
    fixture.publish_role("author-alice.json", &body, &[&alices[1]]);
    assert!(ask(&fixture, wasm).unwrap_err().contains("UnsignedMetadataError"));
    refused(resolve(&fixture.refresh(now).unwrap(), "hello"), "1/2");
}
