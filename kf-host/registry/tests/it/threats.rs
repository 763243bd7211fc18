//! The threats T1 to T23, each against a client with a home and an untrusted registry. The table of all of them is in
//! `tests/it/registry_threats.rs`.
//!
//! Each [`Fixture::refresh`] acts like a new process, which knows only its home.

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

/// hello 0.1.0 was published and refreshed, and an hour later 0.2.0. `old` has the first state.
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
fn t1_flipped_byte_in_file_installs_nothing() {
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
fn t1_changed_metadata_is_refused() {
    for role in ["timestamp.json", "snapshot.json", "targets.json"] {
        let fixture = Fixture::published();
        let path = fixture.metadata(role);
        let text = fs_err::read_to_string(&path).unwrap();
        // The version is part of what is signed.
        let mut file: Value = serde_json::from_str(&text).unwrap();
        file["signed"]["version"] = 2.into();
        fs_err::write(&path, file.to_string()).unwrap();
        let error = fixture.refresh(start()).unwrap_err();
        assert!(matches!(error.kind(), Kind::Untrusted | Kind::Unreachable), "{role}: {error}");
        assert!(!fixture.path("home/data").exists(), "{role}: state was stored");
    }
}

#[test]
fn t2_metadata_signed_with_unknown_keys_is_refused() {
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
fn t2_two_signatures_of_one_key_count_once() {
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

    // Two different admins are accepted, so the above is refused for the right reason.
    let fixture = Fixture::published();
    fixture.publish_role("targets.json", &body, &[&fixture.keys.targets[0], &fixture.keys.targets[2]]);
    fixture.refresh(start()).unwrap();
}

#[test]
fn t3_older_timestamp_is_refused_by_new_process() {
    let (fixture, later) = with_history();
    fixture.restore("old");
    refused(fixture.refresh(later), "rollback detected for timestamp");
}

#[test]
fn t3_older_snapshot_under_new_timestamp_is_refused() {
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
fn t3_older_targets_and_author_roles_under_new_snapshot_are_refused() {
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
fn t3_snapshot_without_known_role_is_refused() {
    let (fixture, later) = with_history();
    let mut snapshot = fixture.body("snapshot.json");
    snapshot["meta"].as_object_mut().unwrap().remove("author-bob.json");
    fixture.publish_snapshot(snapshot);
    refused(fixture.refresh(later), "removes author-bob.json");
}

#[test]
fn t3_damaged_state_file_is_refused() {
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
fn t4_roots_are_followed_in_order_and_never_back() {
    let fixture = Fixture::published();
    let later = start() + days(200);
    fixture.build(later).unwrap();
    let second = fs_err::read(fixture.metadata("root.json")).unwrap();
    // Served as version 3, it skips one.
    let third = fixture.path("published/metadata/3.root.json");
    fs_err::write(&third, &second).unwrap();
    refused(fixture.refresh(later), "root version must increment by one");
    fs_err::remove_file(&third).unwrap();
    fixture.refresh(later).unwrap();
    // Once seen, the second root applies even if the mirror hides or forges it.
    fs_err::remove_file(fixture.path("published/metadata/2.root.json")).unwrap();
    let mut body = fixture.body("root.json");
    assert_eq!(body["version"], 1);
    body["version"] = 2.into();
    let stranger = SigningKey::generate().unwrap();
    let forged = signed(&body, &[&fixture.keys.root[0], &stranger]);
    fs_err::write(fixture.path("published/metadata/2.root.json"), forged).unwrap();
    fixture.refresh(later).unwrap();
    // A user who never saw it refuses the forged one.
    fs_err::remove_dir_all(fixture.path("home")).unwrap();
    refused(fixture.refresh(later), "1/2");
}

/// The next root, which gives the timestamp another key.
fn rotate_timestamp_key(fixture: &Fixture, new: &SigningKey) {
    let mut root = fixture.body("root.json");
    let version = root["version"].as_u64().unwrap() + 1;
    root["version"] = version.into();
    root["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
    root["roles"]["timestamp"]["keyids"] = json!([new.id()]);
    let path = fixture.path(&format!("published/metadata/{version}.root.json"));
    fs_err::write(path, signed(&root, &fixture.keys.root.iter().collect::<Vec<_>>())).unwrap();
}

/// Signs the published timestamp again, as `version`.
fn sign_timestamp(fixture: &Fixture, version: u64, key: &SigningKey) {
    let mut timestamp = fixture.body("timestamp.json");
    timestamp["version"] = version.into();
    fs_err::write(fixture.metadata("timestamp.json"), signed(&timestamp, &[key])).unwrap();
}

/// Its keys may have been revoked, and a mirror could hide that again.
#[test]
fn t4_root_of_failed_refresh_is_kept() {
    for is_known in [false, true] {
        let fixture = Fixture::published();
        if is_known {
            fixture.refresh(start()).unwrap();
        }
        fixture.save("before");
        let new = SigningKey::generate().unwrap();
        rotate_timestamp_key(&fixture, &new);
        // The timestamp has not followed yet.
        refused(fixture.refresh(start()), "0/1");
        let known = trust::last_seen(&fixture.home(), &fixture.registry().id).unwrap();
        assert_eq!(known.is_some(), is_known, "a root alone is no refresh");
        let before = tree(&fixture.path("home"));
        refused(fixture.refresh(start()), "0/1");
        assert_eq!(tree(&fixture.path("home")), before, "the same root is not stored again");
        fixture.restore("before");
        sign_timestamp(&fixture, 9, &fixture.keys.timestamp);
        refused(fixture.refresh(start()), "0/1");
        assert!(trust::cached(&fixture.home(), &fixture.registry(), start()).is_err());
        rotate_timestamp_key(&fixture, &new);
        sign_timestamp(&fixture, 2, &new);
        fixture.refresh(start()).unwrap();
        trust::cached(&fixture.home(), &fixture.registry(), start()).unwrap();
    }
}

/// A root that one mirror has applies to those after it.
#[test]
fn t4_root_of_one_mirror_applies_to_next() {
    let fixture = Fixture::published();
    fixture.save("stale");
    let new = SigningKey::generate().unwrap();
    rotate_timestamp_key(&fixture, &new);
    sign_timestamp(&fixture, 2, &new);
    fs_err::remove_file(fixture.path("published/metadata/1.snapshot.json")).unwrap();
    let mut registry = fixture.registry();
    registry.urls.push(Url::parse(&format!("file://{}", fixture.path("stale").display())).unwrap());
    refused(trust::refresh(&fixture.home(), &registry, &Options::at(start())), "0/1");
}

#[test]
fn t9_rotated_timestamp_key_recovers_from_fast_forward() {
    let fixture = Fixture::published();
    sign_timestamp(&fixture, 1 << 53, &fixture.keys.timestamp);
    fixture.refresh(start()).unwrap();
    sign_timestamp(&fixture, 2, &fixture.keys.timestamp);
    refused(fixture.refresh(start()), "rollback detected for timestamp");
    let new = SigningKey::generate().unwrap();
    rotate_timestamp_key(&fixture, &new);
    // A refresh in between, which keeps the new root.
    refused(fixture.refresh(start()), "0/1");
    sign_timestamp(&fixture, 3, &new);
    fixture.refresh(start()).unwrap();
    // The low version is what counts from now on.
    trust::cached(&fixture.home(), &fixture.registry(), start()).unwrap();
    sign_timestamp(&fixture, 2, &new);
    refused(fixture.refresh(start()), "rollback detected for timestamp");
}

#[test]
fn t5_expired_metadata_is_refused() {
    let fixture = Fixture::published();
    fixture.refresh(start() + hours(23)).unwrap();
    refused(fixture.refresh(start() + hours(25)), "timestamp metadata expired");
    refused(trust::cached(&fixture.home(), &fixture.registry(), start() + hours(25)), "expired");

    // A mirror with a stolen timestamp key renews the timestamp, but the snapshot still expires.
    let mut timestamp = fixture.body("timestamp.json");
    timestamp["version"] = 2.into();
    timestamp["expires"] = (start() + days(300)).to_string().into();
    let bytes = signed(&timestamp, &[&fixture.keys.timestamp]);
    fs_err::write(fixture.metadata("timestamp.json"), bytes).unwrap();
    fixture.refresh(start() + days(6)).unwrap();
    refused(fixture.refresh(start() + days(8)), "snapshot metadata expired");
}

#[test]
fn t5_expired_author_role_disables_no_other() {
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
fn t6_clock_set_back_is_refused_and_changes_nothing() {
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

/// As on a machine whose clock has no battery: signatures that expired long ago would look valid.
#[test]
fn t6_clock_before_signatures_is_refused_on_first_use() {
    let (fixture, later) = with_history();
    fs_err::remove_dir_all(fixture.path("home")).unwrap();
    for now in [Timestamp::UNIX_EPOCH, start() - days(365), later - hours(25)] {
        refused(fixture.refresh(now), "signed at 2026-11-21T09:00:00Z");
        assert!(!fixture.path("home/data").exists(), "state was stored");
    }
    // An older mirror does not make the clock valid.
    let mut registry = fixture.registry();
    registry.urls.push(Url::parse(&format!("file://{}", fixture.path("old").display())).unwrap());
    let refresh = |now| trust::refresh(&fixture.home(), &registry, &Options::at(now));
    refused(refresh(start() - days(365)), "signed at");
    fixture.refresh(later - hours(23)).unwrap();
}

/// Only signed state counts, not what a mirror claims.
#[test]
fn newest_valid_mirror_is_preferred() {
    let (fixture, later) = with_history();
    fs_err::create_dir_all(fixture.path("forged/metadata")).unwrap();
    let mut claimed = fixture.body("timestamp.json");
    claimed["version"] = 99.into();
    fs_err::write(fixture.path("forged/metadata/timestamp.json"), signed(&claimed, &[fixture.alice()]))
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
        &["forged", "old", "published"],
        &["missing", "old", "forged", "published"],
    ] {
        assert_eq!(version(mirrors), "0.2.0", "{mirrors:?}");
    }
    assert_eq!(version(&["old", "forged"]), "0.1.0", "a valid state is better than none");
    refused(refreshed(&["forged"]), "");
    // A newer root takes precedence over a newer timestamp under the old root.
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
fn t7_mix_of_two_states_is_refused() {
    // New targets under an old snapshot, by name.
    let (fixture, later) = with_history();
    fixture.save("new");
    fixture.restore("old");
    let new = fs_err::read(fixture.path("new/metadata/2.targets.json")).unwrap();
    fs_err::write(fixture.path("published/metadata/1.targets.json"), new).unwrap();
    fs_err::remove_dir_all(fixture.path("home")).unwrap();
    refused(fixture.refresh(later), "targets.json");

    // A new snapshot that the old timestamp does not list.
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
fn t12_author_cannot_publish_command_of_another() {
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
fn t12_role_other_than_owner_is_refused() {
    // The admins' index says bob owns hello, while alice's keys sign it.
    let fixture = Fixture::published();
    let index: Value =
        serde_json::from_slice(&fs_err::read(fixture.target("index/plugins.json")).unwrap()).unwrap();
    let mut index = index;
    index["plugins"]["hello"]["owner"] = "bob".into();
    publish_index(&fixture, &index);
    let session = fixture.refresh(start()).unwrap();
    refused(resolve(&session, "hello"), "delegated to author-alice, not to author-bob");
}

/// Publishes another index, signed by two admins.
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
fn t16_names_with_path_traversal_are_refused() {
    // As a command in the index.
    for bad in ["../../bin/kf", "..", "a/b", "hello\u{0}", "Hello"] {
        let fixture = Fixture::published();
        let path = fixture.target("index/plugins.json");
        let mut index: Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
        let entry = index["plugins"]["hello"].clone();
        index["plugins"][bad] = entry;
        publish_index(&fixture, &index);
        let outside = tree(fixture.dir.path());
        refused(fixture.refresh(start()), "cannot read index/plugins.json: invalid command name");
        assert_eq!(tree(fixture.dir.path()), outside, "{bad}");
    }
    // As a role that the admins delegate to.
    let fixture = Fixture::published();
    let mut body = fixture.body("targets.json");
    body["version"] = 2.into();
    body["delegations"]["roles"][0]["name"] = "../../../x".into();
    fixture.publish_role("targets.json", &body, &[&fixture.keys.targets[0], &fixture.keys.targets[1]]);
    let session = fixture.refresh(start()).unwrap();
    refused(resolve(&session, "hello"), "not to author-alice");
    // As a target of an author: an invalid version is not a release.
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
fn t17_symlinked_or_shared_store_is_refused() {
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
    refused(install(&home, &fetched, start()), "other users can write");

    // Only root can change the owner of a folder, so this is tested only as root.
    let own = std::os::unix::fs::PermissionsExt::from_mode(0o700);
    fs_err::set_permissions(home.store(), own).unwrap();
    if std::os::unix::fs::chown(home.store(), Some(65534), None).is_ok() {
        refused(install(&home, &fetched, start()), "belongs to another user");
    }
}

#[test]
fn t17_symlinked_data_folder_is_accepted_if_own() {
    let fixture = Fixture::published();
    let home = fixture.home();
    let disk = fixture.path("disk");
    fs_err::create_dir_all(&disk).unwrap();
    fs_err::create_dir_all(home.data.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(&disk, &home.data).unwrap();
    let mode =
        |mode| fs_err::set_permissions(&disk, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
    mode(0o777);
    refused(add(&fixture, "hello", start()), "other users can write");
    mode(0o700);
    add(&fixture, "hello", start()).unwrap();
}

#[test]
fn t17_planted_blob_is_replaced_or_refused() {
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
fn t18_component_changed_in_store_is_refused() {
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
fn t18_receipt_with_added_rights_is_refused() {
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

/// The command tree decides which arguments are files, and what help shows.
#[test]
fn t18_receipt_with_edited_command_tree_is_refused() {
    let fixture = Fixture::published();
    add(&fixture, "hello", start()).unwrap();
    let path = fixture.home().receipt(&name("hello"));
    let mut receipt: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let tree = receipt["commands"].as_str().unwrap().to_owned();
    for edited in [tree.replace("[]", "[{}]"), format!("{tree} "), String::new()] {
        receipt["commands"] = edited.as_str().into();
        fs_err::write(&path, receipt.to_string()).unwrap();
        refused(receipt::read(&fixture.home(), &name("hello")), "does not match the signed digest");
    }
    receipt.as_object_mut().unwrap().remove("commands");
    fs_err::write(&path, receipt.to_string()).unwrap();
    refused(receipt::read(&fixture.home(), &name("hello")), "commands");
}

#[test]
fn t20_block_stops_installed_command_at_next_start() {
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
fn lowered_ceiling_reduces_rights_of_installed_command() {
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
fn t20_blocked_version_is_never_resolved() {
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
