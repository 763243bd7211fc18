//! Targets: found, fetched by digest, verified, and not fetched again.

use kf_core::Digest;
use serde_json::{Value, json};

use crate::repository::Repository;
use crate::user::{User, refused};

const CONTENT: &[u8] = b"what the role signed";

fn with_target(path: &str) -> (Repository, User) {
    let mut repository = Repository::new();
    repository.add_target("targets", path, CONTENT);
    repository.publish(&["targets", "snapshot", "timestamp"]);
    let user = User::new(&repository);
    (repository, user)
}

/// The requests for targets since the last call.
fn fetched(repository: &Repository) -> Vec<String> {
    repository.requests().into_iter().filter(|path| path.starts_with("targets/")).collect()
}

#[test]
fn target_is_downloaded_by_its_digest() {
    let digest = Digest::of(CONTENT);
    for (path, request) in [
        ("file.txt", format!("targets/{digest}.file.txt")),
        // Only the file name has the prefix.
        ("path/to/a/file.txt", format!("targets/path/to/a/{digest}.file.txt")),
    ] {
        let (repository, user) = with_target(path);
        user.refresh().unwrap();
        assert_eq!(fetched(&repository), [""; 0]);
        user.download(path).unwrap();
        assert_eq!(fetched(&repository), [request]);
        assert_eq!(user.downloads(), [CONTENT]);
    }
}

#[test]
fn downloaded_target_is_not_fetched_again() {
    let (repository, user) = with_target("file.txt");
    user.download("file.txt").unwrap();
    user.download("file.txt").unwrap();
    assert_eq!(fetched(&repository).len(), 1);
    assert_eq!(user.downloads(), [CONTENT]);
}

#[test]
fn target_that_mirror_replaced_is_refused() {
    let (mut repository, user) = with_target("file.txt");
    repository.add_target("targets", "other.txt", b"more");
    repository.publish(&["targets", "snapshot", "timestamp"]);
    user.download("file.txt").unwrap();
    let replace = |with: &[u8]| {
        let mut served = repository.served();
        let targets = served.files.iter_mut().filter(|(path, _)| path.starts_with("/targets/"));
        targets.for_each(|(_, content)| *content = with.to_owned());
    };
    // The one that is there is still valid.
    replace(b"evil");
    user.download("file.txt").unwrap();
    refused(user.download("other.txt"), "sha256 mismatch");
    replace(b"a longer evil");
    refused(user.download("other.txt"), "longer than 4 bytes");
    replace(b"");
    refused(user.download("other.txt"), "");
    assert_eq!(user.downloads(), [CONTENT]);
}

#[test]
fn only_signed_changes_of_target_are_accepted() {
    let (mut repository, user) = with_target("file.txt");
    user.download("file.txt").unwrap();
    for round in 0..3 {
        let content = format!("version {round}").into_bytes();
        repository.add_target("targets", "file.txt", &content);
        repository.publish(&["targets", "snapshot", "timestamp"]);
        user.download("file.txt").unwrap();
        assert_eq!(user.downloads(), [&*content], "the new one is in the place of the old one");
        // More metadata, and the file changes without it.
        let stored = format!("/targets/{}.file.txt", Digest::of(&content));
        repository.served().files.insert(stored, b"evil".to_vec());
        repository.publish(&["targets", "snapshot", "timestamp"]);
        user.download("file.txt").unwrap();
        assert_eq!(user.downloads(), [&*content]);
    }
}

fn sha512(content: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA512, content);
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn with_hashes(hashes: Value) -> (Repository, User) {
    let mut repository = Repository::new();
    repository.sign_target("targets", "file.txt", CONTENT, hashes);
    repository.publish(&["targets", "snapshot", "timestamp"]);
    let user = User::new(&repository);
    (repository, user)
}

#[test]
fn every_known_hash_must_match_and_one_must_be_known() {
    let (sha256, sha512) = (Digest::of(CONTENT).to_string(), sha512(CONTENT));
    let zeros = "0".repeat(64);
    for hashes in [
        json!({ "sha256": sha256 }),
        json!({ "sha512": sha512 }),
        json!({ "sha256": sha256, "sha512": sha512 }),
        json!({ "sha256": sha256, "unknown": zeros }),
    ] {
        let (repository, user) = with_hashes(hashes.clone());
        user.download("file.txt").unwrap();
        assert_eq!(fetched(&repository).len(), 1, "{hashes}");
        assert_eq!(user.downloads(), [CONTENT]);
    }
    for hashes in [
        json!({}),
        json!({ "unknown": sha256 }),
        json!({ "sha256": sha256, "sha512": "0".repeat(128) }),
        json!({ "sha256": zeros, "sha512": sha512 }),
    ] {
        let (_repository, user) = with_hashes(hashes.clone());
        refused(user.download("file.txt"), "");
        assert_eq!(user.downloads(), [[0; 0]; 0], "{hashes}");
    }
}

#[test]
fn missing_target_names_what_is_missing() {
    let (repository, user) = with_target("file.txt");
    let error = user.download("other.txt").unwrap_err();
    assert!(error.to_string().contains("other.txt"), "{error}");
    repository.served().files.retain(|path, _| !path.starts_with("/targets/"));
    let error = user.download("file.txt").unwrap_err();
    assert!(error.to_string().contains("file.txt"), "{error}");
}

/// Such a path is not requested: it could leave the folder of the targets.
#[test]
fn target_path_outside_of_its_folder_is_refused() {
    for path in ["../file.txt", "a/../../file.txt", "/etc/passwd", "a//b", "a b", "a?b", "a#b", "a\\b"] {
        let (repository, user) = with_target(path);
        refused(user.download(path), "invalid path");
        assert_eq!(fetched(&repository), [""; 0], "{path}");
        assert_eq!(user.downloads(), [[0; 0]; 0], "{path}");
    }
}
