//! Keys, thresholds and signatures.

use serde_json::json;

use crate::repository::{KeyType, Repository, Signer};
use crate::user::{User, refused};

#[test]
fn snapshot_below_threshold_is_refused() {
    let mut repository = Repository::new();
    repository.set_threshold("snapshot", 3);
    for _ in 0..2 {
        repository.add_key("snapshot", &Signer::new());
    }
    repository.publish(&["root", "targets", "snapshot", "timestamp"]);
    let user = User::new(&repository);
    user.refresh().unwrap();
    repository.signers("snapshot").pop();
    repository.publish(&["targets", "snapshot", "timestamp"]);
    refused(user.refresh(), "2/3");
    assert_eq!(user.version("snapshot"), 2);
}

#[test]
fn threshold_above_number_of_keys_is_never_reached() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    for _ in 0..4 {
        repository.add_key("snapshot", &Signer::new());
    }
    repository.set_threshold("snapshot", 6);
    repository.publish(&["root", "snapshot", "timestamp"]);
    refused(user.refresh(), "5/6");
    assert_eq!((user.version("root"), user.version("snapshot")), (2, 0));
}

#[test]
fn threshold_of_zero_is_refused() {
    for role in ["timestamp", "snapshot", "targets"] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        repository.set_threshold(role, 0);
        repository.signers(role).clear();
        repository.publish(&["root", "targets", "snapshot", "timestamp"]);
        refused(user.refresh(), "threshold 0");
        assert_eq!(user.version(role), 0);
    }
}

#[test]
fn key_listed_nine_times_counts_once() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    let signer = Signer::new();
    for _ in 0..9 {
        repository.list_key("snapshot", &signer);
    }
    repository.signers("snapshot").push(signer);
    repository.set_threshold("snapshot", 6);
    repository.publish(&["root", "snapshot", "timestamp"]);
    refused(user.refresh(), "2/6");
    repository.tamper("snapshot", |file| {
        let signatures = file["signatures"].as_array_mut().unwrap();
        let one = signatures[1].clone();
        signatures.extend(std::iter::repeat_n(one, 8));
    });
    refused(user.refresh(), "");
    assert_eq!(user.version("snapshot"), 0);
}

#[test]
fn two_ids_of_one_key_are_refused() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    let signer = repository.signers("snapshot")[0].clone();
    repository.add_key("snapshot", &signer.with_field("x-twin", json!(true)));
    repository.set_threshold("snapshot", 2);
    repository.publish(&["root", "snapshot", "timestamp"]);
    refused(user.refresh(), "role snapshot lists one key under two ids");
}

#[test]
fn repeated_signature_is_refused() {
    let repository = Repository::new();
    let user = User::new(&repository);
    repository.tamper("snapshot", |file| {
        let signatures = file["signatures"].as_array_mut().unwrap();
        signatures.push(signatures[0].clone());
    });
    refused(user.refresh(), "duplicate signature");
    assert_eq!(user.version("snapshot"), 0);
}

#[test]
fn each_key_type_is_verified() {
    for kind in [KeyType::Ed25519, KeyType::Ecdsa, KeyType::Rsa] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        repository.add_key("root", &Signer::of_type(kind));
        repository.set_threshold("root", 2);
        repository.publish(&["root"]);
        user.refresh().unwrap();
        assert_eq!(user.version("root"), 2, "{kind:?}");
        // A signature of the same key for the root before this one.
        let signature = |bytes: &[u8]| {
            let file: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            file["signatures"][1]["sig"].clone()
        };
        let earlier = signature(&repository.newest("root"));
        repository.publish(&["root"]);
        assert_ne!(signature(&repository.newest("root")), earlier);
        repository.tamper("root", |file| file["signatures"][1]["sig"] = earlier);
        refused(user.refresh(), "1/2");
        assert_eq!(user.version("root"), 2, "{kind:?}");
    }
}

/// The threshold is reached without it.
#[test]
fn invalid_signature_beside_valid_ones_is_ignored() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.add_key("timestamp", &Signer::new());
    for invalid in ["0".repeat(128), "00".to_owned(), String::new(), "no hexadecimal".to_owned()] {
        repository.publish(&["root", "timestamp"]);
        repository.tamper("timestamp", |file| file["signatures"][0]["sig"] = invalid.clone().into());
        user.refresh().unwrap();
        assert_eq!(user.version("timestamp"), repository.version("timestamp"), "{invalid:?}");
    }
}

#[test]
fn key_of_unknown_scheme_counts_for_nothing() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.add_key("timestamp", &Signer::new().with_field("scheme", json!("rot13")));
    repository.publish(&["root", "timestamp"]);
    user.refresh().unwrap();
    repository.set_threshold("timestamp", 2);
    repository.publish(&["root", "timestamp"]);
    refused(user.refresh(), "1/2");
}
