//! Building a registry as an admin or author.

use jiff::SignedDuration;
use kf_core::format::FormatError;
use kf_core::{AuthorId, PluginName};
use kf_registry::Error;
use kf_registry::index::Want;
use kf_registry::publish::{KeyRing, SigningKey, Submission};
use kf_registry::source::Source;

use crate::fixture::*;

fn hour() -> SignedDuration {
    SignedDuration::from_hours(1)
}

#[test]
fn registry_index_of_this_repository_is_valid() {
    let dir = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../registry-index");
    let source = Source::read(&dir).unwrap();
    let names: Vec<_> = source.plugins.keys().map(|name| name.as_str()).collect();
    let plugins = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins");
    let mut folders: Vec<String> = std::fs::read_dir(plugins)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().join("plugin.toml").is_file())
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    folders.sort();
    assert_eq!(names, folders);
    assert!(source.plugins[&name("hello")].ceiling.kubernetes.is_empty());
    assert!(!source.plugins[&name("train")].ceiling.kubernetes.is_empty());
}

#[test]
fn build_without_changes_signs_only_timestamp() {
    let fixture = Fixture::new();
    let first = fixture.build(start()).unwrap();
    assert!(first.plugins[0].new);
    let second = fixture.build(start() + hour()).unwrap();
    assert!(!second.plugins[0].new);
    assert_eq!(second.root_sha256, first.root_sha256);
    for (file, version) in &second.versions {
        assert_eq!(*version, if file == "timestamp.json" { 2 } else { 1 }, "{file}");
    }
    fixture.refresh(start() + hour()).unwrap();
}

#[test]
fn roles_are_renewed_before_expiry() {
    let fixture = Fixture::published();
    let versions = |after: i64| fixture.build(start() + days(after)).unwrap().versions;
    let later = versions(5);
    assert_eq!((later["snapshot.json"], later["targets.json"]), (2, 1));
    let later = versions(60);
    assert_eq!((later["targets.json"], later["author-alice.json"], later["root.json"]), (2, 1, 1));
    let later = versions(200);
    assert_eq!((later["author-alice.json"], later["root.json"]), (2, 2));
    // A user who has only the first root follows to the second.
    fixture.refresh(start() + days(200)).unwrap();
}

#[test]
fn changed_or_lower_version_is_refused() {
    let fixture = Fixture::published();
    let before = tree(&fixture.path("published"));
    fixture.artifact("hello", "0.1.0", b"\0asm hello, but different");
    refused(fixture.build(start() + hour()), "another plugin.wasm");
    fixture.artifact_with("hello", "0.1.0", b"\0asm hello", "[permissions]\n");
    refused(fixture.build(start() + hour()), "another plugin.toml");
    fixture.artifact("hello", "0.0.9", b"\0asm hello");
    refused(fixture.build(start() + hour()), "0.1.0 is already published");
    fixture.artifact("hello", "0.1.0-rc.1", b"\0asm hello");
    refused(fixture.build(start() + hour()), "0.1.0 is already published");
    assert_eq!(tree(&fixture.path("published")), before, "a refused build changed the published files");
}

#[test]
fn old_versions_stay_available() {
    let fixture = Fixture::published();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.build(start() + hour()).unwrap();
    let session = fixture.refresh(start() + hour()).unwrap();
    let exact = Want::Exact(semver::Version::new(0, 1, 0));
    let old = session.view().resolve(&name("hello"), &exact, &any_abi).unwrap();
    assert_eq!(session.fetch(&old).unwrap().program(), b"\0asm hello");
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello 2");
}

#[test]
fn version_refused_by_gate_is_not_published() {
    let fixture = Fixture::new();
    let ceiling = "[[ceiling.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"list\"]\n";
    fixture.plugin_toml("hello", "alice", ceiling);
    let ask =
        "[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"secrets\"]\nverbs = [\"get\"]\n";
    fixture.artifact_with("hello", "0.1.0", b"\0asm hello", ask);
    let gate = |submission: &Submission<'_>| {
        assert_eq!(submission.wasm, b"\0asm hello");
        assert_eq!(submission.commands["format"], 1);
        assert_eq!(submission.ceiling.kubernetes[0]["resources"][0], "pods");
        let ceiling = &submission.ceiling.kubernetes;
        if submission.manifest.permissions.kubernetes.iter().all(|rule| ceiling.contains(rule)) {
            Ok(Vec::new())
        } else {
            Err("it asks for more than its ceiling".to_owned())
        }
    };
    refused(fixture.build_with(start(), &gate), "more than its ceiling");
    assert!(!fixture.path("published/metadata/timestamp.json").exists());
    assert!(tree(&fixture.path("published")).is_empty());
}

#[test]
fn owner_mismatch_between_author_and_plugin_is_refused() {
    let fixture = Fixture::new();
    fixture.plugin_toml("hello", "bob", "");
    refused(fixture.build(start()), "authors/bob.toml does not list it");
    fixture.plugin_toml("hello", "alice", "");
    fixture.write(
        "source/authors/bob.toml",
        "format = 1\nid = \"bob\"\ncontact = \"bob\"\nplugins = [\"audit\", \"hello\"]\n",
    );
    refused(fixture.build(start()), "lists hello");
}

#[test]
fn unreviewed_or_misnamed_command_is_refused() {
    let fixture = Fixture::new();
    fixture.artifact("stranger", "1.0.0", b"\0asm");
    refused(fixture.build(start()), "plugins/stranger.toml does not exist");

    let fixture = Fixture::new();
    let text = fs_err::read_to_string(fixture.path("artifacts/hello/plugin.toml")).unwrap();
    fixture.write("artifacts/hello/plugin.toml", &text.replace("\"hello\"", "\"train\""));
    refused(fixture.build(start()), "the name of another command");

    let fixture = Fixture::new();
    fs_err::remove_file(fixture.path("artifacts/hello/plugin.toml")).unwrap();
    refused(fixture.build(start()), "plugin.toml is missing");
}

#[test]
fn component_without_valid_description_is_refused() {
    let fixture = Fixture::new();
    let silent = |_: &PluginName, _: &[u8]| Err("it stopped".to_owned());
    refused(
        fixture.build_describing(start(), &silent),
        "cannot publish hello 0.1.0: cannot read its command tree: it stopped",
    );
    let newer = |_: &PluginName, _: &[u8]| Ok(b"{\"format\":2}".to_vec());
    refused(fixture.build_describing(start(), &newer), "has no \"format\": 1");
    let broken = |_: &PluginName, _: &[u8]| Ok(b"{".to_vec());
    assert!(matches!(
        fixture.build_describing(start(), &broken),
        Err(Error::Home(kf_home::Error::Format(FormatError::Invalid { .. })))
    ));
    assert!(tree(&fixture.path("published")).is_empty());
}

#[test]
fn published_component_is_not_described_again() {
    let fixture = Fixture::published();
    let newer_kf = |_: &PluginName, _: &[u8]| panic!("hello is published");
    let built = fixture.build_describing(start() + hour(), &newer_kf).unwrap();
    assert!(!built.plugins[0].new);
}

#[test]
fn author_key_not_in_reviewed_text_is_refused() {
    let fixture = Fixture::new();
    let alice = |key: &str| {
        fixture.write(
            "source/authors/alice.toml",
            &format!(
                "format = 1\nid = \"alice\"\ncontact = \"alice\"\nplugins = [\"hello\", \"train\"]\nkeys = [\"{key}\"]\n"
            ),
        );
    };
    alice(&SigningKey::generate().unwrap().public_hex());
    refused(fixture.build(start()), "not listed in authors/alice.toml");
    alice(&fixture.alice().public_hex());
    fixture.build(start()).unwrap();
}

#[test]
fn keys_other_than_those_of_published_root_are_refused() {
    let mut fixture = Fixture::published();
    let before = tree(&fixture.path("published"));
    let authors = [AuthorId::parse("alice").unwrap(), AuthorId::parse("bob").unwrap()];
    fixture.keys = KeyRing::generate(&authors).unwrap();
    refused(fixture.build(start() + hour()), "the keys do not match the published root");
    assert_eq!(tree(&fixture.path("published")), before);
}

#[test]
fn damaged_published_folder_is_refused() {
    let fixture = Fixture::published();
    let path = fixture.metadata("author-alice.json");
    let text = fs_err::read_to_string(&path).unwrap();
    fs_err::write(&path, text.replace("plugins/hello", "plugins/jello")).unwrap();
    refused(fixture.build(start() + hour()), "its digest does not match the metadata");
}

#[test]
fn build_interrupted_before_timestamp_publishes_nothing() {
    let fixture = Fixture::published();
    fixture.save("old");
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.build(start() + hour()).unwrap();
    // All files except the last.
    let timestamp = fs_err::read(fixture.path("old/metadata/timestamp.json")).unwrap();
    fs_err::write(fixture.metadata("timestamp.json"), timestamp).unwrap();
    let session = fixture.refresh(start() + hour()).unwrap();
    assert_eq!(resolve(&session, "hello").unwrap().version, semver::Version::new(0, 1, 0));
    // The next build publishes it.
    fixture.build(start() + hour() * 2).unwrap();
    let session = fixture.refresh(start() + hour() * 2).unwrap();
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello 2");
}

#[test]
fn saved_keys_load_again_and_readable_files_are_refused() {
    let fixture = Fixture::published();
    let dir = fixture.path("keys");
    fixture.keys.save(&dir).unwrap();
    let loaded = KeyRing::load(&dir).unwrap();
    assert_eq!(loaded.timestamp.id(), fixture.keys.timestamp.id());
    assert_eq!(loaded.authors.len(), 2);
    let mut fixture = fixture;
    fixture.keys = loaded;
    fixture.build(start() + hour()).unwrap();

    // Opening it again loads the same keys and adds only the missing ones.
    let carol = AuthorId::parse("carol").unwrap();
    let opened = KeyRing::open(&dir, [&carol]).unwrap();
    assert_eq!((opened.timestamp.id(), opened.authors.len()), (fixture.keys.timestamp.id(), 3));
    let fresh = KeyRing::open(&fixture.path("fresh/keys"), [&carol]).unwrap();
    let again = KeyRing::open(&fixture.path("fresh/keys"), [&carol]).unwrap();
    assert_eq!(fresh.root[2].id(), again.root[2].id());
    assert_eq!(
        fs_err::read_dir(fixture.path("fresh")).unwrap().count(),
        1,
        "a temporary folder was left behind"
    );

    let open = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs_err::set_permissions(dir.join("root-1.pk8"), open).unwrap();
    assert!(matches!(KeyRing::load(&dir), Err(Error::Home(kf_home::Error::UnsafePath { .. }))));
}
