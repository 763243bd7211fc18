//! Rollback, and recovery from versions that were made too high.

use crate::repository::{Delegation, Repository};
use crate::user::{User, refused};

const DELEGATED: Delegation = Delegation::new("targets", "delegated");

#[test]
fn older_timestamp_is_refused() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.publish(&["timestamp"]);
    user.refresh().unwrap();
    repository.start_over("timestamp");
    repository.publish(&["timestamp"]);
    repository.requests();
    refused(user.refresh(), "rollback detected for timestamp");
    assert_eq!(user.version("timestamp"), 2);
    assert_eq!(repository.requests().last().unwrap(), "timestamp.json", "nothing is fetched after it");
}

#[test]
fn older_snapshot_is_refused() {
    for pins_hashes in [false, true] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        repository.pins_hashes = pins_hashes;
        repository.publish(&["snapshot", "timestamp"]);
        user.refresh().unwrap();
        repository.start_over("snapshot");
        repository.publish(&["snapshot", "timestamp"]);
        repository.requests();
        refused(user.refresh(), "rollback detected for snapshot");
        assert_eq!(user.versions(), [1, 2, 2, 1]);
        assert_eq!(repository.requests().last().unwrap(), "timestamp.json");
    }
}

#[test]
fn older_targets_are_refused() {
    for pins_hashes in [false, true] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        repository.pins_hashes = pins_hashes;
        repository.publish(&["targets", "snapshot", "timestamp"]);
        user.refresh().unwrap();
        repository.start_over("targets");
        repository.publish(&["targets", "snapshot", "timestamp"]);
        refused(user.refresh(), "rollback detected for targets.json");
        assert_eq!(user.versions(), [1, 3, 2, 2]);
    }
}

#[test]
fn snapshot_without_role_it_had_is_refused() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.delegate(&DELEGATED);
    repository.publish(&["delegated", "targets", "snapshot", "timestamp"]);
    user.refresh().unwrap();
    repository.body("snapshot")["meta"].as_object_mut().unwrap().remove("delegated.json");
    repository.publish(&["snapshot", "timestamp"]);
    refused(user.refresh(), "removes delegated.json");
    assert_eq!(user.version("snapshot"), 2);
}

#[test]
fn new_snapshot_key_recovers_from_fast_forward_of_targets() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.delegate(&DELEGATED);
    repository.publish(&["delegated"]);
    repository.body("targets")["version"] = 99.into();
    repository.publish(&["targets", "snapshot", "timestamp"]);
    user.refresh().unwrap();
    assert_eq!(user.version("targets"), 100);
    repository.rotate_keys("snapshot");
    repository.start_over("targets");
    repository.body("snapshot")["meta"].as_object_mut().unwrap().remove("delegated.json");
    repository.publish(&["root", "targets", "snapshot", "timestamp"]);
    user.refresh().unwrap();
    assert_eq!(user.version("targets"), 1);
}

#[test]
fn new_snapshot_and_timestamp_keys_recover_from_fast_forward_of_snapshot() {
    let mut repository = Repository::new();
    let user = User::new(&repository);
    repository.body("snapshot")["version"] = 99.into();
    repository.publish(&["snapshot", "timestamp"]);
    user.refresh().unwrap();
    assert_eq!(user.version("snapshot"), 100);
    repository.rotate_keys("snapshot");
    repository.rotate_keys("timestamp");
    repository.start_over("snapshot");
    repository.publish(&["root", "targets", "snapshot", "timestamp"]);
    user.refresh().unwrap();
    assert_eq!(user.version("snapshot"), 1);
}

#[test]
fn new_timestamp_key_recovers_from_fast_forward_of_timestamp() {
    for attacked in [99, (1 << 53) - 1, u64::MAX - 1] {
        let mut repository = Repository::new();
        let user = User::new(&repository);
        repository.body("timestamp")["version"] = attacked.into();
        repository.publish(&["timestamp"]);
        user.refresh().unwrap();
        assert_eq!(user.version("timestamp"), attacked + 1);
        repository.rotate_keys("timestamp");
        repository.start_over("timestamp");
        repository.publish(&["root", "timestamp"]);
        user.refresh().unwrap();
        assert_eq!(user.version("timestamp"), 1);
    }
}
