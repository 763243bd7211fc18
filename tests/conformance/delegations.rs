//! Delegations: in which order roles are asked, and which of them may sign what.

use serde_json::json;

use crate::repository::{Delegation, Repository};
use crate::user::{User, refused};

const fn edge(from: &'static str, to: &'static str) -> Delegation {
    Delegation::new(from, to)
}

/// A repository with these delegations, and every role published.
fn with_delegations(delegations: &[Delegation]) -> Repository {
    let mut repository = Repository::new();
    for delegation in delegations {
        repository.delegate(delegation);
    }
    publish_all(&mut repository, delegations);
    repository
}

fn publish_all(repository: &mut Repository, delegations: &[Delegation]) {
    let mut roles: Vec<&str> = delegations.iter().map(|delegation| delegation.to).collect();
    roles.sort_unstable();
    roles.dedup();
    roles.extend(["targets", "snapshot", "timestamp"]);
    repository.publish(&roles);
}

/// The delegated roles that were requested, in order.
fn visited(repository: &Repository) -> Vec<String> {
    let top = ["root.json", "timestamp.json", "snapshot.json", "targets.json"];
    let requests = repository.requests().into_iter();
    let roles =
        requests.filter(|file| !file.starts_with("targets/") && !top.iter().any(|t| file.ends_with(t)));
    roles.map(|file| file.trim_start_matches("1.").trim_end_matches(".json").to_owned()).collect()
}

/// Pre-order, depth first, in the order in which each role lists them.
#[test]
fn roles_are_asked_in_order_of_their_delegations() {
    let py: &[&str] = &["*.py"];
    for (case, delegations, order) in [
        ("one", vec![edge("targets", "a")], &["a"][..]),
        ("two", vec![edge("targets", "a"), edge("targets", "b")], &["a", "b"]),
        ("two levels", vec![edge("targets", "a"), edge("targets", "b"), edge("b", "c")], &["a", "b", "c"]),
        (
            "depth first",
            vec![edge("targets", "a"), edge("targets", "b"), edge("a", "c"), edge("a", "d")],
            &["a", "c", "d", "b"],
        ),
        (
            "depth first over three levels",
            vec![edge("targets", "a"), edge("targets", "b"), edge("a", "c"), edge("c", "d")],
            &["a", "c", "d", "b"],
        ),
        (
            "a terminating role ends the search",
            vec![edge("targets", "a"), edge("targets", "b"), edge("a", "c").terminating(), edge("a", "d")],
            &["a", "c"],
        ),
        (
            "but not among its own delegations",
            vec![edge("targets", "a"), edge("targets", "b"), edge("a", "c").terminating(), edge("c", "d")],
            &["a", "c", "d"],
        ),
        (
            "roles for other paths are not asked",
            vec![edge("targets", "a").paths(py), edge("targets", "b"), edge("a", "c")],
            &["b"],
        ),
        (
            "at any level",
            vec![edge("targets", "a"), edge("targets", "b"), edge("a", "c").paths(py), edge("c", "d")],
            &["a", "b"],
        ),
        (
            "no role is asked twice in a cycle",
            vec![edge("targets", "a"), edge("targets", "b"), edge("b", "c"), edge("c", "d"), edge("d", "b")],
            &["a", "b", "c", "d"],
        ),
        (
            "nor below two roles",
            vec![edge("targets", "a"), edge("targets", "b"), edge("b", "c"), edge("a", "c")],
            &["a", "c", "b"],
        ),
        (
            "of two roles only one has the path",
            vec![edge("targets", "a"), edge("targets", "b"), edge("b", "c"), edge("a", "c").paths(py)],
            &["a", "b", "c"],
        ),
    ] {
        let repository = with_delegations(&delegations);
        let user = User::new(&repository);
        user.download("missing").unwrap_err();
        assert_eq!(visited(&repository), order, "{case}");
    }
}

#[test]
fn target_is_found_only_where_every_delegation_has_its_path() {
    const DELEGATIONS: [Delegation; 4] = [
        edge("targets", "a").paths(&["*.doc", "*.md", "foo-?.tgz"]),
        edge("targets", "b").paths(&["releases/*/*"]),
        edge("b", "c").paths(&["releases/x/*"]),
        edge("b", "d").paths(&["releases/y/*.zip"]),
    ];
    let mut repository = Repository::new();
    for delegation in &DELEGATIONS {
        repository.delegate(delegation);
    }
    for (role, path) in [
        ("targets", "top"),
        ("a", "README.md"),
        ("a", "releases/README.md"),
        ("a", "foo-1.tgz"),
        ("a", "foo-alpha.tgz"),
        ("c", "releases/x/x_v1"),
        ("d", "releases/y/y_v1.zip"),
        ("d", "releases/z/z_v1.zip"),
    ] {
        repository.add_target(role, path, path.as_bytes());
    }
    publish_all(&mut repository, &DELEGATIONS);
    for (path, is_found, order) in [
        ("top", true, &[][..]),
        ("README.md", true, &["a"]),
        ("foo-1.tgz", true, &["a"]),
        ("releases/x/x_v1", true, &["b", "c"]),
        ("releases/y/y_v1.zip", true, &["b", "d"]),
        // d signs it, but b has not delegated it.
        ("releases/z/z_v1.zip", false, &["b"]),
        // A wildcard ends at a slash, a question mark is one character, and case counts.
        ("releases/README.md", false, &[]),
        ("foo-alpha.tgz", false, &[]),
        ("README.MD", false, &[]),
    ] {
        let user = User::new(&repository);
        assert_eq!(user.download(path).is_ok(), is_found, "{path}");
        assert_eq!(user.downloads().len(), usize::from(is_found), "{path}");
        assert_eq!(visited(&repository), order, "{path}");
    }
}

/// `release` is delegated by two roles, each with a key of its own, and signed for the first alone.
#[test]
fn cached_role_is_verified_against_its_current_delegator() {
    const DELEGATIONS: [Delegation; 4] = [
        edge("targets", "one").paths(&["one/*"]),
        edge("targets", "two").paths(&["two/*"]),
        edge("one", "release").paths(&["one/*"]),
        edge("two", "release").paths(&["two/*"]),
    ];
    let mut repository = Repository::new();
    for delegation in &DELEGATIONS {
        repository.delegate(delegation);
    }
    repository.signers("release").truncate(1);
    repository.add_target("release", "one/file", b"of one");
    repository.add_target("release", "two/file", b"of two");
    publish_all(&mut repository, &DELEGATIONS);
    // In one process, and the other way round.
    let user = User::new(&repository);
    refused(user.download_all(&["one/file", "two/file"]), "0/1");
    assert_eq!(user.downloads(), [b"of one"]);
    let user = User::new(&repository);
    refused(user.download_all(&["two/file", "one/file"]), "0/1");
    assert_eq!(user.downloads(), [[0; 0]; 0]);
    // Stored by an earlier process.
    let user = User::new(&repository);
    user.download("one/file").unwrap();
    refused(user.download("two/file"), "0/1");
}

#[test]
fn role_that_snapshot_does_not_list_is_not_fetched() {
    let mut repository = Repository::new();
    repository.delegate(&edge("targets", "delegated"));
    repository.publish(&["delegated", "targets"]);
    repository.body("snapshot")["meta"].as_object_mut().unwrap().remove("delegated.json");
    repository.publish(&["snapshot", "timestamp"]);
    let user = User::new(&repository);
    user.refresh().unwrap();
    repository.requests();
    user.download("file").unwrap_err();
    assert_eq!(repository.requests(), ["2.root.json", "timestamp.json"]);
    assert_eq!(user.trusted("delegated"), None);
}

/// The search ends after 32 roles, so a chain of a thousand costs little.
#[test]
fn search_ends_at_its_limit() {
    const NAMES: [&str; 40] = [
        "r0", "r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
        "r16", "r17", "r18", "r19", "r20", "r21", "r22", "r23", "r24", "r25", "r26", "r27", "r28", "r29",
        "r30", "r31", "r32", "r33", "r34", "r35", "r36", "r37", "r38", "r39",
    ];
    let mut delegations = vec![edge("targets", NAMES[0])];
    delegations.extend(NAMES.windows(2).map(|pair| edge(pair[0], pair[1])));
    let mut repository = Repository::new();
    for delegation in &delegations {
        repository.delegate(delegation);
    }
    repository.add_target(NAMES[30], "near", b"near");
    repository.add_target(NAMES[31], "far", b"far");
    publish_all(&mut repository, &delegations);
    let user = User::new(&repository);
    user.download("near").unwrap();
    assert_eq!(visited(&repository).len(), 31);
    user.download("far").unwrap_err();
    assert_eq!(user.downloads(), [b"near"]);
}

/// It would be stored in the place of that role.
#[test]
fn delegation_with_name_of_top_level_role_is_ignored() {
    for name in ["root", "timestamp", "snapshot"] {
        let mut repository = Repository::new();
        repository.delegate(&edge("targets", "delegated"));
        repository.add_target("delegated", "file", b"evil");
        repository.publish(&["delegated"]);
        repository.body("targets")["delegations"]["roles"][0]["name"] = name.into();
        repository.publish(&["targets", "snapshot", "timestamp"]);
        let user = User::new(&repository);
        user.download("file").unwrap_err();
        assert_eq!(visited(&repository), [""; 0], "{name}");
        assert_eq!(user.trusted(name), Some(repository.newest(name)), "{name}");
    }
}

#[test]
fn delegation_without_paths_has_none() {
    for paths in [json!(null), json!([])] {
        let mut repository = Repository::new();
        repository.delegate(&edge("targets", "delegated"));
        repository.body("targets")["delegations"]["roles"][0]["paths"] = paths.clone();
        repository.add_target("delegated", "file", b"file");
        repository.publish(&["delegated", "targets", "snapshot", "timestamp"]);
        let user = User::new(&repository);
        user.download("file").unwrap_err();
        assert_eq!(visited(&repository), [""; 0], "{paths}");
    }
}
