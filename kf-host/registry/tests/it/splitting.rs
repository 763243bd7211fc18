//! Large registries, which are split into shards.

use std::collections::BTreeSet;
use std::sync::OnceLock;

use jiff::{SignedDuration, Timestamp};
use kf_core::{AuthorId, Digest, Kind};
use kf_home::Home;
use kf_registry::publish::{Built, Review, RoleName, SigningKey, Staging, verify};
use kf_registry::trust::{self, Options, Session, Wanted};
use kf_registry::{Error, Result};
use serde_json::{Value, json};

use crate::fixture::*;

fn later() -> Timestamp {
    start() + SignedDuration::from_hours(1)
}

/// Twenty commands of bob for each letter, enough to split the registry: `aa-0` to `zz-19`.
fn names_of_bob() -> Vec<String> {
    let letters = 'a'..='z';
    letters.flat_map(|letter| (0..20).map(move |at| format!("{letter}{letter}-{at}"))).collect()
}

/// Makes the registry of a fixture large, without publishing it.
pub(crate) fn grow(fixture: &Fixture) {
    let mut names = names_of_bob();
    for name in &names {
        fixture.plugin_toml(name, "bob", "");
    }
    names.push("audit".to_owned());
    fixture.write(
        "source/authors/bob.toml",
        &format!("format = 1\nid = \"bob\"\ncontact = \"bob@example.org\"\nplugins = {names:?}\n"),
    );
}

/// hello of alice and audit of bob in a registry of 523 names, published at [`start`].
fn large() -> Fixture {
    static BUILT: OnceLock<Fixture> = OnceLock::new();
    let built = BUILT.get_or_init(|| {
        let fixture = Fixture::new();
        grow(&fixture);
        fixture.artifact("audit", "0.1.0", b"\0asm audit");
        fixture.build(start()).unwrap();
        fixture.keys.save(&fixture.path("keys")).unwrap();
        fixture
    });
    let fixture = Fixture::with_keys_of(built);
    copy_dir(built.dir.path(), fixture.dir.path());
    fixture
}

/// Refreshes what is installed in `home`.
fn refresh(fixture: &Fixture, home: &str, now: Timestamp) -> Result<Session> {
    let options = Options { wanted: Wanted::Installed, ..Options::at(now) };
    trust::refresh(&Home::under(fixture.path(home)), &fixture.registry(), &options)
}

fn resolved(session: &mut Session, plugin: &str) -> Result<semver::Version> {
    session.resolve(&name(plugin), &newest(), &any_abi).map(|resolved| resolved.version)
}

fn add(fixture: &Fixture, home: &str, plugin: &str, now: Timestamp) -> Result<()> {
    let mut session = refresh(fixture, home, now)?;
    let resolved = session.resolve(&name(plugin), &newest(), &any_abi)?;
    install(&Home::under(fixture.path(home)), &session.fetch(&resolved)?, now).map(drop)
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

/// Removes every published file whose name contains one of the words.
fn remove(fixture: &Fixture, is_removed: impl Fn(&str) -> bool) {
    for path in tree(&fixture.path("published")).into_keys() {
        if is_removed(path.to_str().unwrap()) {
            fs_err::remove_file(path).unwrap();
        }
    }
}

/// Publishes another index of shard g, signed by two admins.
fn publish_shard(fixture: &Fixture, change: impl FnOnce(&mut Value)) {
    let mut index: Value =
        serde_json::from_slice(&fs_err::read(fixture.target("index/names/g.json")).unwrap()).unwrap();
    change(&mut index);
    let bytes = serde_json::to_vec(&index).unwrap();
    let sha256 = Digest::of(&bytes);
    fs_err::write(fixture.path(&format!("published/targets/index/names/{sha256}.g.json")), &bytes).unwrap();
    let mut body = fixture.body("names-g.json");
    body["version"] = 2.into();
    body["targets"]["index/names/g.json"] = json!({ "length": bytes.len(), "hashes": { "sha256": sha256 } });
    fixture.publish_role("names-g.json", &body, &admins(fixture));
}

fn admins(fixture: &Fixture) -> Vec<&SigningKey> {
    fixture.keys.targets.iter().take(2).collect()
}

#[test]
fn client_reads_only_the_shards_of_its_commands() {
    let fixture = large();
    let needed =
        ["timestamp.json", "1.root.json", "1.snapshot.json", "1.targets.json", "index/", "author-alice"];
    remove(&fixture, |path| {
        let is_other_index = path.contains("index/names/") && !path.ends_with(".g.json");
        let is_metadata = path.contains("/metadata/") && !path.ends_with("1.names-g.json");
        is_other_index
            || path.contains("catalogue")
            || (is_metadata && !needed.iter().any(|kept| path.contains(kept)))
    });
    let mut session = refresh(&fixture, "home", start()).unwrap();
    assert!(session.view().plugins.is_empty(), "nothing is installed");
    assert_eq!(session.offered(), 523);
    assert_eq!(resolved(&mut session, "hello").unwrap().to_string(), "0.1.0");
    let fetched = session.fetch(&resolve(&session, "hello").unwrap()).unwrap();
    install(&fixture.home(), &fetched, start()).unwrap();
    // It is known offline, and refreshed from now on.
    let mut cached = trust::cached(&fixture.home(), &fixture.registry(), start()).unwrap();
    assert!(cached.plugin(&name("hello")).unwrap().is_some());
    assert!(
        matches!(cached.plugin(&name("hh-0")), Err(Error::Unreachable { .. })),
        "bob's role is not cached"
    );
    assert!(matches!(cached.plugin(&name("audit")), Err(Error::Unreachable { .. })));
    let session = refresh(&fixture, "home", start()).unwrap();
    assert_eq!(session.view().plugins.keys().collect::<Vec<_>>(), [&name("hello")]);
    // Without its shard, the state is not complete.
    remove(&fixture, |path| path.ends_with("names-g.json"));
    fs_err::remove_dir_all(fixture.path("home/data/registries")).unwrap();
    assert_eq!(refresh(&fixture, "home", start()).unwrap_err().kind(), Kind::Unreachable);
}

#[test]
fn registry_is_split_when_it_grows_and_joined_when_it_shrinks() {
    let fixture = Fixture::published();
    fixture.artifact("audit", "0.1.0", b"\0asm audit");
    fixture.build(start()).unwrap();
    for plugin in ["hello", "audit"] {
        add(&fixture, "home", plugin, start()).unwrap();
    }
    let signed_by_authors =
        |fixture: &Fixture| ["alice", "bob"].map(|author| fixture.body(&format!("author-{author}.json")));
    let before = signed_by_authors(&fixture);

    grow(&fixture);
    fixture.build(later()).unwrap();
    assert_eq!(signed_by_authors(&fixture), before, "authors do not sign again");
    assert!(fixture.metadata("names-g.json").exists());
    let mut session = refresh(&fixture, "home", later()).unwrap();
    assert_eq!(session.view().plugins.len(), 2);
    assert_eq!(resolved(&mut session, "hello").unwrap().to_string(), "0.1.0");

    for name in names_of_bob() {
        fs_err::remove_file(fixture.path(&format!("source/plugins/{name}.toml"))).unwrap();
    }
    fixture.write(
        "source/authors/bob.toml",
        "format = 1\nid = \"bob\"\ncontact = \"bob@example.org\"\nplugins = [\"audit\"]\n",
    );
    let evening = later() + SignedDuration::from_hours(2);
    fixture.build(evening).unwrap();
    assert_eq!(fixture.body("targets.json")["delegations"]["roles"].as_array().unwrap().len(), 2);
    let mut session = refresh(&fixture, "home", evening).unwrap();
    assert_eq!(resolved(&mut session, "audit").unwrap().to_string(), "0.1.0");

    // Split again, with the versions of the shards going on.
    grow(&fixture);
    let night = evening + SignedDuration::from_hours(2);
    fixture.plugin_toml("hello", "alice", "yanked = [\"0.1.0\"]\n");
    let built: Built = fixture.build(night).unwrap();
    assert_eq!((built.versions["names-g.json"], built.versions["names-a.json"]), (2, 1));
    let session = refresh(&fixture, "home", night).unwrap();
    assert!(session.view().plugins[&name("hello")].releases[&semver::Version::new(0, 1, 0)].yanked.is_some());
}

#[test]
fn admins_sign_only_the_shard_that_changes() {
    let fixture = large();
    fixture.plugin_toml("hello", "alice", "yanked = [\"0.1.0\"]\n");
    let shard_alone = fixture.stage_only(Some(&["names-g"]), None, "staging", later());
    refused_to_publish(shard_alone, "names-g is staged with targets, not alone");
    let staged = fixture.stage_only(Some(&["targets"]), Some(&fixture.keys.public()), "staging", later());
    assert_eq!(staged.unwrap().roles, [role("names-g")]);
    let folder: BTreeSet<String> = tree(&fixture.path("staging"))
        .into_keys()
        .map(|path| path.strip_prefix(fixture.path("staging")).unwrap().to_str().unwrap().to_owned())
        .filter(|path| !path.starts_with("targets/"))
        .collect();
    let expected = [
        "published/names-g.json",
        "published/names/g.json",
        "published/plugins.json",
        "published/root.json",
        "published/targets.json",
        "roles/names-g.json",
        "staging.json",
    ];
    assert_eq!(folder.iter().map(String::as_str).collect::<Vec<_>>(), expected);

    let staging = Staging::open(&fixture.path("staging")).unwrap();
    staging.check_base(&fixture.path("published"), Some(&fixture.root())).unwrap();
    let review: Review = staging.review(&role("names-g")).unwrap();
    let yank = "+ index/names/g.json plugins hello yanked: \"0.1.0\"";
    assert!(review.changes.iter().any(|change| change.to_string() == yank), "{:?}", review.changes);
    assert_eq!((review.signers[0].threshold, review.signers[0].keyids.len()), (2, 3));
    staging.sign(&role("names-g"), &fixture.keys.targets[0]).unwrap();
    refused(fixture.assemble("staging", later()), "cannot publish role names-g");
    let author = staging.sign(&role("names-g"), fixture.alice());
    assert!(matches!(author, Err(Error::NotAuthorized { .. })));
    staging.sign(&role("names-g"), &fixture.keys.targets[2]).unwrap();
    fixture.assemble("staging", later()).unwrap();
    let mut session = refresh(&fixture, "home", later()).unwrap();
    assert!(matches!(resolved(&mut session, "hello"), Err(Error::NoVersion { .. })));
}

#[test]
fn author_stages_and_signs_alone() {
    let fixture = large();
    add(&fixture, "home", "hello", start()).unwrap();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    let staged = fixture.stage_only(Some(&["author-alice"]), None, "staging", later()).unwrap();
    assert_eq!(staged.roles, [role("author-alice")]);
    let staging = Staging::open(&fixture.path("staging")).unwrap();
    assert_eq!(staging.holders().unwrap()[fixture.alice().id()], "alice");
    let not_bob = staging.sign(&role("author-alice"), fixture.bob());
    assert!(matches!(not_bob, Err(Error::NotAuthorized { .. })));
    staging.sign(&role("author-alice"), fixture.alice()).unwrap();
    fixture.assemble("staging", later()).unwrap();
    let mut session = refresh(&fixture, "home", later()).unwrap();
    assert_eq!(resolved(&mut session, "hello").unwrap().to_string(), "0.2.0");
    let problems = verify::verify(&fixture.path("published"), &fixture.root(), later()).unwrap();
    assert_eq!((problems.commands, problems.versions, problems.problems), (523, 3, Vec::new()));
    assert!(problems.roles.iter().any(|role| role.name == "names-y"));
}

#[test]
fn revoked_author_key_is_replaced_in_every_shard() {
    let mut fixture = large();
    add(&fixture, "home", "audit", start()).unwrap();
    let stolen = fixture.keys.authors.remove(&AuthorId::parse("bob").unwrap()).unwrap();
    let new = SigningKey::generate().unwrap();
    let mut names: Vec<String> = names_of_bob();
    names.push("audit".to_owned());
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    fixture.author("bob", &names, &[&new]);
    let keys = fixture.keys.public();
    fixture.stage_only(Some(&["targets"]), Some(&keys), "staging", later()).unwrap();
    fixture.sign_all("staging");
    fixture.assemble("staging", later()).unwrap();
    // What the old key signed stays published, and clients do not use it.
    assert!(fixture.body("targets.json")["x-kf-kept-authors"]["author-bob.json"].is_object());
    let mut session = refresh(&fixture, "home", later()).unwrap();
    assert!(matches!(resolved(&mut session, "audit"), Err(Error::BadOwnerRole { .. })));
    let mut body = fixture.body("author-bob.json");
    body["version"] = 2.into();
    fixture.publish_role("author-bob.json", &body, &[&stolen]);
    let mut session = refresh(&fixture, "home", later()).unwrap();
    assert!(matches!(resolved(&mut session, "audit"), Err(Error::BadOwnerRole { .. })));
    // The admins' keep does not vouch for that either.
    refused_to_publish(fixture.prepare(None, later()).map(drop), "author-bob");
}

/// A change to a file of JSON.
type Change = fn(&mut Value);

fn refused_to_publish<T: std::fmt::Debug>(result: Result<T>, words: &str) {
    let error = result.unwrap_err();
    assert!(matches!(error, Error::Publish(_)) && error.to_string().contains(words), "{error}");
}

#[test]
fn changed_targets_keys_sign_every_shard() {
    let mut fixture = large();
    let new = SigningKey::generate().unwrap();
    let old = fixture.keys.targets[2].id().to_owned();
    fixture.next_root(later(), |root| {
        root["keys"].as_object_mut().unwrap().remove(&old);
        root["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
        for id in root["roles"]["targets"]["keyids"].as_array_mut().unwrap() {
            if *id == old.as_str() {
                *id = new.id().into();
            }
        }
    });
    fixture.keys.targets[2] = new;
    // Old targets would still delegate to the removed key.
    let keys = fixture.keys.public();
    fixture.stage_only(Some(&["root"]), Some(&keys), "alone", later()).unwrap();
    fixture.sign_all("alone");
    let words = "names-a must have the keys and the threshold of targets";
    refused_to_publish(fixture.prepare(Some("alone"), later()).map(drop), words);
    let staged = fixture.stage("staging", later()).unwrap();
    assert_eq!(staged.roles.len(), 2, "the delegations change, the signatures of two keys stay valid");
    fixture.sign_all("staging");
    fixture.assemble("staging", later()).unwrap();
    let mut session = refresh(&fixture, "home", later()).unwrap();
    resolved(&mut session, "hello").unwrap();
}

#[test]
fn staged_shards_are_checked() {
    let cases: [(&str, &str, Change); 8] = [
        ("names-g", "it changes a target other than the index", |role| {
            role["targets"]["index/plugins.json"] = role["targets"]["index/names/g.json"].clone();
        }),
        ("names-g", "which belongs into another shard", |role| {
            role["delegations"]["roles"][0]["paths"][0] = "plugins/audit/*/*".into();
        }),
        ("names-g", "delegations do not match the owners", |role| {
            role["delegations"]["roles"][0]["paths"].as_array_mut().unwrap().clear();
        }),
        ("names-g", "must be terminating", |role| {
            role["delegations"]["roles"][0]["terminating"] = false.into();
        }),
        ("targets", "names-a: targets does not delegate to it", |role| {
            role["delegations"]["roles"][0]["paths"][1] = "plugins/*/*/*".into();
        }),
        ("targets", "neither an author's nor a shard's", |role| {
            let mut other = role["delegations"]["roles"][0].clone();
            other["name"] = "author-carol".into();
            role["delegations"]["roles"].as_array_mut().unwrap().push(other);
        }),
        ("targets", "must be terminating", |role| {
            role["delegations"]["roles"][0]["terminating"] = false.into();
        }),
        ("targets", "must have the keys and the threshold of targets", |role| {
            role["delegations"]["roles"][0]["threshold"] = 1.into();
        }),
    ];
    let fixture = Fixture::new();
    grow(&fixture);
    fixture.stage("staged", start()).unwrap();
    for (changed, words, change) in cases {
        fixture.save_dir("staged", "staging");
        let path = fixture.path("staging/roles").join(format!("{changed}.json"));
        let mut body: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        change(&mut body);
        fs_err::write(&path, serde_json::to_vec(&body).unwrap()).unwrap();
        fixture.sign_all("staging");
        refused_to_publish(fixture.prepare(Some("staging"), start()).map(drop), words);
        fs_err::remove_dir_all(fixture.path("staging")).unwrap();
    }
    let read =
        |path: &str| -> Value { serde_json::from_slice(&fs_err::read(fixture.path(path)).unwrap()).unwrap() };
    // Targets delegates to a shard that is missing.
    fixture.save_dir("staged", "staging");
    let mut json = read("staging/staging.json");
    json["roles"].as_array_mut().unwrap().retain(|role| role != "names-g");
    fixture.write("staging/staging.json", &json.to_string());
    fs_err::remove_file(fixture.path("staging/roles/names-g.json")).unwrap();
    fixture.sign_all("staging");
    let words = "names-g: targets delegates to it, but it is not staged";
    refused_to_publish(fixture.prepare(Some("staging"), start()).map(drop), words);
    fs_err::remove_dir_all(fixture.path("staging")).unwrap();
    // A second shard has some of the names.
    fixture.save_dir("staged", "staging");
    let mut json = read("staging/staging.json");
    json["roles"].as_array_mut().unwrap().push("names-bb".into());
    fixture.write("staging/staging.json", &json.to_string());
    let mut body = read("staging/roles/names-a.json");
    let stored = body["targets"]["index/names/a.json"]["hashes"]["sha256"].as_str().unwrap().to_owned();
    let mut index = read(&format!("staging/targets/index/names/{stored}.a.json"));
    index["plugins"].as_object_mut().unwrap().retain(|name, _| name.starts_with("bb"));
    let bytes = index.to_string();
    let sha256 = Digest::of(bytes.as_bytes());
    fixture.write(&format!("staging/targets/index/names/{sha256}.bb.json"), &bytes);
    body["targets"] =
        json!({ "index/names/bb.json": { "length": bytes.len(), "hashes": { "sha256": sha256 } } });
    fixture.write("staging/roles/names-bb.json", &body.to_string());
    let mut body = read("staging/roles/targets.json");
    let mut second = body["delegations"]["roles"][0].clone();
    second["name"] = "names-bb".into();
    second["paths"] = json!(["index/names/bb.json", "plugins/bb*/*/*"]);
    body["delegations"]["roles"].as_array_mut().unwrap().push(second);
    fixture.write("staging/roles/targets.json", &body.to_string());
    fixture.sign_all("staging");
    refused_to_publish(fixture.prepare(Some("staging"), start()).map(drop), "overlaps another shard");
}

#[test]
fn shards_of_one_author_must_have_the_same_keys() {
    let fixture = large();
    fixture.plugin_toml("hello", "alice", "yanked = [\"0.1.0\"]\n");
    fixture.stage_only(Some(&["targets"]), Some(&fixture.keys.public()), "staging", later()).unwrap();
    let path = fixture.path("staging/roles/names-g.json");
    let mut body: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let other = SigningKey::generate().unwrap();
    body["delegations"]["keys"][other.id()] = serde_json::to_value(other.public()).unwrap();
    let roles = body["delegations"]["roles"].as_array_mut().unwrap();
    let bob = roles.iter_mut().find(|role| role["name"] == "author-bob").unwrap();
    bob["keyids"].as_array_mut().unwrap().push(other.id().into());
    fs_err::write(&path, serde_json::to_vec(&body).unwrap()).unwrap();
    fixture.sign_all("staging");
    refused_to_publish(fixture.prepare(Some("staging"), later()).map(drop), "author-bob with other keys");
}

#[test]
fn shard_that_admins_did_not_sign_is_refused() {
    let fixture = large();
    add(&fixture, "home", "hello", start()).unwrap();
    let before = tree(&fixture.path("home"));
    fixture.save("good");
    let body = |version: u64| {
        let mut body = fixture.body("names-g.json");
        body["version"] = version.into();
        body
    };
    let attacks: [(&str, &dyn Fn()); 4] = [
        ("one admin", &|| fixture.publish_role("names-g.json", &body(2), &[&fixture.keys.targets[0]])),
        ("an author", &|| fixture.publish_role("names-g.json", &body(2), &[fixture.alice()])),
        ("another shard's file", &|| {
            let other = fs_err::read(fixture.metadata("names-m.json")).unwrap();
            fs_err::write(fixture.metadata("names-g.json"), other).unwrap();
            remove(&fixture, |path| path.ends_with("state.json"));
        }),
        ("expired", &|| {
            let mut body = body(2);
            body["expires"] = "2026-11-21T07:00:00Z".into();
            fixture.publish_role("names-g.json", &body, &admins(&fixture));
        }),
    ];
    for (attack, publish) in attacks {
        publish();
        let fresh = refresh(&fixture, &format!("fresh {attack}"), later());
        let error = fresh.and_then(|mut session| resolved(&mut session, "hello")).unwrap_err();
        assert_eq!(error.kind(), Kind::Untrusted, "{attack}: {error}");
        assert!(error.to_string().contains("names-g"), "{attack}: {error}");
        if attack != "another shard's file" {
            assert_eq!(refresh(&fixture, "home", later()).unwrap_err().kind(), Kind::Untrusted, "{attack}");
            assert_eq!(tree(&fixture.path("home")), before, "{attack}");
        }
        fixture.restore("good");
    }
    // An older shard under a new snapshot.
    fixture.plugin_toml("hello", "alice", "yanked = [\"0.1.0\"]\n");
    fixture.build(later()).unwrap();
    refresh(&fixture, "home", later()).unwrap();
    let mut snapshot = fixture.body("snapshot.json");
    snapshot["meta"]["names-g.json"] =
        pin(1, &fs_err::read(fixture.path("published/metadata/1.names-g.json")).unwrap());
    fixture.publish_snapshot(snapshot);
    refused(refresh(&fixture, "home", later()), "names-g");
}

#[test]
fn shard_to_which_an_author_delegates_is_not_used() {
    let fixture = large();
    // With the online keys and his own, bob has another role of that name loaded for his own command.
    let bob = fixture.bob();
    let index = json!({
        "format": 1, "registry": "team",
        "plugins": { "hello": { "owner": "bob", "summary": "Mine", "ceiling": {} } },
    });
    let bytes = serde_json::to_vec(&index).unwrap();
    let sha256 = Digest::of(&bytes);
    fs_err::write(fixture.path(&format!("published/targets/index/names/{sha256}.g.json")), &bytes).unwrap();
    let mut forged = fixture.body("names-g.json");
    forged["version"] = 2.into();
    forged["targets"]["index/names/g.json"] =
        json!({ "length": bytes.len(), "hashes": { "sha256": sha256 } });
    fixture.publish_role("names-g.json", &forged, &[bob]);
    let mut role = fixture.body("author-bob.json");
    role["version"] = 2.into();
    role["delegations"] = json!({
        "keys": { bob.id(): bob.public() },
        "roles": [{
            "name": "names-g", "keyids": [bob.id()], "threshold": 1, "terminating": false,
            "paths": ["plugins/audit/*/*"],
        }],
    });
    fixture.publish_role("author-bob.json", &role, &[bob]);
    let mut session = refresh(&fixture, "home", start()).unwrap();
    assert_eq!(resolved(&mut session, "audit").unwrap().to_string(), "0.1.0");
    let error = resolved(&mut session, "hello").unwrap_err();
    assert!(error.kind() == Kind::Untrusted && error.to_string().contains("names-g"), "{error}");
}

#[test]
fn index_of_another_shard_or_registry_is_refused() {
    let changes: [(&str, Change); 4] = [
        ("aa-0 belongs into another shard", |index| {
            index["plugins"]["aa-0"] = index["plugins"]["hh-0"].clone()
        }),
        ("it is of registry other", |index| index["registry"] = "other".into()),
        ("blocks and collections", |index| index["collections"] = json!({ "core": ["hello"] })),
        ("invalid command name", |index| index["plugins"]["../x"] = index["plugins"]["hh-0"].clone()),
    ];
    for (words, change) in changes {
        let fixture = large();
        publish_shard(&fixture, change);
        let mut session = refresh(&fixture, "home", start()).unwrap();
        refused(resolved(&mut session, "hello"), words);
        // Other shards are not affected.
        assert_eq!(resolved(&mut session, "audit").unwrap().to_string(), "0.1.0");
    }
}

#[test]
fn owner_in_a_shard_must_be_who_signs() {
    let fixture = large();
    publish_shard(&fixture, |index| index["plugins"]["hello"]["owner"] = "bob".into());
    let mut session = refresh(&fixture, "home", start()).unwrap();
    refused(resolved(&mut session, "hello"), "delegated to author-alice, not to author-bob");
}

#[test]
fn missing_author_role_disables_that_author_only() {
    for fixture in [large(), {
        let fixture = Fixture::new();
        fixture.artifact("audit", "0.1.0", b"\0asm audit");
        fixture.build(start()).unwrap();
        fixture
    }] {
        remove(&fixture, |path| path.ends_with("author-bob.json"));
        let mut session = refresh(&fixture, "home", start()).unwrap();
        refused(resolved(&mut session, "audit"), "1.author-bob.json is missing from the registry");
        assert_eq!(resolved(&mut session, "hello").unwrap().to_string(), "0.1.0");
    }
}

#[test]
fn commands_loaded_by_two_processes_are_both_kept() {
    let fixture = large();
    let mut one = refresh(&fixture, "home", start()).unwrap();
    let mut other = refresh(&fixture, "home", start()).unwrap();
    resolved(&mut one, "hello").unwrap();
    resolved(&mut other, "audit").unwrap();
    let mut cached = trust::cached(&fixture.home(), &fixture.registry(), start()).unwrap();
    for plugin in ["hello", "audit"] {
        resolved(&mut cached, plugin).unwrap();
    }
}

#[test]
fn outdated_roles_of_commands_that_are_not_installed_are_ignored_offline() {
    for (fixture, is_split) in [(large(), true), (Fixture::new(), false)] {
        fixture.artifact("audit", "0.1.0", b"\0asm audit");
        fixture.build(start()).unwrap();
        add(&fixture, "home", "hello", start()).unwrap();
        // audit was looked at, and then changes together with its shard.
        resolved(&mut refresh(&fixture, "home", start()).unwrap(), "audit").unwrap();
        fixture.plugin_toml("audit", "bob", "yanked = [\"0.1.0\"]\n");
        fixture.artifact("audit", "0.2.0", b"\0asm audit 2");
        fixture.build(later()).unwrap();
        refresh(&fixture, "home", later()).unwrap();
        let mut cached = trust::cached(&fixture.home(), &fixture.registry(), later()).unwrap();
        assert_eq!(resolved(&mut cached, "hello").unwrap().to_string(), "0.1.0");
        assert!(matches!(cached.plugin(&name("audit")), Err(Error::Unreachable { .. })), "split: {is_split}");
    }
}

#[test]
fn catalogue_lists_every_command() {
    for fixture in [large(), Fixture::published()] {
        let mut session = refresh(&fixture, "home", start()).unwrap();
        let offers = session.offers().unwrap();
        assert_eq!(offers.len(), session.offered());
        let hello = &offers[&name("hello")];
        assert_eq!((hello.owner.as_str(), hello.summary.as_str()), ("alice", "The hello command"));
        let newest = hello.newest.as_ref().unwrap();
        assert_eq!(
            (newest.version.to_string().as_str(), newest.sha256),
            ("0.1.0", Digest::of(b"\0asm hello"))
        );
        assert_eq!(offers[&name("train")].newest, None, "nothing is published yet");
        // It is the same as what the admins and the authors signed.
        remove(&fixture, |path| path.contains("catalogue"));
        let mut all = refresh(&fixture, "other", start()).unwrap();
        assert_eq!(all.offers().unwrap(), offers);
        assert_eq!(all.view().plugins.len(), offers.len());
        // Later runs need no server for it.
        let mut cached = trust::cached(&fixture.home(), &fixture.registry(), start()).unwrap();
        assert_eq!(cached.offers().unwrap(), offers);
        assert!(
            cached.known_offers().iter().any(|(name, about)| name == "train" && about == "The train command")
        );
    }
}

#[test]
fn catalogue_follows_yanks_and_new_versions() {
    let fixture = Fixture::published();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.build(later()).unwrap();
    let newest = |now| {
        let mut session = refresh(&fixture, "home", now).unwrap();
        session.offers().unwrap()[&name("hello")].newest.as_ref().unwrap().version.to_string()
    };
    assert_eq!(newest(later()), "0.2.0");
    let evening = later() + SignedDuration::from_hours(5);
    fixture.plugin_toml("hello", "alice", "yanked = [\"0.2.0\"]\n");
    fixture.build(evening).unwrap();
    assert_eq!(newest(evening), "0.1.0");
}

#[test]
fn changed_catalogue_is_refused_and_commands_can_be_added() {
    let fixture = large();
    let path = fixture.target("catalogue/commands.json");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("The hello command", "The hullo command")).unwrap();
    let mut session = refresh(&fixture, "home", start()).unwrap();
    refused(session.offers().map(drop), "catalogue/");
    let error = resolved(&mut session, "hallo").unwrap_err();
    assert!(matches!(&error, Error::UnknownPlugin { nearest, .. } if nearest == &["hello"]), "{error:?}");
    assert_eq!(resolved(&mut session, "hello").unwrap().to_string(), "0.1.0");
    // A stolen online key can lie in the list, and nowhere else.
    let lie =
        text.replace("The hello command", "Safe").replace("\"version\":\"0.1.0\"", "\"version\":\"6.6.6\"");
    let sha256 = Digest::of(lie.as_bytes());
    fs_err::write(fixture.path(&format!("published/targets/catalogue/{sha256}.commands.json")), &lie)
        .unwrap();
    let mut snapshot = fixture.body("snapshot.json");
    snapshot["x-kf-catalogue"]["sha256"] = sha256.to_string().into();
    snapshot["x-kf-catalogue"]["length"] = lie.len().into();
    fixture.publish_snapshot(snapshot);
    let mut session = refresh(&fixture, "home", start()).unwrap();
    assert_eq!(session.offers().unwrap()[&name("hello")].summary, "Safe");
    let hello = session.resolve(&name("hello"), &newest(), &any_abi).unwrap();
    assert_eq!((hello.version.to_string().as_str(), hello.summary.as_str()), ("0.1.0", "The hello command"));
    // One that is too long is not fetched.
    let mut snapshot = fixture.body("snapshot.json");
    snapshot["x-kf-catalogue"]["length"] = (1_u64 << 40).into();
    fixture.publish_snapshot(snapshot);
    let mut session = refresh(&fixture, "other", start()).unwrap();
    refused(session.offers().map(drop), "bytes long, more than");
}

#[test]
fn misspelled_name_is_compared_with_all_shards() {
    let fixture = large();
    let mut session = refresh(&fixture, "home", start()).unwrap();
    let error = resolved(&mut session, "jello").unwrap_err();
    assert!(matches!(&error, Error::UnknownPlugin { nearest, .. } if nearest == &["hello"]), "{error:?}");
    assert_eq!(resolved(&mut session, "hello").unwrap().to_string(), "0.1.0");
}
