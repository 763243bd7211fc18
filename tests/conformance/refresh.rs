//! Refreshing: what is requested, what is trusted after it, and what is refused.

use kf_core::Kind;
use serde_json::json;

use crate::repository::{Repository, Signer, days, now};
use crate::user::{User, refused};

const ALL: [&str; 4] = ["root", "targets", "snapshot", "timestamp"];

#[test]
fn refresh_requests_each_role_once_in_order() {
    let repository = Repository::new();
    let user = User::new(&repository);
    assert_eq!(repository.requests(), [""; 0], "nothing is fetched before the first refresh");
    user.refresh().unwrap();
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]);
    user.refresh().unwrap();
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json"], "what did not change is kept");
}

/// Byte for byte: digests of stored metadata would not match another serialization.
#[test]
fn trusted_metadata_is_stored_as_it_was_served() {
    let repository = Repository::new();
    let mut timestamp = repository.newest("timestamp");
    timestamp.extend(b" \n");
    repository.serve("timestamp", 1, timestamp);
    let user = User::new(&repository);
    user.refresh().unwrap();
    for role in ALL {
        assert_eq!(user.trusted(role), Some(repository.newest(role)), "{role}");
    }
}

#[test]
fn download_refreshes_first() {
    let repository = Repository::new();
    let user = User::new(&repository);
    user.download("missing").unwrap_err();
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json", "1.snapshot.json", "1.targets.json"]);
    assert_eq!(user.versions(), [1; 4]);
}

#[test]
fn invalid_trusted_root_requests_nothing() {
    let repository = Repository::new();
    let root = String::from_utf8(repository.versions("root")[0].clone()).unwrap();
    for (from, to, words) in [
        ("\"version\": 1", "\"x-version\": 1", "missing field `version`"),
        // A signature over something else.
        ("\"spec_version\": \"1.0.31\"", "\"spec_version\": \"1.0.30\"", "0/1"),
        ("\"spec_version\": \"1.0.31\"", "\"spec_version\": \"2.0.0\"", "spec_version"),
        ("\"_type\": \"root\"", "\"_type\": \"timestamp\"", "_type"),
        ("{", "", ""),
    ] {
        let changed = root.replacen(from, to, 1);
        assert_ne!(changed, root, "{from}");
        refused(User::trusting(&repository, changed.as_bytes()).refresh(), words);
    }
    assert_eq!(repository.requests(), [""; 0]);
}

#[test]
fn role_without_signature_is_refused_and_those_before_are_trusted() {
    for (role, trusted) in [
        ("root", [1, 0, 0, 0]),
        ("timestamp", [2, 0, 0, 0]),
        ("snapshot", [2, 2, 0, 0]),
        ("targets", [2, 2, 2, 0]),
    ] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        repository.signers(role).clear();
        repository.publish(&ALL);
        refused(user.refresh(), "0/1");
        assert_eq!(user.versions(), trusted, "{role}");
    }
}

#[test]
fn role_with_another_version_than_its_name_is_refused() {
    for (role, trusted) in [("root", [1, 0, 0, 0]), ("snapshot", [1, 2, 0, 0]), ("targets", [1, 2, 2, 0])] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        repository.body(role)["version"] = 2.into();
        repository.publish(&[role]);
        let third = repository.newest(role);
        repository.serve(role, 2, third);
        match role {
            "snapshot" => {
                repository.body("timestamp")["meta"]["snapshot.json"]["version"] = 2.into();
                repository.publish(&["timestamp"]);
            }
            "targets" => {
                repository.body("snapshot")["meta"]["targets.json"]["version"] = 2.into();
                repository.publish(&["snapshot", "timestamp"]);
            }
            _ => {}
        }
        refused(user.refresh(), "version");
        assert_eq!(user.versions(), trusted, "{role}");
    }
}

#[test]
fn timestamp_of_same_version_is_not_replaced() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    user.refresh().unwrap();
    let first = user.trusted("timestamp");
    repository.requests();
    repository.body("timestamp")["meta"]["snapshot.json"]["version"] = 100.into();
    repository.publish_unchanged("timestamp");
    user.refresh().unwrap();
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json"]);
    assert_eq!(user.trusted("timestamp"), first);
}

#[test]
fn pinned_hashes_and_lengths_are_verified() {
    let mut repository = Repository::new();
    repository.pins_hashes = true;
    repository.publish(&["targets", "snapshot", "timestamp"]);
    let user = User::new(&repository);
    user.refresh().unwrap();
    assert_eq!(user.versions(), [1, 2, 2, 2]);

    for (pinned, above) in [("targets", "snapshot"), ("snapshot", "timestamp")] {
        for (field, value, words) in [
            ("length", json!(1), "length"),
            ("hashes", json!({ "sha256": "0".repeat(64) }), "sha256 mismatch"),
            // Of several hashes each must match.
            ("hashes", json!({ "sha512": "0".repeat(128) }), "sha512 mismatch"),
        ] {
            let mut repository = Repository::new();
            repository.pins_hashes = true;
            repository.publish(&["targets", "snapshot", "timestamp"]);
            let user = User::new(&repository);
            user.refresh().unwrap();
            repository.publish(&["targets"]);
            if pinned == "snapshot" {
                repository.publish(&["snapshot"]);
            }
            repository.body(above)["meta"][format!("{pinned}.json")][field] = value;
            let rest = if pinned == "snapshot" { &["timestamp"][..] } else { &["snapshot", "timestamp"] };
            repository.publish(rest);
            refused(user.refresh(), words);
            assert_eq!((user.version(pinned), user.version(above)), (2, 3), "{pinned} {field}");
        }
    }
}

/// They are optional, also each by itself.
#[test]
fn absent_hashes_and_lengths_are_accepted() {
    for field in ["length", "hashes"] {
        let mut repository = Repository::new();
        repository.pins_hashes = true;
        repository.publish(&["targets"]);
        repository.body("snapshot")["meta"]["targets.json"].as_object_mut().unwrap().remove(field);
        repository.publish(&["snapshot"]);
        repository.body("timestamp")["meta"]["snapshot.json"].as_object_mut().unwrap().remove(field);
        repository.publish(&["timestamp"]);
        let user = User::new(&repository);
        user.refresh().unwrap();
        assert_eq!(user.versions(), [1, 2, 2, 2], "without {field}");
    }
}

#[test]
fn snapshot_or_timestamp_that_pins_nothing_is_refused() {
    for (role, words) in [("timestamp", "timestamp does not pin snapshot"), ("snapshot", "targets.json")] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        if role == "timestamp" {
            repository.body(role)["meta"] = json!({});
            repository.publish(&["timestamp"]);
        } else {
            repository.body(role)["meta"] = json!({});
            repository.publish(&["snapshot", "timestamp"]);
        }
        refused(user.refresh(), words);
    }
}

#[test]
fn unknown_fields_are_signed_and_ignored() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    user.refresh().unwrap();
    repository.add_key("root", &Signer::new().with_field("x-owner", json!({ "a": 1, "b": 2 })));
    let root = repository.body("root");
    root["x-note"] = "value".into();
    root["roles"]["root"]["x-quorum"] = "value".into();
    repository.publish(&["root"]);
    user.refresh().unwrap();
    assert_eq!(user.version("root"), 2);
    // A change of such a field breaks the signature.
    repository.publish(&["root"]);
    repository.tamper("root", |file| file["signed"]["x-note"] = "another".into());
    refused(user.refresh(), "0/1");
    assert_eq!(user.version("root"), 2);
}

/// Old tools wrote it into keys; the specification does not know it.
#[test]
fn keyid_hash_algorithms_of_key_are_ignored() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    user.refresh().unwrap();
    repository.remove_keys("snapshot");
    repository.add_key("snapshot", &Signer::new().with_field("keyid_hash_algorithms", json!("md5")));
    repository.publish(&["root", "snapshot", "timestamp"]);
    user.refresh().unwrap();
    assert_eq!(user.versions(), [2, 2, 2, 1]);
}

#[test]
fn missing_role_fails_and_those_before_are_trusted() {
    for (role, trusted, requested) in [
        ("timestamp", [1, 1, 1, 1], "timestamp.json"),
        ("snapshot", [1, 2, 1, 1], "2.snapshot.json"),
        ("targets", [1, 2, 2, 1], "2.targets.json"),
    ] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        user.refresh().unwrap();
        repository.publish(&["targets", "snapshot", "timestamp"]);
        let missing = repository.served().files.remove(&format!("/metadata/{requested}"));
        assert!(missing.is_some(), "{requested}");
        let error = user.refresh().unwrap_err();
        assert_eq!(error.kind(), Kind::Unreachable, "{error}");
        assert!(error.to_string().contains(requested), "{error}");
        assert_eq!(user.versions(), trusted, "{role}");
        assert_eq!(repository.requests().last().unwrap(), requested);
    }
}

/// A snapshot signed by the timestamp's key, valid as a timestamp but for its type.
#[test]
fn metadata_of_another_type_is_refused() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    let signer = repository.signers("timestamp")[0].clone();
    repository.add_key("snapshot", &signer);
    repository.body("snapshot")["meta"] = json!({ "snapshot.json": { "version": 1 } });
    repository.publish(&["root", "snapshot"]);
    let snapshot = repository.newest("snapshot");
    repository.serve("timestamp", 2, snapshot);
    refused(user.refresh(), "expected _type \"timestamp\", found \"snapshot\"");
    assert_eq!(user.versions(), [2, 0, 0, 0]);
}

#[test]
fn metadata_of_next_major_specification_is_refused() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.body("timestamp")["spec_version"] = "2.0.0".into();
    repository.publish(&["timestamp"]);
    refused(user.refresh(), "spec_version");
}

#[test]
fn clock_decides_what_is_expired() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.expire("root", now() + days(7));
    repository.publish(&["root"]);
    user.refresh().unwrap();
    refused(user.refresh_at(now() + days(8)), "root metadata expired");
}
