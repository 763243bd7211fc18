//! Staging, signing on several machines, and assembling.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use jiff::{SignedDuration, Timestamp};
use kf_core::format::FormatError;
use kf_core::{Digest, PluginName};
use kf_registry::Error;
use kf_registry::index::{Origin, Want};
use kf_registry::publish::{self, Review, RoleName, SigningKey, Staging, Submission};
use semver::Version;
use serde_json::{Value, json};

use crate::fixture::*;

fn hour() -> SignedDuration {
    SignedDuration::from_hours(1)
}

fn later() -> Timestamp {
    start() + hour()
}

fn role(name: &str) -> RoleName {
    name.parse().unwrap()
}

fn review(fixture: &Fixture, staging: &str, name: &str) -> kf_registry::Result<Review> {
    Staging::open(&fixture.path(staging))?.review(&role(name))
}

fn sign(fixture: &Fixture, staging: &str, name: &str, key: &SigningKey) -> kf_registry::Result<Review> {
    publish::sign(&fixture.path(staging), &role(name), key)
}

/// hello 0.1.0 is published; hello 0.2.0 and another summary of audit are staged in `staging`, unsigned.
fn staged() -> Fixture {
    let fixture = Fixture::published();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.plugin_toml("audit", "bob", "homepage = \"https://example.org\"\n");
    let staged = fixture.stage("staging", later()).unwrap();
    assert_eq!(staged.roles, [role("targets"), role("author-alice")]);
    fixture
}

/// The same, signed with all keys.
fn signed_by_all() -> Fixture {
    let fixture = staged();
    fixture.sign_all("staging");
    fixture
}

/// Assembling `staging` is refused and changes nothing.
#[track_caller]
fn assemble_is_refused(fixture: &Fixture, words: &str) {
    let before = tree(&fixture.path("published"));
    refused(fixture.assemble("staging", later()), words);
    assert_eq!(tree(&fixture.path("published")), before, "the published files changed");
}

/// Changes a staged role and removes its signatures.
fn edit(fixture: &Fixture, name: &str, change: impl FnOnce(&mut Value)) {
    let path = fixture.path(&format!("staging/roles/{name}.json"));
    let mut body: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    change(&mut body);
    fs_err::write(&path, body.to_string()).unwrap();
    let _ = fs_err::remove_dir_all(fixture.path(&format!("staging/signatures/{name}")));
}

/// Adds a file to the staged targets and returns its entry.
fn add_target(fixture: &Fixture, path: &str, bytes: &[u8]) -> Value {
    let sha256 = Digest::of(bytes);
    let (folder, name) = path.rsplit_once('/').unwrap();
    let stored = fixture.path(&format!("staging/targets/{folder}/{sha256}.{name}"));
    fs_err::create_dir_all(stored.parent().unwrap()).unwrap();
    fs_err::write(stored, bytes).unwrap();
    json!({ "length": bytes.len(), "hashes": { "sha256": sha256 } })
}

fn files(fixture: &Fixture, folder: &str) -> BTreeSet<String> {
    let dir = fixture.path(folder);
    let name = |path: PathBuf| path.strip_prefix(&dir).unwrap().to_str().unwrap().to_owned();
    tree(&dir).into_keys().map(name).collect()
}

#[test]
fn staging_folder_has_the_documented_layout() {
    let fixture = signed_by_all();
    let index = fs_err::read(fixture.path("staging/published/plugins.json")).unwrap();
    assert_eq!(index, fs_err::read(fixture.target("index/plugins.json")).unwrap());
    let mut expected: BTreeSet<String> = [
        "staging.json",
        "roles/targets.json",
        "roles/author-alice.json",
        "published/root.json",
        "published/targets.json",
        "published/author-alice.json",
        "published/plugins.json",
    ]
    .map(str::to_owned)
    .into();
    expected.extend(fixture.keys.targets.iter().map(|key| format!("signatures/targets/{}", key.id())));
    expected.insert(format!("signatures/author-alice/{}", fixture.alice().id()));
    let found = files(&fixture, "staging");
    let (targets, others): (BTreeSet<String>, _) = found.into_iter().partition(|f| f.starts_with("targets/"));
    assert_eq!(others, expected);
    let wasm = Digest::of(b"\0asm hello 2");
    assert!(targets.contains(&format!("targets/plugins/hello/0.2.0/{wasm}.plugin.wasm")), "{targets:?}");
    assert_eq!(targets.len(), 4, "three files of hello and the index: {targets:?}");
    let json: Value =
        serde_json::from_slice(&fs_err::read(fixture.path("staging/staging.json")).unwrap()).unwrap();
    assert_eq!(json, json!({ "format": 1, "registry": "team", "roles": ["targets", "author-alice"] }));
}

#[test]
fn stage_writes_only_the_staging_folder() {
    let fixture = Fixture::published();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    let before = tree(&fixture.path("published"));
    fixture.write("busy/notes.txt", "mine");
    refused(fixture.stage("busy", later()), "busy is not empty");
    assert_eq!(files(&fixture, "busy"), ["notes.txt".to_owned()].into());
    // Refusing a version leaves no folder behind.
    fixture.artifact("stranger", "1.0.0", b"\0asm");
    refused(fixture.stage("staging", later()), "plugins/stranger.toml does not exist");
    assert!(!fixture.path("staging").exists());
    fs_err::remove_dir_all(fixture.path("artifacts/stranger")).unwrap();
    fs_err::create_dir(fixture.path("staging")).unwrap();
    fixture.stage("staging", later()).unwrap();
    assert_eq!(tree(&fixture.path("published")), before);
    let unpublished = Fixture::new();
    unpublished.stage("staging", start()).unwrap();
    assert!(!unpublished.path("published").exists());
}

#[test]
fn signatures_from_separate_machines_are_assembled() {
    let fixture = staged();
    // Each signer gets a copy and sends one small file back.
    let admins = [&fixture.keys.targets[0], &fixture.keys.targets[2]];
    for (machine, role, key) in [
        ("anna", "targets", admins[0]),
        ("carl", "targets", admins[1]),
        ("alice", "author-alice", fixture.alice()),
    ] {
        copy_dir(&fixture.path("staging"), &fixture.path(machine));
        sign(&fixture, machine, role, key).unwrap();
        let signature = format!("signatures/{role}/{}", key.id());
        let to = fixture.path("staging").join(&signature);
        fs_err::create_dir_all(to.parent().unwrap()).unwrap();
        fs_err::copy(fixture.path(machine).join(&signature), to).unwrap();
    }
    let built = fixture.assemble("staging", later()).unwrap();
    assert_eq!(built.plugins[0].version, Version::new(0, 2, 0));
    assert_eq!(built.versions["targets.json"], 2);
    assert_eq!(built.versions["author-bob.json"], 1);
    let session = fixture.refresh(later()).unwrap();
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello 2");
    let listed = &session.view().plugins[&name("audit")];
    assert_eq!(listed.entry.homepage.as_deref(), Some("https://example.org"));
}

#[test]
fn author_role_is_staged_and_published_alone() {
    let fixture = Fixture::published();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    // A change of the reviewed text, which only the admins can publish.
    fixture.plugin_toml("audit", "bob", "homepage = \"https://example.org\"\n");
    let staged = fixture.stage_only(Some(&["author-alice"]), None, "staging", later()).unwrap();
    assert_eq!(staged.roles, [role("author-alice")]);
    sign(&fixture, "staging", "author-alice", fixture.alice()).unwrap();
    let built = fixture.assemble("staging", later()).unwrap();
    assert_eq!((built.versions["author-alice.json"], built.versions["targets.json"]), (2, 1));
    assert_eq!(fetch(&fixture.refresh(later()).unwrap(), "hello").unwrap().program(), b"\0asm hello 2");

    // Artifacts of another author are refused.
    fixture.artifact("audit", "1.0.0", b"\0asm audit");
    let both = fixture.stage_only(Some(&["author-alice"]), None, "both", later());
    refused(both, "author-bob is not among the roles to stage");
}

#[test]
fn review_shows_changes_and_signers() {
    let fixture = staged();
    let alice = review(&fixture, "staging", "author-alice").unwrap();
    assert_eq!((&alice.role, alice.version, alice.expires), (&role("author-alice"), 2, later() + days(180)));
    let lines: Vec<String> = alice.changes.iter().map(ToString::to_string).collect();
    assert_eq!(lines.len(), 3, "{lines:#?}");
    for (part, line) in ["command.json", "plugin.toml", "plugin.wasm"].iter().zip(&lines) {
        assert!(line.starts_with(&format!("+ targets plugins/hello/0.2.0/{part}: {{")), "{line}");
    }
    assert!(lines[2].contains(&Digest::of(b"\0asm hello 2").to_string()), "{}", lines[2]);
    assert_eq!((alice.signers[0].threshold, alice.signers[0].signed.len(), alice.complete()), (1, 0, false));

    let targets = review(&fixture, "staging", "targets").unwrap();
    let lines: Vec<String> = targets.changes.iter().map(ToString::to_string).collect();
    assert!(lines[0].starts_with("~ targets index/plugins.json hashes sha256: "), "{lines:#?}");
    assert_eq!(lines.last().unwrap(), "+ index/plugins.json plugins audit homepage: \"https://example.org\"");
    assert_eq!((targets.signers[0].threshold, targets.signers[0].keyids.len()), (2, 3));
    let before = targets.sha256;
    let signed = sign(&fixture, "staging", "targets", &fixture.keys.targets[0]).unwrap();
    assert_eq!(signed.signers[0].signed, [fixture.keys.targets[0].id().to_owned()].into());
    assert!(!signed.complete());
    let signed = sign(&fixture, "staging", "targets", &fixture.keys.targets[1]).unwrap();
    assert!(signed.complete());
    assert_eq!(signed.sha256, before);
}

#[test]
fn review_shows_changed_rights_owners_keys_and_blocks() {
    let fixture = Fixture::published();
    let carol = SigningKey::generate().unwrap();
    let sha256 = Digest::of(b"\0asm hello");
    let rules = "[[ceiling.kubernetes]]\napiGroups = [\"\"]\nresources = [\"secrets\"]\nverbs = [\"get\"]\n";
    let blocked = format!(
        "yanked = [\"0.1.0\", {{ version = \"0.2.0\", reason = \"it loses data\" }}]\n[[blocked]]\nsha256 = \"{sha256}\"\nreason = \"bad\"\n{rules}"
    );
    fixture.plugin_toml("hello", "alice", &blocked);
    fixture.plugin_toml("train", "carol", "");
    fixture.author("alice", &["hello"], &[]);
    fixture.author("carol", &["train"], &[&carol]);
    fixture.stage("staging", later()).unwrap();
    let review = review(&fixture, "staging", "targets").unwrap();
    let lines: Vec<String> = review.changes.iter().map(ToString::to_string).collect();
    let has = |start: &str| assert!(lines.iter().any(|line| line.starts_with(start)), "{start}: {lines:#?}");
    has(&format!("+ delegations keys {}: ", carol.id()));
    has("+ delegations roles author-carol: ");
    has("- delegations roles author-alice paths: \"plugins/train/*/*\"");
    has("+ index/plugins.json blocked: {\"reason\":\"bad\"");
    has(
        "+ index/plugins.json plugins hello ceiling kubernetes: {\"apiGroups\":[\"\"],\"resources\":[\"secrets\"]",
    );
    has("+ index/plugins.json plugins hello yanked: \"0.1.0\"");
    has("+ index/plugins.json plugins hello yanked: {\"reason\":\"it loses data\",\"version\":\"0.2.0\"}");
    has("~ index/plugins.json plugins train owner: \"alice\" -> \"carol\"");
}

#[test]
fn sign_adds_one_signature_and_changes_nothing_else() {
    let fixture = staged();
    let before = tree(&fixture.path("staging"));
    let key = &fixture.keys.targets[0];
    sign(&fixture, "staging", "targets", key).unwrap();
    let mut after = tree(&fixture.path("staging"));
    let signature = after.remove(&fixture.path(&format!("staging/signatures/targets/{}", key.id()))).unwrap();
    assert_eq!(after, before);
    // Signing again with the same key changes nothing.
    sign(&fixture, "staging", "targets", key).unwrap();
    assert_eq!(review(&fixture, "staging", "targets").unwrap().signers[0].signed.len(), 1);
    let path = fixture.path(&format!("staging/signatures/targets/{}", key.id()));
    assert_eq!(fs_err::read(path).unwrap(), signature);
    sign(&fixture, "staging", "author-alice", fixture.alice()).unwrap();
    assemble_is_refused(&fixture, "1/2");
}

#[test]
fn sign_with_unauthorized_key_is_refused() {
    let fixture = staged();
    let stranger = SigningKey::generate().unwrap();
    let before = tree(&fixture.path("staging"));
    for (role, key) in [
        ("targets", &stranger),
        ("targets", fixture.alice()),
        ("targets", &fixture.keys.root[0]),
        ("author-alice", fixture.bob()),
        ("author-alice", &fixture.keys.targets[0]),
    ] {
        refused(
            sign(&fixture, "staging", role, key),
            &format!("key {} is not authorized to sign {role}", key.id()),
        );
    }
    refused(sign(&fixture, "staging", "author-bob", fixture.bob()), "author-bob is not staged");
    refused(sign(&fixture, "staging", "root", &fixture.keys.root[0]), "root is not staged");
    refused(sign(&fixture, "source", "targets", &fixture.keys.targets[0]), "is not a staging folder");
    assert_eq!(tree(&fixture.path("staging")), before);
    for text in ["snapshot", "timestamp", "author-", "author-../x", "", "Targets"] {
        assert!(text.parse::<RoleName>().is_err(), "{text}");
    }
}

#[test]
fn sign_with_path_as_key_id_is_refused() {
    let fixture = staged();
    // In this folder, the published targets have a path as the id of alice's key.
    let path = fixture.path("staging/published/targets.json");
    let text = fs_err::read_to_string(&path).unwrap().replace(fixture.alice().id(), "../../../../escaped");
    let body: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<&SigningKey> = fixture.keys.targets.iter().collect();
    fs_err::write(&path, signed(&body["signed"], &keys)).unwrap();
    for list in ["staging/staging.json", "staging/roles/targets.json"] {
        let path = fixture.path(list);
        if list.ends_with("staging.json") {
            let text = json!({ "format": 1, "registry": "team", "roles": ["author-alice"] }).to_string();
            fs_err::write(path, text).unwrap();
        } else {
            fs_err::remove_file(path).unwrap();
        }
    }
    let before = tree(fixture.dir.path());
    let refused = sign(&fixture, "staging", "author-alice", fixture.alice());
    assert!(matches!(refused, Err(Error::Name(_))), "{refused:?}");
    assert_eq!(tree(fixture.dir.path()), before);
}

#[test]
fn role_changed_after_signing_is_refused() {
    let fixture = staged();
    sign(&fixture, "staging", "targets", &fixture.keys.targets[0]).unwrap();
    let path = fixture.path("staging/roles/targets.json");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("\"threshold\": 1", "\"threshold\": 2")).unwrap();
    refused(review(&fixture, "staging", "targets"), "is not a valid signature of targets");
    refused(
        sign(&fixture, "staging", "targets", &fixture.keys.targets[1]),
        "is not a valid signature of targets",
    );
    assemble_is_refused(&fixture, "is not a valid signature of targets");

    // An invalid signature, and one of another key.
    fs_err::write(&path, text).unwrap();
    sign(&fixture, "staging", "targets", &fixture.keys.targets[1]).unwrap();
    sign(&fixture, "staging", "author-alice", fixture.alice()).unwrap();
    let signature = fixture.path(&format!("staging/signatures/author-alice/{}", fixture.alice().id()));
    let good = fs_err::read(&signature).unwrap();
    for bad in ["", "00", "not hexadecimal", &"0".repeat(128)] {
        fs_err::write(&signature, bad).unwrap();
        assemble_is_refused(&fixture, "is not a valid signature of author-alice");
    }
    fs_err::write(&signature, &good).unwrap();
    let others = fixture.path(&format!("staging/signatures/author-alice/{}", fixture.bob().id()));
    fs_err::write(&others, &good).unwrap();
    assemble_is_refused(&fixture, "is not a valid signature of author-alice");
    fs_err::remove_file(others).unwrap();
    fixture.assemble("staging", later()).unwrap();
}

#[test]
fn changed_or_missing_files_are_refused() {
    let fixture = signed_by_all();
    fixture.save_dir("staging", "good");
    let again = || {
        fs_err::remove_dir_all(fixture.path("staging")).unwrap();
        fixture.save_dir("good", "staging");
    };
    let wasm = format!("staging/targets/plugins/hello/0.2.0/{}.plugin.wasm", Digest::of(b"\0asm hello 2"));
    fs_err::write(fixture.path(&wasm), b"\0asm hello 3").unwrap();
    assemble_is_refused(&fixture, "plugins/hello/0.2.0/plugin.wasm in");
    fs_err::remove_file(fixture.path(&wasm)).unwrap();
    assemble_is_refused(&fixture, "is missing");
    std::os::unix::fs::symlink("/etc/passwd", fixture.path(&wasm)).unwrap();
    assemble_is_refused(&fixture, "not a regular file");

    again();
    fs_err::remove_file(fixture.path("staging/roles/author-alice.json")).unwrap();
    assemble_is_refused(&fixture, "author-alice.json is missing");

    again();
    fixture.write("staging/roles/author-bob.json", "{}");
    assemble_is_refused(&fixture, "the role is not listed in staging.json");

    again();
    fs_err::remove_file(fixture.path("staging/published/author-alice.json")).unwrap();
    assemble_is_refused(&fixture, "was staged against an older published state");

    again();
    fs_err::remove_file(fixture.path("staging/staging.json")).unwrap();
    assemble_is_refused(&fixture, "is not a staging folder");

    for (text, newer) in [("{", false), ("{\"format\":1}", false), ("{\"format\":2,\"surprise\":1}", true)] {
        fixture.write("staging/staging.json", text);
        let before = tree(&fixture.path("published"));
        let error = fixture.assemble("staging", later()).unwrap_err();
        assert_eq!(
            matches!(error, Error::Home(kf_home::Error::Format(FormatError::Newer { found: 2, .. }))),
            newer,
            "{text}: {error}"
        );
        assert_eq!(
            matches!(error, Error::Home(kf_home::Error::Format(FormatError::Invalid { .. }))),
            !newer,
            "{text}: {error}"
        );
        assert_eq!(tree(&fixture.path("published")), before);
    }

    again();
    fixture.write("staging/roles/targets.json", "[]");
    let error = fixture.assemble("staging", later()).unwrap_err();
    assert!(matches!(error, Error::Home(kf_home::Error::Format(FormatError::Invalid { .. }))), "{error}");

    // Hidden files of a file manager are ignored.
    again();
    fixture.write("staging/signatures/targets/.DS_Store", "x");
    fixture.write("staging/roles/.DS_Store", "x");
    fixture.assemble("staging", later()).unwrap();
}

#[test]
fn role_below_threshold_is_refused() {
    let fixture = staged();
    assemble_is_refused(&fixture, "cannot publish role author-alice: signature threshold not met");
    sign(&fixture, "staging", "author-alice", fixture.alice()).unwrap();
    assemble_is_refused(&fixture, "role targets: 0/2");
    sign(&fixture, "staging", "targets", &fixture.keys.targets[2]).unwrap();
    assemble_is_refused(&fixture, "role targets: 1/2");
    sign(&fixture, "staging", "targets", &fixture.keys.targets[0]).unwrap();
    fixture.assemble("staging", later()).unwrap();
}

#[test]
fn staging_based_on_older_state_is_refused() {
    let fixture = signed_by_all();
    fixture.artifact("hello", "0.1.5", b"\0asm hello 1.5");
    fixture.build(later()).unwrap();
    assemble_is_refused(&fixture, "was staged against an older published state; stage it again");

    // Another state of the same age.
    let fixture = signed_by_all();
    let other = Fixture::published();
    fs_err::remove_dir_all(fixture.path("published")).unwrap();
    copy_dir(&other.path("published"), &fixture.path("published"));
    assert!(fixture.assemble("staging", later()).is_err());
}

#[test]
fn staging_stays_valid_after_other_publications() {
    let fixture = signed_by_all();
    // bob publishes, and snapshot and timestamp are renewed.
    fs_err::rename(fixture.path("artifacts"), fixture.path("alices")).unwrap();
    fixture.artifact("audit", "1.0.0", b"\0asm audit");
    fixture.stage_only(Some(&["author-bob"]), None, "bobs", later()).unwrap();
    sign(&fixture, "bobs", "author-bob", fixture.bob()).unwrap();
    fixture.assemble("bobs", later()).unwrap();
    let week = start() + days(5);
    fixture.prepare(None, week).unwrap().write().unwrap();
    fixture.assemble("staging", week).unwrap();
    let session = fixture.refresh(week).unwrap();
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello 2");
    assert_eq!(fetch(&session, "audit").unwrap().program(), b"\0asm audit");
}

#[test]
fn staging_of_another_registry_is_refused() {
    let fixture = signed_by_all();
    let path = fixture.path("source/registry.toml");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("\"team\"", "\"other\"")).unwrap();
    refused(fixture.stage("others", later()), "holds registry team, not other");

    fixture.write(
        "staging/staging.json",
        &json!({ "format": 1, "registry": "other", "roles": ["targets", "author-alice"] }).to_string(),
    );
    assemble_is_refused(&fixture, "for registry other, not team");
}

#[test]
fn expired_or_too_long_lived_role_is_refused() {
    let fixture = signed_by_all();
    let before = tree(&fixture.path("published"));
    refused(fixture.assemble("staging", start() + days(91)), "targets metadata expired");
    assert_eq!(tree(&fixture.path("published")), before);
    refused(fixture.assemble("staging", start() + days(181)), "cannot publish role author-alice: it expired");

    for (name, keys) in
        [("author-alice", vec![fixture.alice()]), ("targets", fixture.keys.targets.iter().collect())]
    {
        let fixture = signed_by_all();
        edit(&fixture, name, |body| body["expires"] = "2099-01-01T00:00:00Z".into());
        for key in fixture.keys.of(&role(name)) {
            sign(&fixture, "staging", name, key).unwrap();
        }
        assert!(!keys.is_empty());
        assemble_is_refused(&fixture, "it expires more than");
    }
}

#[test]
fn expiry_in_nonstandard_form_is_not_signed() {
    for expires in ["2027-01-01T00:00:00.5Z", "2027-01-01T00:00:00.000Z", "2027-01-01T01:00:00+01:00"] {
        let fixture = signed_by_all();
        edit(&fixture, "author-alice", |body| body["expires"] = expires.into());
        let signed = sign(&fixture, "staging", "author-alice", fixture.alice());
        refused(signed, "`expires` must have the form");
        assemble_is_refused(&fixture, "`expires` must have the form");
    }
}

#[test]
fn author_role_that_changes_published_files_is_refused() {
    let forged = json!({ "length": 3, "hashes": { "sha256": Digest::of(b"bad") } });
    let wasm = "plugins/hello/0.1.0/plugin.wasm";
    let edits: [fn(&mut Value, &Value); 3] = [
        |body, forged| body["targets"]["plugins/hello/0.1.0/plugin.wasm"] = forged.clone(),
        |body, _| body["targets"]["plugins/hello/0.1.0/plugin.wasm"]["custom"]["abi"] = "9.0.0".into(),
        |body, _| drop(body["targets"].as_object_mut().unwrap().remove("plugins/hello/0.1.0/plugin.wasm")),
    ];
    for change in edits {
        let fixture = signed_by_all();
        edit(&fixture, "author-alice", |body| change(body, &forged));
        sign(&fixture, "staging", "author-alice", fixture.alice()).unwrap();
        assemble_is_refused(&fixture, &format!("it changes {wasm}, which is published"));
    }
}

#[test]
fn author_role_with_invalid_release_is_refused() {
    // Each is signed with alice's own key, as if it was stolen or her kf was patched.
    type Edit = fn(&Fixture, &mut Value);
    let cases: [(&str, Edit); 9] = [
        ("alice does not own audit", |fixture, body| {
            for part in ["plugin.wasm", "plugin.toml", "command.json"] {
                let path = format!("plugins/audit/1.0.0/{part}");
                body["targets"][&path] = add_target(fixture, &path, b"x");
            }
        }),
        ("hello 0.2.0 is incomplete: 2 of 3 files", |_, body| {
            drop(body["targets"].as_object_mut().unwrap().remove("plugins/hello/0.2.0/plugin.toml"));
        }),
        ("is not a file of a release", |fixture, body| {
            body["targets"]["plugins/hello/0.2.0/install.sh"] =
                add_target(fixture, "plugins/hello/0.2.0/install.sh", b"x");
        }),
        ("is not a file of a release", |_, body| {
            body["targets"]["plugins/hello/../../../x/plugin.wasm"] =
                json!({ "length": 0, "hashes": { "sha256": Digest::of(b"") } });
        }),
        ("describes hello 0.2.0", |_, body| {
            let text = body["targets"].to_string().replace("hello/0.2.0", "hello/0.3.0");
            body["targets"] = serde_json::from_str(&text).unwrap();
        }),
        ("the entry for plugins/hello/0.2.0/plugin.wasm does not match the file", |_, body| {
            body["targets"]["plugins/hello/0.2.0/plugin.wasm"]["custom"]["abi"] = "0.9.0".into();
        }),
        ("a version is dated in the future", |_, body| {
            body["targets"]["plugins/hello/0.2.0/plugin.wasm"]["custom"]["signed"] =
                "2099-01-01T00:00:00Z".into();
        }),
        ("has no sha256", |_, body| {
            body["targets"]["plugins/hello/0.2.0/plugin.wasm"]["hashes"] = json!({ "sha512": "00" });
        }),
        ("an author must not delegate", |_, body| {
            body["delegations"] = json!({ "keys": {}, "roles": [] });
        }),
    ];
    for (words, change) in cases {
        let fixture = signed_by_all();
        // The expected location of the target files of 0.3.0.
        copy_dir(
            &fixture.path("staging/targets/plugins/hello/0.2.0"),
            &fixture.path("staging/targets/plugins/hello/0.3.0"),
        );
        edit(&fixture, "author-alice", |body| change(&fixture, body));
        sign(&fixture, "staging", "author-alice", fixture.alice()).unwrap();
        assemble_is_refused(&fixture, words);
    }
}

#[test]
fn assemble_calls_gate_with_published_ceiling() {
    let fixture = Fixture::new();
    let ceiling = "[[ceiling.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"list\"]\n";
    fixture.plugin_toml("hello", "alice", ceiling);
    fixture.build(start()).unwrap();
    // The author's copy of the reviewed text has a higher ceiling.
    fixture.plugin_toml("hello", "alice", &ceiling.replace("pods", "secrets"));
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.stage_only(Some(&["author-alice"]), None, "staging", later()).unwrap();
    sign(&fixture, "staging", "author-alice", fixture.alice()).unwrap();
    let gate = |submission: &Submission<'_>| {
        assert_eq!(submission.wasm, b"\0asm hello 2");
        assert_eq!(submission.previous, Some(&Version::new(0, 1, 0)));
        assert_eq!(submission.ceiling.kubernetes[0]["resources"][0], "pods");
        Err("it asks for secrets".to_owned())
    };
    let online = [&fixture.keys.snapshot, &fixture.keys.timestamp];
    let before = tree(&fixture.path("published"));
    let prepared = fixture.prepare_with(Some("staging"), later(), &online, &gate);
    refused(prepared, "cannot publish hello 0.2.0: it asks for secrets");
    assert_eq!(tree(&fixture.path("published")), before);
}

#[test]
fn assemble_refuses_lower_version() {
    let fixture = Fixture::published();
    // As staged by a patched kf that accepts 0.0.9.
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.stage_only(Some(&["author-alice"]), None, "staging", later()).unwrap();
    let path = "staging/targets/plugins/hello/0.2.0";
    let mut files = tree(&fixture.path(path)).into_iter();
    let (_, toml) = files.find(|(path, _)| path.to_str().unwrap().ends_with(".plugin.toml")).unwrap();
    let toml = String::from_utf8(toml).unwrap().replace("0.2.0", "0.0.9");
    edit(&fixture, "author-alice", |body| {
        let text = body["targets"].to_string().replace("hello/0.2.0", "hello/0.0.9");
        body["targets"] = serde_json::from_str(&text).unwrap();
        copy_dir(&fixture.path(path), &fixture.path("staging/targets/plugins/hello/0.0.9"));
        body["targets"]["plugins/hello/0.0.9/plugin.toml"] =
            add_target(&fixture, "plugins/hello/0.0.9/plugin.toml", toml.as_bytes());
    });
    sign(&fixture, "staging", "author-alice", fixture.alice()).unwrap();
    assemble_is_refused(&fixture, "0.1.0 is already published: a new version must be higher");
}

#[test]
fn targets_that_delegate_beyond_the_index_are_refused() {
    type Edit = fn(&mut Value);
    let cases: [(&str, Edit); 8] = [
        ("do not match the owners in the index", |body| {
            body["delegations"]["roles"][0]["paths"] = json!(["plugins/hello/*/*"]);
        }),
        ("it delegates audit twice", |body| {
            body["delegations"]["roles"][0]["paths"][0] = "plugins/audit/*/*".into();
        }),
        ("it delegates a path other than plugins/NAME/*/*", |body| {
            body["delegations"]["roles"][0]["paths"][0] = "*/*/*/*".into();
        }),
        ("must be terminating", |body| body["delegations"]["roles"][0]["terminating"] = false.into()),
        ("must be terminating, and by path", |body| {
            body["delegations"]["roles"][0]["path_hash_prefixes"] = json!(["a"]);
        }),
        ("threshold must be between", |body| body["delegations"]["roles"][0]["threshold"] = 0.into()),
        ("it changes a target other than the index", |body| {
            body["targets"]["plugins/hello/9.0.0/plugin.wasm"] =
                body["targets"]["index/plugins.json"].clone();
        }),
        ("it signs no index", |body| body["targets"] = json!({})),
    ];
    for (words, change) in cases {
        let fixture = signed_by_all();
        edit(&fixture, "targets", change);
        for key in &fixture.keys.targets {
            sign(&fixture, "staging", "targets", key).unwrap();
        }
        assemble_is_refused(&fixture, words);
    }
    // A delegation to a role that is not an author's.
    let fixture = signed_by_all();
    edit(&fixture, "targets", |body| body["delegations"]["roles"][1]["name"] = "../x".into());
    for key in &fixture.keys.targets {
        sign(&fixture, "staging", "targets", key).unwrap();
    }
    assert!(fixture.assemble("staging", later()).is_err());
}

#[test]
fn online_keys_must_be_those_of_the_root() {
    let fixture = signed_by_all();
    let before = tree(&fixture.path("published"));
    let stranger = SigningKey::generate().unwrap();
    let (snapshot, timestamp) = (&fixture.keys.snapshot, &fixture.keys.timestamp);
    let cases: [(&[&SigningKey], &str); 4] = [
        (&[], "role snapshot: 0/1"),
        (&[snapshot], "role timestamp: 0/1"),
        (&[timestamp], "role snapshot: 0/1"),
        (&[snapshot, timestamp, &stranger], "is neither a snapshot nor a timestamp key"),
    ];
    for (online, words) in cases {
        let gate = |_: &Submission<'_>| Ok(Vec::new());
        refused(fixture.prepare_with(Some("staging"), later(), online, &gate), words);
    }
    assert_eq!(tree(&fixture.path("published")), before);
}

#[test]
fn assemble_with_nothing_staged_renews_snapshot_and_timestamp() {
    let fixture = Fixture::published();
    let renew = |at| fixture.prepare(None, at).unwrap().write().unwrap().versions;
    let versions = renew(later());
    assert_eq!((versions["timestamp.json"], versions["snapshot.json"], versions["targets.json"]), (2, 1, 1));
    let versions = renew(start() + days(5));
    assert_eq!((versions["timestamp.json"], versions["snapshot.json"], versions["targets.json"]), (3, 2, 1));
    fixture.refresh(start() + days(5)).unwrap();
    // An empty staging does the same.
    let staged = fixture.stage("staging", start() + days(5)).unwrap();
    assert_eq!(staged.roles, []);
    assert_eq!(fixture.assemble("staging", start() + days(5)).unwrap().versions["timestamp.json"], 4);
    // Once the admins' signatures have expired, no other key can renew them.
    refused(fixture.prepare(None, start() + days(91)), "targets metadata expired");

    let nothing = Fixture::new();
    let error = nothing.prepare(None, start()).unwrap_err();
    assert!(matches!(error, Error::NothingPublished(_)), "{error}");
    assert!(!nothing.path("published").exists());
}

#[test]
fn assemble_twice_publishes_once() {
    let fixture = signed_by_all();
    fixture.assemble("staging", later()).unwrap();
    let before = tree(&fixture.path("published"));
    let built = fixture.assemble("staging", later()).unwrap();
    assert_eq!((built.versions["targets.json"], built.plugins.len()), (2, 0));
    let after = tree(&fixture.path("published"));
    let changed: BTreeMap<_, _> =
        after.iter().filter(|(path, bytes)| before.get(*path) != Some(*bytes)).collect();
    assert_eq!(changed.into_keys().collect::<Vec<_>>(), [&fixture.metadata("timestamp.json")]);
}

#[test]
fn second_publication_is_refused_while_one_is_prepared() {
    let fixture = signed_by_all();
    let prepared = fixture.prepare(Some("staging"), later()).unwrap();
    assert!(matches!(
        fixture.prepare(Some("staging"), later()),
        Err(Error::Home(kf_home::Error::Busy { .. }))
    ));
    prepared.write().unwrap();
    fixture.prepare(None, later()).unwrap();
}

#[test]
fn author_threshold_requires_that_many_signatures() {
    let fixture = Fixture::published();
    let (second, third) = (SigningKey::generate().unwrap(), SigningKey::generate().unwrap());
    fixture.author("alice", &["hello", "train"], &[fixture.alice(), &second, &third]);
    let path = fixture.path("source/authors/alice.toml");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, format!("{text}threshold = 2\n")).unwrap();
    let staged = fixture.stage("staging", later()).unwrap();
    // One signature is no longer enough.
    assert_eq!(staged.roles, [role("targets"), role("author-alice")]);
    fixture.sign_all("staging");
    assemble_is_refused(&fixture, "1/2");
    sign(&fixture, "staging", "author-alice", &third).unwrap();
    fixture.assemble("staging", later()).unwrap();
    fetch(&fixture.refresh(later()).unwrap(), "hello").unwrap();

    for (threshold, keys) in [("0", "[]"), ("2", "[]"), ("2", "one"), ("1", "twice"), ("1", "[\"abc\"]")] {
        let key = fixture.alice().public_hex();
        let keys = match keys {
            "one" => format!("[\"{key}\"]"),
            "twice" => format!("[\"{key}\", \"{key}\"]"),
            other => other.to_owned(),
        };
        let text = format!(
            "format = 1\nid = \"alice\"\ncontact = \"a\"\nplugins = [\"hello\", \"train\"]\nkeys = {keys}\nthreshold = {threshold}\n"
        );
        fixture.write("source/authors/alice.toml", &text);
        refused(fixture.stage("other", later()), "authors/alice.toml");
    }
}

#[test]
fn author_key_is_revoked_by_admins_alone() {
    let fixture = Fixture::published();
    let stolen = fixture.alice();
    let fresh = SigningKey::generate().unwrap();
    fixture.author("alice", &["hello", "train"], &[&fresh]);
    fixture.author("bob", &["audit"], &[fixture.bob()]);
    fixture.stage_only(Some(&["targets"]), None, "staging", later()).unwrap();
    for key in &fixture.keys.targets {
        sign(&fixture, "staging", "targets", key).unwrap();
    }
    fixture.assemble("staging", later()).unwrap();
    let session = fixture.refresh(later()).unwrap();
    refused(resolve(&session, "hello"), "signature threshold not met");

    // The old key may no longer sign; the new one restores everything.
    fixture.stage_only(Some(&["author-alice"]), None, "alices", later()).unwrap();
    refused(sign(&fixture, "alices", "author-alice", stolen), "is not authorized to sign author-alice");
    sign(&fixture, "alices", "author-alice", &fresh).unwrap();
    fixture.assemble("alices", later() + hour()).unwrap();
    let session = fixture.refresh(later() + hour()).unwrap();
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello");

    // A text without keys does not restore the old one.
    fixture.author("alice", &["hello", "train"], &[]);
    refused(fixture.stage_only(Some(&["targets"]), None, "none", later()), "alice.toml lists no key");
}

#[test]
fn transferred_command_keeps_its_versions() {
    let fixture = Fixture::published();
    fixture.plugin_toml("hello", "bob", "");
    fixture.author("alice", &["train"], &[]);
    fixture.author("bob", &["audit", "hello"], &[]);
    // Neither another component under the same version, nor an older version.
    fixture.artifact("hello", "0.1.0", b"\0asm bob's hello");
    refused(fixture.build(later()), "already published with another plugin.wasm");
    fixture.artifact("hello", "0.0.9", b"\0asm hello");
    refused(fixture.build(later()), "0.1.0 is already published");
    // The same bytes move over with their command tree, and the new owner continues from there.
    fixture.artifact("hello", "0.1.0", b"\0asm hello");
    let newer_kf = |_: &PluginName, _: &[u8]| Ok(b"{\"format\":1,\"commands\":[],\"new\":1}".to_vec());
    fixture.build_describing(later(), &newer_kf).unwrap();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.build(later()).unwrap();
    let session = fixture.refresh(later()).unwrap();
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello 2");
    let exact = Want::Exact(Version::new(0, 1, 0));
    let old = session.view().resolve(&name("hello"), &exact, &any_abi).unwrap();
    let Origin::Registry { owner, .. } = &old.origin else { panic!("{:?}", old.origin) };
    assert_eq!(owner.as_str(), "bob");
    assert_eq!(session.fetch(&old).unwrap().program(), b"\0asm hello");
}

#[test]
fn published_metadata_is_standard_tuf() {
    let fixture = Fixture::new();
    fixture.build(start() + SignedDuration::from_millis(1)).unwrap();
    for role in [
        "root.json",
        "targets.json",
        "author-alice.json",
        "author-bob.json",
        "snapshot.json",
        "timestamp.json",
    ] {
        let bytes = fs_err::read(fixture.metadata(role)).unwrap();
        let text = String::from_utf8(bytes).unwrap();
        assert!(!text.contains("null"), "{role}: {text}");
        let body = fixture.body(role);
        for field in ["expires", "x-kf-signed-at"] {
            let time = body[field].as_str().unwrap();
            assert!(time.len() == 20 && time.ends_with(":00Z"), "{role} {field}: {time}");
        }
        assert!(body["spec_version"].as_str().unwrap().starts_with("1.0."), "{role}");
    }
    let delegated = &fixture.body("targets.json")["delegations"]["roles"][0];
    assert_eq!(delegated["terminating"], true);
    assert_eq!(delegated["paths"], json!(["plugins/hello/*/*", "plugins/train/*/*"]));
}
