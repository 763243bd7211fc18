//! Publishing to a folder that others can write to, some of them with the online keys.

use jiff::{SignedDuration, Timestamp};
use kf_core::Digest;
use kf_registry::publish::{self, BuildInput, SigningKey, Submission};
use serde_json::{Value, json};

use crate::fixture::*;

fn later() -> Timestamp {
    start() + SignedDuration::from_hours(1)
}

fn sign(fixture: &Fixture, staging: &str, role: &str, keys: &[&SigningKey]) {
    for key in keys {
        publish::sign(&fixture.path(staging), &role.parse().unwrap(), key).unwrap();
    }
}

/// Adds hello 9.9.9 to alice's role in the folder, signed with `keys`, and with valid snapshot and timestamp, as with
/// stolen online keys.
fn plant(fixture: &Fixture, keys: &[&SigningKey]) {
    let mut body = fixture.body("author-alice.json");
    let wasm = b"\0asm evil";
    let toml = fs_err::read_to_string(fixture.path("artifacts/hello/plugin.toml")).unwrap();
    let toml = toml.replace("version = \"0.1.0\"", "version = \"9.9.9\"");
    let files = [
        ("plugin.wasm", &wasm[..]),
        ("plugin.toml", toml.as_bytes()),
        ("command.json", br#"{"format":1,"commands":[]}"#),
    ];
    for (file, bytes) in files {
        let sha256 = Digest::of(bytes);
        let folder = fixture.path("published/targets/plugins/hello/9.9.9");
        fs_err::create_dir_all(&folder).unwrap();
        fs_err::write(folder.join(format!("{sha256}.{file}")), bytes).unwrap();
        let mut entry = json!({"length": bytes.len(), "hashes": {"sha256": sha256}});
        if file == "plugin.wasm" {
            entry["custom"] = json!({"abi": "0.1.0"});
        }
        body["targets"][format!("plugins/hello/9.9.9/{file}")] = entry;
    }
    body["version"] = (body["version"].as_u64().unwrap() + 1).into();
    fixture.publish_role("author-alice.json", &body, keys);
}

/// Both a build and a renewal of the online roles refuse the folder and write nothing.
#[track_caller]
fn refuses_published(fixture: &Fixture, words: &str) {
    let before = tree(&fixture.path("published"));
    fixture.artifact("hello", "10.0.0", b"\0asm next");
    refused(fixture.build(later()), words);
    refused(fixture.stage("staged", later()), words);
    refused(fixture.prepare(None, later()), words);
    assert_eq!(tree(&fixture.path("published")), before);
    assert!(!fixture.path("staged").exists());
}

#[test]
fn published_version_without_author_signature_is_refused() {
    let fixture = Fixture::published();
    let mallory = SigningKey::generate().unwrap();
    plant(&fixture, &[]);
    refuses_published(&fixture, "invalid published file");
    let fixture = Fixture::published();
    plant(&fixture, &[&mallory]);
    refuses_published(&fixture, "signature threshold not met");
    let fixture = Fixture::published();
    plant(&fixture, &[fixture.bob(), &mallory]);
    refuses_published(&fixture, "signature threshold not met");
    // The author herself may sign it.
    let fixture = Fixture::published();
    plant(&fixture, &[fixture.alice()]);
    fixture.artifact("hello", "10.0.0", b"\0asm next");
    let built = fixture.build(later()).unwrap();
    let signed: Vec<String> =
        built.signed.iter().map(|it| format!("{} {} {}", it.name, it.version, it.new)).collect();
    assert_eq!(signed, ["hello 0.1.0 false", "hello 10.0.0 true", "hello 9.9.9 false"]);
}

#[test]
fn build_lists_every_signed_version() {
    let fixture = Fixture::new();
    let names = |built: publish::Built| -> Vec<(String, bool)> {
        built.signed.iter().map(|it| (format!("{} {}", it.name, it.version), it.new)).collect()
    };
    assert_eq!(names(fixture.build(start()).unwrap()), [("hello 0.1.0".to_owned(), true)]);
    assert_eq!(names(fixture.build(later()).unwrap()), []);
    // Renewed after half of its lifetime.
    let renewed = names(fixture.build(start() + days(100)).unwrap());
    assert_eq!(renewed, [("hello 0.1.0".to_owned(), false)]);
}

#[test]
fn published_author_role_below_threshold_is_refused() {
    let mut fixture = Fixture::published();
    let second = SigningKey::generate().unwrap();
    fixture.author("alice", &["hello", "train"], &[fixture.alice(), &second]);
    let path = fixture.path("source/authors/alice.toml");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, format!("{text}threshold = 2\n")).unwrap();
    fixture.stage("staging", later()).unwrap();
    fixture.sign_all("staging");
    sign(&fixture, "staging", "author-alice", &[&second]);
    fixture.assemble("staging", later()).unwrap();
    plant(&fixture, &[fixture.alice()]);
    refused(fixture.prepare(None, later()), "1/2");
    // With a threshold of one it is accepted.
    fixture = Fixture::published();
    plant(&fixture, &[fixture.alice()]);
    fixture.prepare(None, later()).unwrap();
}

/// alice's key is stolen and revoked: what she published stays, and what the thief signs later is refused.
#[test]
fn revoked_key_adds_nothing_and_keeps_past_versions() {
    let revoked = || {
        let fixture = Fixture::published();
        let fresh = SigningKey::generate().unwrap();
        fixture.author("alice", &["hello", "train"], &[&fresh]);
        fixture.author("bob", &["audit"], &[fixture.bob()]);
        fixture.stage_only(Some(&["targets"]), None, "staging", later()).unwrap();
        sign(&fixture, "staging", "targets", &fixture.keys.targets.iter().collect::<Vec<_>>());
        fixture.assemble("staging", later()).unwrap();
        (fixture, fresh)
    };
    let (fixture, fresh) = revoked();
    // The online roles are renewed although no key may sign her role at the moment.
    fixture.prepare(None, later()).unwrap().write().unwrap();
    fixture.stage_only(Some(&["author-alice"]), None, "alices", later()).unwrap();
    sign(&fixture, "alices", "author-alice", &[&fresh]);
    fixture.assemble("alices", later()).unwrap();
    assert_eq!(fetch(&fixture.refresh(later()).unwrap(), "hello").unwrap().program(), b"\0asm hello");
    // The admins need not sign again when their vouching is no longer needed.
    let staged = fixture.stage_only(None, None, "nothing", later()).unwrap();
    assert_eq!(staged.roles, []);

    let (fixture, _) = revoked();
    plant(&fixture, &[fixture.alice()]);
    refused(fixture.prepare(None, later()), "signature threshold not met");
    refused(fixture.stage_only(Some(&["author-alice"]), None, "alices", later()), "invalid published file");
    // Nor with the same version number.
    let (fixture, _) = revoked();
    let mut body = fixture.body("author-alice.json");
    body["targets"]["plugins/hello/0.1.0/plugin.toml"]["length"] = 1.into();
    fixture.publish_role("author-alice.json", &body, &[fixture.alice()]);
    refused(fixture.prepare(None, later()), "signature threshold not met");
}

#[test]
fn versions_of_removed_author_are_kept() {
    let fixture = Fixture::new();
    fixture.artifact("audit", "1.0.0", b"\0asm audit");
    fixture.build(start()).unwrap();
    // bob leaves, and alice takes over.
    fs_err::remove_file(fixture.path("source/authors/bob.toml")).unwrap();
    fixture.plugin_toml("audit", "alice", "");
    fixture.author("alice", &["hello", "train", "audit"], &[]);
    fixture.build(later()).unwrap();
    fixture.build(later()).unwrap();
    assert_eq!(fetch(&fixture.refresh(later()).unwrap(), "audit").unwrap().program(), b"\0asm audit");
    let mut body = fixture.body("author-bob.json");
    body["version"] = 2.into();
    fixture.publish_role("author-bob.json", &body, &[fixture.bob()]);
    refused(fixture.build(later()), "invalid published file");
}

/// Staged targets neither lose the versions of an author nor vouch for others.
#[test]
fn staged_targets_keep_exactly_published_roles() {
    let staged = |change: fn(&mut Value)| {
        let fixture = Fixture::published();
        let fresh = SigningKey::generate().unwrap();
        fixture.author("alice", &["hello", "train"], &[&fresh]);
        fixture.author("bob", &["audit"], &[fixture.bob()]);
        fixture.stage_only(Some(&["targets"]), None, "staging", later()).unwrap();
        let path = fixture.path("staging/roles/targets.json");
        let mut body: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        assert!(body["x-kf-kept-authors"]["author-alice.json"].is_object());
        change(&mut body);
        fs_err::write(&path, body.to_string()).unwrap();
        sign(&fixture, "staging", "targets", &fixture.keys.targets.iter().collect::<Vec<_>>());
        fixture.prepare(Some("staging"), later())
    };
    staged(|_| {}).unwrap();
    let lost = "revokes the keys of author-alice without keeping what they signed";
    refused(staged(|body| drop(body.as_object_mut().unwrap().remove("x-kf-kept-authors"))), lost);
    refused(staged(|body| body["x-kf-kept-authors"]["author-alice.json"]["version"] = 2.into()), lost);
    refused(
        staged(|body| {
            let kept = &mut body["x-kf-kept-authors"];
            kept["author-carol.json"] = kept["author-alice.json"].clone();
        }),
        "it keeps author-carol.json, which is not published",
    );
    refused(
        staged(|body| {
            let kept = &mut body["x-kf-kept-authors"];
            kept["author-alice.json"]["hashes"]["sha256"] = "0".repeat(64).into();
        }),
        lost,
    );
    for malformed in [json!(1), json!({"author-alice.json": 1}), json!([])] {
        let fixture = Fixture::published();
        let mut body = fixture.body("targets.json");
        body["version"] = 2.into();
        body["x-kf-kept-authors"] = malformed;
        fixture.publish_role("targets.json", &body, &fixture.keys.targets.iter().collect::<Vec<_>>());
        refused_as_malformed(&fixture);
    }
}

#[track_caller]
fn refused_as_malformed(fixture: &Fixture) {
    let error = fixture.prepare(None, later()).unwrap_err();
    assert!(error.to_string().contains("x-kf-kept-authors"), "{error}");
}

/// A build with the fixture's keys and a pinned root.
fn build(fixture: &Fixture, pinned_root: Option<&[u8]>) -> kf_registry::Result<publish::Built> {
    publish::build(&BuildInput {
        source: &fixture.path("source"),
        artifacts: &fixture.path("artifacts"),
        published: &fixture.path("published"),
        keys: &fixture.keys,
        pinned_root,
        approve_grants: false,
        now: later(),
        describe: &|_: &kf_core::PluginName, _: &[u8]| Ok(b"{\"format\":1,\"commands\":[]}".to_vec()),
        gate: &|_: &Submission<'_>| Ok(Vec::new()),
    })
}

/// Replaces the first root, and adds its key's signature to the second one, which makes a valid chain. Users who pin the
/// first root of such a folder trust its forger.
#[test]
fn first_root_must_be_trusted_outside_of_published_folder() {
    let mut fixture = Fixture::published();
    let genuine = fixture.root();
    build(&fixture, None).unwrap();
    build(&fixture, Some(&genuine)).unwrap();

    // An admin's root key is replaced.
    let new = SigningKey::generate().unwrap();
    fixture.next_root(later(), |root| {
        let old = fixture.keys.root[2].id();
        let ids = root["roles"]["root"]["keyids"].as_array_mut().unwrap();
        *ids.iter_mut().find(|id| **id == old).unwrap() = new.id().into();
        root["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
        root["keys"].as_object_mut().unwrap().remove(old);
    });
    fixture.stage_only(Some(&["root"]), None, "root", later()).unwrap();
    sign(&fixture, "root", "root", &[&fixture.keys.root[0], &fixture.keys.root[1], &new]);
    fixture.assemble("root", later()).unwrap();
    fixture.keys.root[2] = new;
    // The keys are no longer those of the first root.
    refused(build(&fixture, None), "cannot trust the first root");
    build(&fixture, Some(&genuine)).unwrap();
    fixture.write("source/root/1.root.json", std::str::from_utf8(&genuine).unwrap());
    build(&fixture, None).unwrap();

    let mallory = SigningKey::generate().unwrap();
    let mut root: Value = serde_json::from_slice(&genuine).unwrap();
    root["signed"]["keys"][mallory.id()] = serde_json::to_value(mallory.public()).unwrap();
    root["signed"]["roles"]["root"] = json!({"keyids": [mallory.id()], "threshold": 1});
    let evil = signed(&root["signed"], &[&mallory]);
    fs_err::write(fixture.path("published/metadata/1.root.json"), &evil).unwrap();
    let path = fixture.path("published/metadata/2.root.json");
    let mut second: Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
    let body = second["signed"].clone();
    let roots = &fixture.keys.root;
    second = serde_json::from_slice(&signed(&body, &[&roots[0], &roots[1], &mallory])).unwrap();
    fs_err::write(&path, second.to_string()).unwrap();
    // A client would accept this chain.
    trust_chain(&evil, &second);
    refused(build(&fixture, None), "does not match the pinned root");
    refused(build(&fixture, Some(&genuine)), "does not match the pinned root");
    fs_err::remove_dir_all(fixture.path("source/root")).unwrap();
    refused(build(&fixture, None), "cannot trust the first root");
    fixture.assert_root_untrusted();
}

fn trust_chain(first: &[u8], second: &Value) {
    let mut trusted = sigstore_tuf::TrustedMetadataSet::from_root(first).unwrap();
    trusted.update_root(second.to_string().as_bytes()).unwrap();
}

impl Fixture {
    /// Without a pinned root, a reviewed one or keys nothing is staged or assembled.
    #[track_caller]
    fn assert_root_untrusted(&self) {
        let staged = publish::stage(&publish::StageInput {
            source: &self.path("source"),
            artifacts: None,
            published: &self.path("published"),
            staging: &self.path("unvouched"),
            only: None,
            keys: None,
            pinned_root: None,
            now: later(),
            describe: &|_: &kf_core::PluginName, _: &[u8]| Err("not asked".to_owned()),
            gate: &|_: &Submission<'_>| Ok(Vec::new()),
        });
        refused(staged, "cannot trust the first root");
    }
}

/// The first staging is not trusted either.
#[test]
fn first_publication_needs_trusted_root() {
    let fixture = Fixture::new();
    fixture.stage("staging", start()).unwrap();
    fixture.sign_all("staging");
    let assemble = |pinned_root: Option<&[u8]>, keys: Option<publish::PublicKeys>| {
        let source = kf_registry::source::Source::read(&fixture.path("source")).unwrap();
        publish::Publication::prepare(&publish::AssembleInput {
            staging: Some(&fixture.path("staging")),
            published: &fixture.path("published"),
            pinned_root,
            keys: keys.as_ref(),
            online: &[&fixture.keys.snapshot, &fixture.keys.timestamp],
            expiry: source.registry.expiry,
            now: start(),
            gate: &|_: &Submission<'_>| Ok(Vec::new()),
        })
    };
    refused(assemble(None, None), "cannot trust the first root");
    let other = Fixture::published();
    refused(assemble(Some(&other.root()), None), "does not match the pinned root");
    refused(assemble(None, Some(other.keys.public())), "cannot trust the first root");
    assemble(None, Some(fixture.keys.public())).unwrap();
}

/// A pipe would block the build, and an endless file would fill the memory.
#[test]
fn irregular_or_oversized_published_file_is_refused() {
    for role in ["timestamp.json", "snapshot.json", "author-alice.json"] {
        let fixture = Fixture::published();
        let path = fixture.metadata(role);
        fs_err::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/dev/zero", &path).unwrap();
        refused(fixture.build(later()), "not a regular file");
    }
    let fixture = Fixture::published();
    let path = fixture.metadata("timestamp.json");
    let file = fs_err::OpenOptions::new().write(true).open(path).unwrap();
    file.set_len(1 << 40).unwrap();
    assert!(fixture.build(later()).unwrap_err().to_string().contains("larger than"));
}
