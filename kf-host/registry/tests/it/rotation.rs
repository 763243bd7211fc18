//! Rotating the root and the keys of a registry.

use jiff::{SignedDuration, Timestamp};
use kf_registry::publish::{self, RoleName, SigningKey, Staging, Submission};
use serde_json::{Value, json};

use crate::fixture::*;

fn later() -> Timestamp {
    start() + SignedDuration::from_hours(1)
}

fn sign(fixture: &Fixture, staging: &str, role: &RoleName, keys: &[&SigningKey]) {
    for key in keys {
        publish::sign(&fixture.path(staging), role, key).unwrap();
    }
}

/// Replaces `old` with `new` in one role of a root.
fn replace(root: &mut Value, role: &str, old: &SigningKey, new: &SigningKey) {
    let ids = root["roles"][role]["keyids"].as_array_mut().unwrap();
    *ids.iter_mut().find(|id| **id == old.id()).unwrap() = new.id().into();
    root["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
    root["keys"].as_object_mut().unwrap().remove(old.id());
}

fn gate(_: &Submission<'_>) -> Result<Vec<String>, String> {
    Ok(Vec::new())
}

#[test]
fn root_change_needs_old_and_new_threshold() {
    let fixture = Fixture::published();
    fixture.refresh(start()).unwrap();
    let (old, new) = (&fixture.keys.root, [SigningKey::generate().unwrap(), SigningKey::generate().unwrap()]);
    fixture.next_root(later(), |root| {
        replace(root, "root", &old[1], &new[0]);
        replace(root, "root", &old[2], &new[1]);
    });
    let staged = fixture.stage_only(None, None, "staging", later());
    refused(staged, "authors/alice.toml lists no key");
    let staged = fixture.stage_only(Some(&["root"]), None, "staging", later()).unwrap();
    assert_eq!(staged.roles, [RoleName::Root]);

    // Old and new keys: both thresholds are two.
    let before = tree(&fixture.path("published"));
    for (who, words) in [
        (vec![&old[0], &old[1]], "1/2"),
        (vec![&old[0], &new[0]], "1/2"),
        (vec![&new[0], &new[1]], "0/2"),
        (vec![&old[1], &new[0], &new[1]], "1/2"),
    ] {
        fixture.save_dir("staging", "partly");
        sign(&fixture, "partly", &RoleName::Root, &who);
        let review = Staging::open(&fixture.path("partly")).unwrap().review(&RoleName::Root).unwrap();
        assert!(!review.complete());
        assert_eq!(review.signers.len(), 2);
        refused(fixture.prepare(Some("partly"), later()), words);
        fs_err::remove_dir_all(fixture.path("partly")).unwrap();
    }
    assert_eq!(tree(&fixture.path("published")), before);
    sign(&fixture, "staging", &RoleName::Root, &[&old[0], &old[1], &new[1]]);
    let review = Staging::open(&fixture.path("staging")).unwrap().review(&RoleName::Root).unwrap();
    assert!(review.complete());
    let lines: Vec<String> = review.changes.iter().map(ToString::to_string).collect();
    for line in [
        format!("- roles root keyids: \"{}\"", old[1].id()),
        format!("+ roles root keyids: \"{}\"", new[0].id()),
    ] {
        assert!(lines.contains(&line), "{line}: {lines:#?}");
    }
    fixture.assemble("staging", later()).unwrap();
    // A client with the first root follows, and so does a new one.
    assert_eq!(fixture.refresh(later()).unwrap().roles()[0].version, 2);
    fs_err::remove_dir_all(fixture.path("home")).unwrap();
    fixture.refresh(later()).unwrap();
    // A removed key cannot sign the next root.
    fixture.next_root(later(), |_| {});
    fixture.stage_only(Some(&["root"]), None, "next", later()).unwrap();
    refused(publish::sign(&fixture.path("next"), &RoleName::Root, &old[1]), "is not authorized to sign root");
}

#[test]
fn invalid_root_is_not_staged() {
    type Edit = fn(&mut Value);
    let cases: [(&str, Edit); 10] = [
        ("`expires` must have the form", |root| root["expires"] = "2027-01-01T00:00:00.5Z".into()),
        ("`expires` must have the form", |root| root["expires"] = "2027-01-01T01:00:00+01:00".into()),
        ("threshold must be between", |root| root["roles"]["root"]["threshold"] = 0.into()),
        ("threshold must be between", |root| root["roles"]["targets"]["threshold"] = 4.into()),
        ("every key id must be listed once", |root| {
            let ids = root["roles"]["root"]["keyids"].as_array_mut().unwrap();
            ids.push(ids[0].clone());
        }),
        ("every key id must be listed once and have its key", |root| {
            root["roles"]["snapshot"]["keyids"] = json!(["0".repeat(64)]);
        }),
        ("a key id is not the digest of its key", |root| {
            let id = root["roles"]["root"]["keyids"][0].as_str().unwrap().to_owned();
            let twin = root["keys"][&id].clone();
            root["keys"]["0".repeat(64)] = twin;
            root["roles"]["root"]["keyids"].as_array_mut().unwrap().push("0".repeat(64).into());
        }),
        ("has no keys for role timestamp", |root| {
            root["roles"].as_object_mut().unwrap().remove("timestamp");
        }),
        ("consistent_snapshot", |root| root["consistent_snapshot"] = false.into()),
        ("cannot follow the published root 1", |root| root["version"] = 3.into()),
    ];
    for (words, change) in cases {
        let fixture = Fixture::published();
        fixture.next_root(later(), change);
        refused(fixture.stage("staging", later()), words);
        assert!(!fixture.path("staging").exists());
    }
    let fixture = Fixture::published();
    fixture.write("source/root/3.root.json", &fs_err::read_to_string(fixture.metadata("root.json")).unwrap());
    refused(fixture.stage("staging", later()), "root/3.root.json cannot follow the published root 1");
    for name in ["root.json", "01.root.json", "one.root.json"] {
        let fixture = Fixture::published();
        fixture.write(&format!("source/root/{name}"), "{}");
        refused(fixture.stage("staging", later()), &format!("invalid file name root/{name}"));
    }
    let fixture = Fixture::published();
    let other = Fixture::published();
    fixture.write("source/root/1.root.json", &fs_err::read_to_string(other.metadata("root.json")).unwrap());
    refused(fixture.stage("staging", later()), "root/1.root.json does not match the published root");
}

#[test]
fn online_key_rotates_over_two_roots() {
    let fixture = Fixture::published();
    fixture.refresh(start()).unwrap();
    let new = SigningKey::generate().unwrap();
    let old = &fixture.keys.timestamp;
    let roots: Vec<&SigningKey> = fixture.keys.root.iter().collect();
    fixture.next_root(later(), |root| {
        root["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
        root["roles"]["timestamp"]["keyids"] = json!([old.id(), new.id()]);
    });
    fixture.stage_only(Some(&["root"]), None, "both", later()).unwrap();
    sign(&fixture, "both", &RoleName::Root, &roots);
    let online = [&fixture.keys.snapshot, &new];
    fixture.prepare_with(Some("both"), later(), &online, &gate).unwrap().write().unwrap();
    fixture.refresh(later()).unwrap();

    fixture.next_root(later(), |root| {
        root["keys"].as_object_mut().unwrap().remove(old.id());
        root["roles"]["timestamp"]["keyids"] = json!([new.id()]);
    });
    fixture.stage_only(Some(&["root"]), None, "new", later()).unwrap();
    sign(&fixture, "new", &RoleName::Root, &roots);
    fixture.prepare_with(Some("new"), later(), &online, &gate).unwrap().write().unwrap();
    fixture.refresh(later()).unwrap();
    refused(fixture.prepare(None, later()), "is neither a snapshot nor a timestamp key");
}

#[test]
fn online_key_replaced_at_once_needs_both_signatures() {
    let fixture = Fixture::published();
    fixture.refresh(start()).unwrap();
    let new = SigningKey::generate().unwrap();
    let (snapshot, old) = (&fixture.keys.snapshot, &fixture.keys.timestamp);
    fixture.next_root(later(), |root| replace(root, "timestamp", old, &new));
    fixture.stage_only(Some(&["root"]), None, "staging", later()).unwrap();
    sign(&fixture, "staging", &RoleName::Root, &fixture.keys.root.iter().collect::<Vec<_>>());
    // Between the new root and the new timestamp, in either order, clients would be locked out.
    let before = tree(&fixture.path("published"));
    let alone = fixture.prepare_with(Some("staging"), later(), &[snapshot, &new], &gate);
    refused(alone, "it removes keys that the published metadata still needs");
    assert_eq!(tree(&fixture.path("published")), before);
    let prepared = fixture.prepare_with(Some("staging"), later(), &[snapshot, old, &new], &gate).unwrap();
    let files: Vec<String> = prepared.files().map(|(path, _)| path.display().to_string()).collect();
    assert_eq!(files, ["metadata/timestamp.json", "metadata/2.root.json"]);
    prepared.write().unwrap();
    fixture.refresh(later()).unwrap();
    fs_err::remove_dir_all(fixture.path("home")).unwrap();
    fixture.refresh(later()).unwrap();
}

#[test]
fn targets_are_signed_again_when_their_keys_change() {
    let mut fixture = Fixture::published();
    fixture.refresh(start()).unwrap();
    let new = [SigningKey::generate().unwrap(), SigningKey::generate().unwrap()];
    fixture.next_root(later(), |root| {
        replace(root, "targets", &fixture.keys.targets[1], &new[0]);
        replace(root, "targets", &fixture.keys.targets[2], &new[1]);
    });
    let old: Vec<SigningKey> = fixture.keys.targets.splice(1.., new).collect();
    let staged = fixture.stage("staging", later()).unwrap();
    assert_eq!(staged.roles, [RoleName::Root, RoleName::Targets]);
    fixture.sign_all("staging");
    // With the new keys alone, clients that have the old root would be locked out for a moment.
    refused(fixture.prepare(Some("staging"), later()), "removes keys");
    sign(&fixture, "staging", &RoleName::Targets, &[&old[0]]);
    let review = Staging::open(&fixture.path("staging")).unwrap().review(&RoleName::Targets).unwrap();
    assert_eq!(review.changes, []);
    fixture.assemble("staging", later()).unwrap();
    let session = fixture.refresh(later()).unwrap();
    fetch(&session, "hello").unwrap();
}

#[test]
fn renewed_root_keeps_unknown_fields() {
    let fixture = Fixture::published();
    fixture.next_root(later(), |root| {
        root["x-note"] = json!({ "ceremony": ["anna", null] });
        root["roles"]["root"]["x-quorum"] = "both sites".into();
    });
    fixture.build(later()).unwrap();
    fixture.build(later() + days(200)).unwrap();
    let body = fixture.body("root.json");
    assert_eq!(body["version"], 3);
    assert_eq!(body["x-note"], json!({ "ceremony": ["anna", null] }));
    assert_eq!(body["roles"]["root"]["x-quorum"], "both sites");
    fixture.refresh(later() + days(200)).unwrap();
}

#[test]
fn signatures_in_reviewed_root_count() {
    let fixture = Fixture::published();
    fixture.next_root(later(), |_| {});
    let path = fixture.path("source/root/2.root.json");
    let file: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let roots = &fixture.keys.root;
    let mut file: Value = serde_json::from_slice(&signed(&file["signed"], &[&roots[0], &roots[1]])).unwrap();
    // An empty signature of a key that has not signed yet does not count.
    file["signatures"].as_array_mut().unwrap().push(json!({ "keyid": roots[2].id(), "sig": "" }));
    fs_err::write(&path, file.to_string()).unwrap();
    fixture.stage_only(Some(&["root"]), None, "staging", later()).unwrap();
    fixture.assemble("staging", later()).unwrap();
    assert_eq!(fixture.refresh(later()).unwrap().roles()[0].version, 2);
}

#[test]
fn registry_is_published_again_from_reviewed_text() {
    let fixture = Fixture::published();
    fixture.author("alice", &["hello", "train"], &[fixture.alice()]);
    fixture.author("bob", &["audit"], &[fixture.bob()]);
    let root = fixture.root();
    fixture.write("source/root/1.root.json", std::str::from_utf8(&root).unwrap());
    fs_err::remove_dir_all(fixture.path("published")).unwrap();
    fixture.stage_only(None, None, "staging", later()).unwrap();
    fixture.sign_all("staging");
    fixture.assemble("staging", later()).unwrap();
    assert_eq!(fixture.root(), root);
    fetch(&fixture.refresh(later()).unwrap(), "hello").unwrap();

    fs_err::remove_dir_all(fixture.path("source/root")).unwrap();
    fs_err::remove_dir_all(fixture.path("published")).unwrap();
    refused(fixture.stage_only(None, None, "none", later()), "add root/1.root.json to the reviewed text");
}
