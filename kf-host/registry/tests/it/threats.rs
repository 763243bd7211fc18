//! The attacks of the threat table, each against a client that has a home and a registry it may not trust.
//!
//! A new [`Fixture::refresh`] is a new process: all it knows is what lies in its home.

use jiff::{SignedDuration, Timestamp};
use kf_core::Kind;
use kf_core::format::FormatError;
use kf_home::Home;
use kf_registry::index::Want;
use kf_registry::parts::PartKind;
use kf_registry::publish::SigningKey;
use kf_registry::store::Store;
use kf_registry::transport::Url;
use kf_registry::trust::Options;
use kf_registry::{Error, receipt, trust};
use serde_json::{Value, json};

use crate::fixture::*;

fn hours(n: i64) -> SignedDuration {
    SignedDuration::from_hours(n)
}

/// hello 0.1.0 was published and seen; an hour later 0.2.0 follows and is seen, too. `old` holds the first state.
fn with_history() -> (Fixture, Timestamp) {
    let fixture = Fixture::published();
    fixture.refresh(start()).unwrap();
    fixture.save("old");
    let later = start() + hours(1);
    fixture.artifact("hello", "0.2.0", b"\0asm hello, fixed");
    fixture.write(
        "source/plugins/audit.toml",
        "format = 1\nname = \"audit\"\nsummary = \"Changed\"\nowner = \"bob\"\n",
    );
    fixture.build(later).unwrap();
    let session = fixture.refresh(later).unwrap();
    assert_eq!(resolve(&session, "hello").unwrap().version, semver::Version::new(0, 2, 0));
    (fixture, later)
}

#[test]
fn t1_one_flipped_byte_of_any_file_installs_nothing() {
    for part in ["plugin.wasm", "plugin.toml", "command.json"] {
        let fixture = Fixture::published();
        let session = fixture.refresh(start()).unwrap();
        let path = fixture.target(&format!("plugins/hello/0.1.0/{part}"));
        let mut bytes = fs_err::read(&path).unwrap();
        bytes[3] ^= 1;
        fs_err::write(&path, bytes).unwrap();
        let before = tree(&fixture.path("home"));
        refused(fetch(&session, "hello"), "sha256");
        assert_eq!(tree(&fixture.path("home")), before);
    }
}

#[test]
fn t1_a_flipped_byte_of_any_metadata_is_refused() {
    for role in ["timestamp.json", "snapshot.json", "targets.json"] {
        let fixture = Fixture::published();
        let path = fixture.metadata(role);
        let text = fs_err::read_to_string(&path).unwrap();
        // A version is inside what is signed.
        fs_err::write(&path, text.replacen("\"version\": 1", "\"version\": 2", 1)).unwrap();
        let error = fixture.refresh(start()).unwrap_err();
        assert!(matches!(error.kind(), Kind::Untrusted | Kind::Unreachable), "{role}: {error}");
        assert!(!fixture.path("home/data").exists(), "{role}: something was remembered");
    }
}

#[test]
fn t2_metadata_signed_by_strangers_is_refused() {
    let strangers = [SigningKey::generate().unwrap(), SigningKey::generate().unwrap()];
    let strangers: Vec<_> = strangers.iter().collect();
    let fixture = Fixture::published();
    let mut body = fixture.body("targets.json");
    body["version"] = 2.into();
    fixture.publish_role("targets.json", &body, &strangers);
    refused(fixture.refresh(start()), "0/2");

    let fixture = Fixture::published();
    let mut body = fixture.body("timestamp.json");
    body["version"] = 2.into();
    fs_err::write(fixture.metadata("timestamp.json"), signed(&body, &strangers)).unwrap();
    refused(fixture.refresh(start()), "0/1");
}

#[test]
fn t2_one_admin_is_not_two_even_when_she_signs_twice() {
    let fixture = Fixture::published();
    let mut body = fixture.body("targets.json");
    body["version"] = 2.into();
    let one = &fixture.keys.targets[0];
    fixture.publish_role("targets.json", &body, &[one]);
    refused(fixture.refresh(start()), "1/2");

    let fixture = Fixture::published();
    let one = &fixture.keys.targets[0];
    fixture.publish_role("targets.json", &body, &[one, one]);
    refused(fixture.refresh(start()), "");

    // Two different admins are: the test above fails for the right reason.
    let fixture = Fixture::published();
    fixture.publish_role("targets.json", &body, &[&fixture.keys.targets[0], &fixture.keys.targets[2]]);
    fixture.refresh(start()).unwrap();
}

#[test]
fn t3_an_older_timestamp_is_refused_by_a_new_process() {
    let (fixture, later) = with_history();
    fixture.restore("old");
    refused(fixture.refresh(later), "rollback detected for timestamp");
}

#[test]
fn t3_an_older_snapshot_is_refused_even_under_a_new_timestamp() {
    let (fixture, later) = with_history();
    let old = fs_err::read(fixture.path("old/metadata/1.snapshot.json")).unwrap();
    let mut timestamp = fixture.body("timestamp.json");
    timestamp["version"] = 9.into();
    timestamp["meta"]["snapshot.json"] = pin(1, &old);
    let bytes = signed(&timestamp, &[&fixture.keys.timestamp]);
    fs_err::write(fixture.metadata("timestamp.json"), bytes).unwrap();
    refused(fixture.refresh(later), "rollback detected for snapshot");
}

#[test]
fn t3_older_targets_and_author_roles_are_refused_even_under_a_new_snapshot() {
    for role in ["targets.json", "author-alice.json"] {
        let (fixture, later) = with_history();
        let old = fs_err::read(fixture.path("old/metadata").join(format!("1.{role}"))).unwrap();
        let mut snapshot = fixture.body("snapshot.json");
        assert_eq!(snapshot["meta"][role]["version"], 2, "{role} did not change");
        snapshot["meta"][role] = pin(1, &old);
        fixture.publish_snapshot(snapshot);
        refused(fixture.refresh(later), &format!("rollback detected for {role}"));
    }
}

#[test]
fn t3_a_role_may_not_vanish_from_the_snapshot() {
    let (fixture, later) = with_history();
    let mut snapshot = fixture.body("snapshot.json");
    snapshot["meta"].as_object_mut().unwrap().remove("author-bob.json");
    fixture.publish_snapshot(snapshot);
    refused(fixture.refresh(later), "removes author-bob.json");
}

#[test]
fn t3_what_was_seen_is_not_forgotten_when_its_file_is_damaged() {
    let (fixture, later) = with_history();
    let state = fixture.path("home/data/registries/team/state.json");
    let whole = fs_err::read_to_string(&state).unwrap();
    fs_err::write(&state, whole.get(..whole.len() / 2).unwrap()).unwrap();
    fixture.restore("old");
    assert!(matches!(
        fixture.refresh(later),
        Err(Error::Home(kf_home::Error::Format(FormatError::Invalid { .. })))
    ));
}

#[test]
fn t4_a_root_is_followed_one_by_one_and_never_back() {
    let fixture = Fixture::published();
    let later = start() + days(200);
    fixture.build(later).unwrap();
    let second = fs_err::read(fixture.metadata("root.json")).unwrap();
    // Served as the third, it skips one.
    let third = fixture.path("published/metadata/3.root.json");
    fs_err::write(&third, &second).unwrap();
    refused(fixture.refresh(later), "root version must increment by one");
    fs_err::remove_file(&third).unwrap();
    fixture.refresh(later).unwrap();
    // The second, once seen, holds although the mirror hides it; so does what only it allows.
    fs_err::remove_file(fixture.path("published/metadata/2.root.json")).unwrap();
    let mut body = fixture.body("root.json");
    assert_eq!(body["version"], 1);
    body["version"] = 2.into();
    let stranger = SigningKey::generate().unwrap();
    let forged = signed(&body, &[&fixture.keys.root[0], &stranger]);
    fs_err::write(fixture.path("published/metadata/2.root.json"), forged).unwrap();
    fixture.refresh(later).unwrap();
    // A user who never saw it is not taken in by the forged one.
    fs_err::remove_dir_all(fixture.path("home")).unwrap();
    refused(fixture.refresh(later), "1/2");
}

#[test]
fn t5_signatures_that_ran_out_are_refused() {
    let fixture = Fixture::published();
    fixture.refresh(start() + hours(23)).unwrap();
    refused(fixture.refresh(start() + hours(25)), "timestamp metadata expired");
    refused(trust::cached(&fixture.home(), &fixture.registry(), start() + hours(25)), "expired");

    // A mirror with stolen timestamp key keeps that one fresh; the snapshot's own life ends all the same.
    let mut timestamp = fixture.body("timestamp.json");
    timestamp["version"] = 2.into();
    timestamp["expires"] = (start() + days(300)).to_string().into();
    let bytes = signed(&timestamp, &[&fixture.keys.timestamp]);
    fs_err::write(fixture.metadata("timestamp.json"), bytes).unwrap();
    fixture.refresh(start() + days(6)).unwrap();
    refused(fixture.refresh(start() + days(8)), "snapshot metadata expired");
}

#[test]
fn t5_an_expired_author_takes_down_no_other() {
    let fixture = Fixture::new();
    fixture.artifact("audit", "1.0.0", b"\0asm audit");
    fixture.build(start()).unwrap();
    let mut body = fixture.body("author-alice.json");
    body["version"] = 2.into();
    body["expires"] = (start() - hours(1)).to_string().into();
    fixture.publish_role("author-alice.json", &body, &[fixture.alice()]);
    let session = fixture.refresh(start()).unwrap();
    refused(resolve(&session, "hello"), "expired");
    assert!(fetch(&session, "audit").is_ok());
}

#[test]
fn t6_a_clock_set_back_is_refused_and_changes_nothing() {
    let (fixture, later) = with_history();
    let before = tree(&fixture.path("home"));
    let error = fixture.refresh(later - days(30)).unwrap_err();
    assert!(matches!(error, Error::ClockWentBack { .. }), "{error}");
    assert!(matches!(
        trust::cached(&fixture.home(), &fixture.registry(), later - days(30)),
        Err(Error::ClockWentBack { .. })
    ));
    assert_eq!(tree(&fixture.path("home")), before);
    fixture.refresh(later - hours(1)).unwrap();
}

/// As on a machine whose clock has no battery: signatures that ran out long ago would look valid.
#[test]
fn t6_a_clock_before_the_signatures_is_refused_on_first_use() {
    let (fixture, later) = with_history();
    fs_err::remove_dir_all(fixture.path("home")).unwrap();
    for now in [Timestamp::UNIX_EPOCH, start() - days(365), later - hours(25)] {
        refused(fixture.refresh(now), "was signed at 2026-11-21T09:00:00Z");
        assert!(!fixture.path("home/data").exists(), "something was remembered");
    }
    // An older mirror does not make the clock right.
    let mut registry = fixture.registry();
    registry.urls.push(Url::parse(&format!("file://{}", fixture.path("old").display())).unwrap());
    let refresh = |now| trust::refresh(&fixture.home(), &registry, &Options::at(now));
    refused(refresh(start() - days(365)), "was signed at");
    fixture.refresh(later - hours(23)).unwrap();
}

/// What a mirror claims does not count: only what is signed does.
#[test]
fn mirror_that_is_ahead_is_preferred() {
    let (fixture, later) = with_history();
    fs_err::create_dir_all(fixture.path("lying/metadata")).unwrap();
    let mut claimed = fixture.body("timestamp.json");
    claimed["version"] = 99.into();
    fs_err::write(fixture.path("lying/metadata/timestamp.json"), signed(&claimed, &[fixture.alice()]))
        .unwrap();
    let refreshed = |mirrors: &[&str]| {
        let mut registry = fixture.registry();
        let url = |mirror: &&str| Url::parse(&format!("file://{}", fixture.path(mirror).display())).unwrap();
        registry.urls = mirrors.iter().map(url).collect();
        let home = Home::under(fixture.path(&mirrors.concat()));
        trust::refresh(&home, &registry, &Options::at(later))
    };
    let version =
        |mirrors: &[&str]| resolve(&refreshed(mirrors).unwrap(), "hello").unwrap().version.to_string();
    for mirrors in [
        &["old", "published"][..],
        &["published", "old"],
        &["lying", "old", "published"],
        &["missing", "old", "lying", "published"],
    ] {
        assert_eq!(version(mirrors), "0.2.0", "{mirrors:?}");
    }
    assert_eq!(version(&["old", "lying"]), "0.1.0", "a valid state is better than none");
    refused(refreshed(&["lying"]), "");
    // A new root counts more than a later timestamp under the old one.
    fixture.save("ahead");
    fixture.next_root(later, |_| {});
    fixture.build(later).unwrap();
    fixture.save("newer-root");
    fixture.restore("ahead");
    fs_err::remove_dir_all(fixture.path("source/root")).unwrap();
    for _ in 0..3 {
        fixture.build(later).unwrap();
    }
    let session = refreshed(&["published", "newer-root"]).unwrap();
    assert_eq!(session.roles()[0].version, 2);
}

#[test]
fn t7_parts_of_two_states_do_not_make_a_third() {
    // New targets under an old snapshot, by name.
    let (fixture, later) = with_history();
    fixture.save("new");
    fixture.restore("old");
    let new = fs_err::read(fixture.path("new/metadata/2.targets.json")).unwrap();
    fs_err::write(fixture.path("published/metadata/1.targets.json"), new).unwrap();
    fs_err::remove_dir_all(fixture.path("home")).unwrap();
    refused(fixture.refresh(later), "targets.json");

    // A new snapshot that the old timestamp does not pin.
    fixture.restore("old");
    let new = fs_err::read(fixture.path("new/metadata/2.snapshot.json")).unwrap();
    fs_err::write(fixture.path("published/metadata/1.snapshot.json"), new).unwrap();
    refused(fixture.refresh(later), "snapshot.json");

    // One author's file under another's name.
    fixture.restore("new");
    let bobs = fs_err::read(fixture.metadata("author-bob.json")).unwrap();
    fs_err::write(fixture.metadata("author-alice.json"), bobs).unwrap();
    let session = fixture.refresh(later).unwrap();
    refused(resolve(&session, "hello"), "author-alice.json");
}

#[test]
fn t12_an_author_cannot_publish_under_anothers_name() {
    let fixture = Fixture::published();
    let wasm = fixture.body("author-alice.json")["targets"].clone();
    let mut body = fixture.body("author-bob.json");
    body["version"] = 2.into();
    body["targets"] = serde_json::from_str(&wasm.to_string().replace("0.1.0", "9.0.0")).unwrap();
    fixture.publish_role("author-bob.json", &body, &[fixture.bob()]);
    let session = fixture.refresh(start()).unwrap();
    assert_eq!(resolve(&session, "hello").unwrap().version, semver::Version::new(0, 1, 0));
}

#[test]
fn t12_the_signing_role_must_be_the_owners() {
    // The admins' index says bob owns hello, while alice's keys sign it.
    let fixture = Fixture::published();
    let index: Value =
        serde_json::from_slice(&fs_err::read(fixture.target("index/plugins.json")).unwrap()).unwrap();
    let mut index = index;
    index["plugins"]["hello"]["owner"] = "bob".into();
    publish_index(&fixture, &index);
    let session = fixture.refresh(start()).unwrap();
    refused(resolve(&session, "hello"), "signed by author-alice, not by author-bob");
}

/// Puts another index in place, signed by two admins.
fn publish_index(fixture: &Fixture, index: &Value) {
    let bytes = serde_json::to_vec(index).unwrap();
    let sha256 = kf_core::Digest::of(&bytes);
    fs_err::write(fixture.path(&format!("published/targets/index/{sha256}.plugins.json")), &bytes).unwrap();
    let mut body = fixture.body("targets.json");
    body["version"] = 2.into();
    body["targets"]["index/plugins.json"] = json!({ "length": bytes.len(), "hashes": { "sha256": sha256 } });
    fixture.publish_role("targets.json", &body, &[&fixture.keys.targets[0], &fixture.keys.targets[1]]);
}

#[test]
fn t16_names_that_climb_out_are_refused_wherever_they_stand() {
    // As a command in the index.
    for bad in ["../../bin/kf", "..", "a/b", "hello\u{0}", "Hello"] {
        let fixture = Fixture::published();
        let path = fixture.target("index/plugins.json");
        let mut index: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        let entry = index["plugins"]["hello"].clone();
        index["plugins"][bad] = entry;
        publish_index(&fixture, &index);
        let outside = tree(fixture.dir.path());
        assert!(
            matches!(
                fixture.refresh(start()),
                Err(Error::Home(kf_home::Error::Format(FormatError::Invalid { .. })))
            ),
            "{bad}"
        );
        assert_eq!(tree(fixture.dir.path()), outside, "{bad}");
    }
    // As a role that the admins delegate to.
    let fixture = Fixture::published();
    let mut body = fixture.body("targets.json");
    body["version"] = 2.into();
    body["delegations"]["roles"][0]["name"] = "../../../x".into();
    fixture.publish_role("targets.json", &body, &[&fixture.keys.targets[0], &fixture.keys.targets[1]]);
    let session = fixture.refresh(start()).unwrap();
    refused(resolve(&session, "hello"), "not by author-alice");
    // As a target of an author: a version that is none is not a release.
    let fixture = Fixture::published();
    let mut body = fixture.body("author-alice.json");
    body["version"] = 2.into();
    let text = body["targets"].to_string().replace("hello/0.1.0", "hello/..");
    body["targets"] = serde_json::from_str(&text).unwrap();
    fixture.publish_role("author-alice.json", &body, &[fixture.alice()]);
    let session = fixture.refresh(start()).unwrap();
    assert!(matches!(resolve(&session, "hello"), Err(Error::NoVersion { .. })));
}

#[test]
fn t17_a_store_that_is_a_link_or_open_to_others_is_refused() {
    let fixture = Fixture::published();
    let session = fixture.refresh(start()).unwrap();
    let fetched = fetch(&session, "hello").unwrap();
    let home = fixture.home();
    fs_err::create_dir_all(fixture.path("elsewhere")).unwrap();
    std::os::unix::fs::symlink(fixture.path("elsewhere"), home.store()).unwrap();
    refused(install(&home, &fetched, start()), "symbolic link");
    assert!(tree(&fixture.path("elsewhere")).is_empty());
    assert!(receipt::read(&home, &name("hello")).unwrap().is_none());

    fs_err::remove_file(home.store()).unwrap();
    fs_err::create_dir_all(home.store()).unwrap();
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o777);
    fs_err::set_permissions(home.store(), open).unwrap();
    refused(install(&home, &fetched, start()), "other users may write");

    // Only root can give a folder away, so only root can see this refused.
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs_err::set_permissions(home.store(), own).unwrap();
    if std::os::unix::fs::chown(home.store(), Some(65534), None).is_ok() {
        refused(install(&home, &fetched, start()), "belongs to another user");
    }
}

#[test]
fn t17_a_data_folder_moved_to_another_disk_is_fine_when_it_is_ones_own() {
    let fixture = Fixture::published();
    let home = fixture.home();
    let disk = fixture.path("disk");
    fs_err::create_dir_all(&disk).unwrap();
    fs_err::create_dir_all(home.data.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&disk, &home.data).unwrap();
    let mode =
        |mode| fs_err::set_permissions(&disk, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o777);
    refused(add(&fixture, "hello", start()), "other users may write");
    mode(0o700);
    add(&fixture, "hello", start()).unwrap();
}

#[test]
fn t17_a_planted_blob_is_not_taken_for_the_real_one() {
    let fixture = Fixture::published();
    let session = fixture.refresh(start()).unwrap();
    let fetched = fetch(&session, "hello").unwrap();
    let home = fixture.home();
    let store = Store::open(&home).unwrap();
    let sha256 = fetched.resolved.parts.program().sha256;
    let path = home.store().join(format!("v1/{sha256}.wasm"));
    fs_err::write(&path, b"\0asm evil!").unwrap();
    store.put(&fetched).unwrap();
    assert_eq!(store.read(PartKind::Component, sha256).unwrap(), fetched.program());
    fs_err::remove_file(&path).unwrap();
    std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
    refused(store.put(&fetched), "symbolic link");
    refused(store.read(PartKind::Component, sha256), "symbolic link");
}

#[test]
fn t18_a_component_swapped_after_it_was_added_is_not_handed_out() {
    let fixture = Fixture::published();
    let receipt = add(&fixture, "hello", start()).unwrap();
    let home = fixture.home();
    let store = Store::open(&home).unwrap();
    assert_eq!(store.read(PartKind::Component, receipt.program_digest()).unwrap(), b"\0asm hello");
    fs_err::write(home.store().join(format!("v1/{}.wasm", receipt.program_digest())), b"\0asm evil!")
        .unwrap();
    let error = store.read(PartKind::Component, receipt.program_digest()).unwrap_err();
    assert!(matches!(error, Error::Tampered { .. }), "{error}");
}

#[test]
fn t18_rights_added_to_a_receipt_by_hand_do_not_count() {
    let fixture = Fixture::published();
    add(&fixture, "hello", start()).unwrap();
    let path = fixture.home().receipt(&name("hello"));
    let receipt: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let secrets = json!([{ "apiGroups": [""], "resources": ["secrets"], "verbs": ["get"] }]);
    for (right, added) in [("kubernetes", secrets), ("selection", json!(true)), ("terminal", json!(true))] {
        let mut receipt = receipt.clone();
        receipt["consent"]["permissions"][right] = added;
        fs_err::write(&path, receipt.to_string()).unwrap();
        assert!(receipt::read(&fixture.home(), &name("hello")).is_err(), "{right}");
    }
}

/// The tree says which arguments are files, and what help promises.
#[test]
fn t18_a_command_tree_edited_in_a_receipt_is_not_believed() {
    let fixture = Fixture::published();
    add(&fixture, "hello", start()).unwrap();
    let path = fixture.home().receipt(&name("hello"));
    let mut receipt: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let tree = receipt["commands"].as_str().unwrap().to_owned();
    for edited in [tree.replace("[]", "[{}]"), format!("{tree} "), String::new()] {
        receipt["commands"] = edited.as_str().into();
        fs_err::write(&path, receipt.to_string()).unwrap();
        refused(receipt::read(&fixture.home(), &name("hello")), "not those that were signed");
    }
    receipt.as_object_mut().unwrap().remove("commands");
    fs_err::write(&path, receipt.to_string()).unwrap();
    refused(receipt::read(&fixture.home(), &name("hello")), "commands");
}

#[test]
fn t20_what_is_installed_and_blocked_later_is_marked_for_its_next_start() {
    let fixture = Fixture::published();
    add(&fixture, "hello", start()).unwrap();
    let sha256 = kf_core::Digest::of(b"\0asm hello");
    let block = format!("[[blocked]]\nsha256 = \"{sha256}\"\nreason = \"it phones home\"\n");
    fixture.plugin_toml("hello", "alice", &block);
    fixture.build(start() + hours(1)).unwrap();
    fixture.refresh(start() + hours(1)).unwrap();
    let receipt = || receipt::require(&fixture.home(), &name("hello")).unwrap();
    assert_eq!(receipt().blocked.as_deref(), Some("it phones home"));
    refused(receipt().check_start(), "it phones home");
    fixture.plugin_toml("hello", "alice", "");
    fixture.build(start() + hours(2)).unwrap();
    fixture.refresh(start() + hours(2)).unwrap();
    receipt().check_start().unwrap();
}

#[test]
fn a_ceiling_that_sinks_takes_rights_from_what_is_installed() {
    let fixture = Fixture::new();
    let rules = |verbs: &str| {
        format!("[[ceiling.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [{verbs}]\n")
    };
    fixture.plugin_toml("hello", "alice", &rules("\"list\", \"delete\""));
    fixture.build(start()).unwrap();
    let before = add(&fixture, "hello", start()).unwrap();
    assert_eq!(before.ceiling.kubernetes[0]["verbs"], json!(["list", "delete"]));
    fixture.plugin_toml(
        "hello",
        "alice",
        &(rules("\"list\"") + "[[blocked]]\nsha256 = \"" + &"0".repeat(64) + "\"\nreason = \"x\"\n"),
    );
    fixture.build(start() + hours(1)).unwrap();
    fixture.refresh(start() + hours(1)).unwrap();
    let after = receipt::require(&fixture.home(), &name("hello")).unwrap();
    assert_eq!(after.ceiling.kubernetes[0]["verbs"], json!(["list"]));
    assert_eq!((after.consent, after.parts), (before.consent, before.parts));
    assert_eq!(after.blocked, None);
}

#[test]
fn t20_a_blocked_component_is_never_resolved_not_even_by_version() {
    let fixture = Fixture::published();
    let sha256 = kf_core::Digest::of(b"\0asm hello");
    let block = format!("[[blocked]]\nsha256 = \"{sha256}\"\nreason = \"it phones home\"\n");
    fixture.plugin_toml("hello", "alice", &block);
    fixture.build(start() + hours(1)).unwrap();
    let session = fixture.refresh(start() + hours(1)).unwrap();
    refused(resolve(&session, "hello"), "it phones home");
    let exact = Want::Exact(semver::Version::new(0, 1, 0));
    refused(session.view().resolve(&name("hello"), &exact, &any_abi), "it phones home");
}
