//! Copies of a registry, and clients that use them.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::symlink;
use std::path::Path;

use jiff::{SignedDuration, Timestamp};
use kf_core::{Digest, Kind, PluginName};
use kf_home::Home;
use kf_registry::mirror::{Choice, Copied, copy, copy_new, has_release, is_copy_of};
use kf_registry::publish::RoleName;
use kf_registry::registries::Registry;
use kf_registry::store::Store;
use kf_registry::transport::Url;
use kf_registry::trust::{self, Options, Session};
use kf_registry::{Error, Result};
use semver::Version;

use crate::fixture::*;

fn later() -> Timestamp {
    start() + SignedDuration::from_hours(1)
}

/// hello 0.1.0 and 0.2.0 by alice, and audit 1.0.0 by bob.
fn published() -> Fixture {
    let fixture = Fixture::published();
    fixture.artifact("hello", "0.2.0", b"\0asm hello 2");
    fixture.artifact("audit", "1.0.0", b"\0asm audit");
    fixture.build(start()).unwrap();
    fixture
}

fn names(names: &[&str]) -> BTreeSet<PluginName> {
    names.iter().map(|text| name(text)).collect()
}

fn releases(all: &[(&str, &str)]) -> BTreeMap<PluginName, BTreeSet<Version>> {
    let mut found: BTreeMap<_, BTreeSet<Version>> = BTreeMap::new();
    for (plugin, version) in all {
        found.entry(name(plugin)).or_default().insert(version.parse().unwrap());
    }
    found
}

/// A client of the copy that was never used before.
fn client_of(fixture: &Fixture, copy: &str, now: Timestamp) -> Result<Session> {
    let home = Home::under(fixture.path(&format!("client of {copy}")));
    trust::refresh(&home, &copied(fixture, copy), &Options::at(now))
}

/// The registry with only the copy as its address.
fn copied(fixture: &Fixture, copy: &str) -> Registry {
    Registry { urls: vec![Url::removable(fixture.path(copy))], ..fixture.registry() }
}

fn fetch_version(session: &Session, plugin: &str, version: &str) -> Result<Vec<u8>> {
    let want = kf_registry::index::Want::Exact(version.parse().unwrap());
    let resolved = session.view().resolve(&name(plugin), &want, &any_abi)?;
    Ok(session.fetch(&resolved)?.program().to_vec())
}

#[test]
fn copy_has_chosen_releases_and_lists_the_others() {
    let fixture = published();
    let mut session = fixture.refresh(start()).unwrap();
    let only = names(&["hello"]);
    let made = copy_new(&mut session, Choice::Names(&only), None, &fixture.path("copy")).unwrap();
    assert_eq!(made.releases, releases(&[("hello", "0.1.0"), ("hello", "0.2.0")]));
    assert_eq!(made.root_sha256, Digest::of(&fixture.root()));
    assert_eq!(made.expires, start() + days(1));
    assert_eq!(tree(&fixture.path("copy")).len(), made.files);

    let client = client_of(&fixture, "copy", start()).unwrap();
    assert_eq!(client.view().plugins.len(), session.view().plugins.len());
    assert_eq!(fetch_version(&client, "hello", "0.1.0").unwrap(), b"\0asm hello");
    assert_eq!(fetch_version(&client, "hello", "0.2.0").unwrap(), b"\0asm hello 2");
    let error = fetch_version(&client, "audit", "1.0.0").unwrap_err();
    let Error::NotMirrored { file, .. } = &error else { panic!("{error}") };
    assert!(file.starts_with("plugins/audit/1.0.0/") && !error.to_string().contains("not found"), "{error}");
    let has = |plugin: &str| {
        let listed = &client.view().plugins[&name(plugin)];
        has_release(&fixture.path("copy"), &name(plugin), listed.newest().unwrap())
    };
    assert!(has("hello") && !has("audit"));

    // One release alone.
    let one = releases(&[("hello", "0.1.0")]);
    let made = copy_new(&mut session, Choice::Releases(&one), None, &fixture.path("one")).unwrap();
    assert_eq!(made.releases, one);
    assert!(fetch_version(&client_of(&fixture, "one", start()).unwrap(), "hello", "0.2.0").is_err());
    // Everything is the registry itself.
    copy_new(&mut session, Choice::All, None, &fixture.path("all")).unwrap();
    let files = |at: &str| -> BTreeSet<_> {
        let below = fixture.path(at);
        tree(&below)
            .into_iter()
            .map(|(path, bytes)| (path.strip_prefix(&below).unwrap().to_owned(), bytes))
            .collect()
    };
    assert!(files("all").is_subset(&files("published")));
    assert_eq!(files("all").iter().filter(|(path, _)| path.starts_with("targets/plugins")).count(), 9);
}

#[test]
fn names_and_versions_that_cannot_be_copied_are_refused() {
    let fixture = published();
    let sha256 = Digest::of(b"\0asm hello 2");
    let blocked = format!("[[blocked]]\nsha256 = \"{sha256}\"\nreason = \"it leaks\"\n");
    fixture.plugin_toml("hello", "alice", &blocked);
    fixture.build(later()).unwrap();
    let mut session = fixture.refresh(later()).unwrap();
    let to = fixture.path("copy");
    let mut refused = |choice: Choice<'_>| {
        let error = copy_new(&mut session, choice, None, &to).unwrap_err();
        assert!(!to.exists(), "{error}");
        error
    };
    let unknown = names(&["hello", "helo"]);
    assert!(matches!(refused(Choice::Names(&unknown)), Error::UnknownPlugin { .. }));
    let unknown = releases(&[("hello", "7.0.0")]);
    assert!(matches!(refused(Choice::Releases(&unknown)), Error::NoVersion { .. }));
    let leaking = releases(&[("hello", "0.2.0")]);
    assert!(matches!(refused(Choice::Releases(&leaking)), Error::Blocked { .. }));
    // Of a whole command only the others are copied.
    let made = copy_new(&mut session, Choice::Names(&names(&["hello"])), None, &to).unwrap();
    assert_eq!(made.releases, releases(&[("hello", "0.1.0")]));
}

#[test]
fn new_copy_needs_empty_folder_and_is_complete_or_absent() {
    let fixture = published();
    let mut session = fixture.refresh(start()).unwrap();
    fixture.write("full/notes.txt", "mine");
    let before = tree(&fixture.path("full"));
    let error = copy_new(&mut session, Choice::All, None, &fixture.path("full")).unwrap_err();
    assert!(matches!(error, Error::NotEmpty(_)) && error.kind() == Kind::Usage, "{error}");
    assert_eq!(tree(&fixture.path("full")), before);
    // What an interrupted copy left behind, and the root of a disk.
    fixture.write("stick/.tmp-copy-1/metadata/timestamp.json", "{}");
    fs_err::create_dir_all(fixture.path("stick/lost+found")).unwrap();
    copy_new(&mut session, Choice::All, None, &fixture.path("stick")).unwrap();
    client_of(&fixture, "stick", start()).unwrap();

    // The registry loses a file.
    fs_err::remove_file(fixture.target("plugins/hello/0.2.0/plugin.wasm")).unwrap();
    fs_err::create_dir(fixture.path("empty")).unwrap();
    for to in ["missing", "empty"] {
        let error = copy_new(&mut session, Choice::All, None, &fixture.path(to)).unwrap_err();
        assert!(matches!(error, Error::NotMirrored { .. }), "{error}");
    }
    assert!(!fixture.path("missing").exists());
    assert_eq!(fs_err::read_dir(fixture.path("empty")).unwrap().count(), 0);
}

#[test]
fn mirror_follows_registry_and_never_goes_back() {
    let fixture = published();
    let (mirror, only) = (fixture.path("mirror"), names(&["hello"]));
    let mut old = fixture.refresh(start()).unwrap();
    let first: Copied = copy(&mut old, Choice::Names(&only), None, &mirror).unwrap();
    let again = copy(&mut old, Choice::Names(&only), None, &mirror).unwrap();
    assert_eq!((again.files, again.bytes, &again.releases), (0, 0, &first.releases));
    fixture.artifact("hello", "0.3.0", b"\0asm hello 3");
    fixture.build(later()).unwrap();
    let mut new = fixture.refresh(later()).unwrap();
    copy(&mut new, Choice::Names(&only), None, &mirror).unwrap();
    assert_eq!(resolve(&client_of(&fixture, "mirror", later()).unwrap(), "hello").unwrap().version.minor, 3);
    // A damaged file is mended.
    let damaged = mirror.join("targets").join(
        fixture
            .target("plugins/hello/0.3.0/plugin.wasm")
            .strip_prefix(fixture.path("published/targets"))
            .unwrap(),
    );
    fs_err::write(&damaged, b"\0asm hello 3, with more").unwrap();
    assert_eq!(copy(&mut new, Choice::Names(&only), None, &mirror).unwrap().files, 1);
    assert_eq!(
        fetch(&client_of(&fixture, "mirror", later()).unwrap(), "hello").unwrap().program(),
        b"\0asm hello 3"
    );

    let before = tree(&mirror);
    refused(copy(&mut old, Choice::All, None, &mirror), "has a newer state");
    let other = Fixture::published();
    refused(copy(&mut other.refresh(start()).unwrap(), Choice::All, None, &mirror), "has another registry");
    assert_eq!(tree(&mirror), before);
}

/// The root is rotated. Clients that pinned the first and the second root can use the copy.
#[test]
fn copy_serves_clients_of_every_root() {
    let fixture = published();
    fixture.next_root(later(), |_| {});
    fixture.stage_only(Some(&["root"]), None, "staging", later()).unwrap();
    fixture.sign_all("staging");
    assert_eq!(publish_roots(&fixture), [RoleName::Root]);
    fixture.assemble("staging", later()).unwrap();
    let second = fs_err::read(fixture.path("published/metadata/2.root.json")).unwrap();
    let pinned_second = Registry { root: second, ..fixture.registry() };
    let home = |text: &str| Home::under(fixture.path(text));
    for (client, registry) in [("one", fixture.registry()), ("two", pinned_second.clone())] {
        let mut session = trust::refresh(&home(client), &registry, &Options::at(later())).unwrap();
        let to = fixture.path(&format!("copy of {client}"));
        let made = copy_new(&mut session, Choice::All, None, &to).unwrap();
        assert_eq!(made.root_sha256, Digest::of(&fixture.root()), "{client}");
        for (reader, registry) in [("one", fixture.registry()), ("two", pinned_second.clone())] {
            assert!(is_copy_of(&to, &registry).unwrap(), "{client}, {reader}");
            let registry = Registry { urls: vec![Url::removable(&to)], ..registry };
            let fresh = home(&format!("{client} read by {reader}"));
            trust::refresh(&fresh, &registry, &Options::at(later())).unwrap();
        }
    }
    // Without a network, the second client knows no earlier root.
    let mut session = trust::cached(&home("two"), &pinned_second, later()).unwrap();
    let made = copy_new(&mut session, Choice::Names(&names(&[])), None, &fixture.path("offline")).unwrap();
    assert_ne!(made.root_sha256, Digest::of(&fixture.root()));
    assert!(!is_copy_of(&fixture.path("offline"), &fixture.registry()).unwrap());
    assert!(!is_copy_of(&fixture.path("offline"), &Fixture::published().registry()).unwrap());
}

fn publish_roots(fixture: &Fixture) -> Vec<RoleName> {
    kf_registry::publish::Staging::open(&fixture.path("staging")).unwrap().roles().cloned().collect()
}

#[test]
fn offline_copy_takes_files_from_store() {
    let fixture = published();
    let receipt = add(&fixture, "hello", start()).unwrap();
    fs_err::rename(fixture.path("published"), fixture.path("unplugged")).unwrap();
    let root = fs_err::read(fixture.path("unplugged/metadata/1.root.json")).unwrap();
    let id = kf_core::RegistryId::parse("team").unwrap();
    let registry = Registry::new(id, vec![Url::parse("file:///nowhere").unwrap()], root).unwrap();
    let mut session = trust::cached(&fixture.home(), &registry, later()).unwrap();
    let store = Store::open(&fixture.home()).unwrap();
    let one = releases(&[("hello", &receipt.version.to_string())]);
    copy_new(&mut session, Choice::Releases(&one), Some(&store), &fixture.path("copy")).unwrap();
    let here = Registry { urls: vec![Url::removable(fixture.path("copy"))], ..registry.clone() };
    let client = trust::refresh(&Home::under(fixture.path("other")), &here, &Options::at(later())).unwrap();
    assert_eq!(fetch(&client, "hello").unwrap().program(), b"\0asm hello 2");
    // What is not in the store cannot be copied, and an expired state not at all.
    let more = releases(&[("audit", "1.0.0")]);
    let error =
        copy_new(&mut session, Choice::Releases(&more), Some(&store), &fixture.path("more")).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    refused(trust::cached(&fixture.home(), &registry, start() + days(2)), "expired");
}

/// A file in a stick is replaced by something that is not a file.
#[test]
fn removable_folder_with_links_and_devices_is_refused() {
    let fixture = published();
    copy_new(&mut fixture.refresh(start()).unwrap(), Choice::All, None, &fixture.path("copy")).unwrap();
    let timestamp = fixture.path("copy/metadata/timestamp.json");
    let aside = fixture.path("aside.json");
    fs_err::rename(&timestamp, &aside).unwrap();
    type Put = fn(&Path, &Path);
    let cases: [(&str, Put, Kind); 5] = [
        ("link", |aside, at| symlink(aside, at).unwrap(), Kind::Untrusted),
        ("dangling link", |_, at| symlink("/nowhere", at).unwrap(), Kind::Untrusted),
        ("folder", |_, at| fs_err::create_dir(at).unwrap(), Kind::Untrusted),
        ("pipe", |_, at| make_pipe(at), Kind::Untrusted),
        ("huge file", |_, at| fs_err::File::create(at).unwrap().set_len(1 << 40).unwrap(), Kind::Untrusted),
    ];
    for (what, put, kind) in cases {
        put(&aside, &timestamp);
        let error = client_of(&fixture, "copy", start()).unwrap_err();
        assert_eq!(error.kind(), kind, "{what}: {error}");
        assert!(!fixture.path("client of copy/data/registries").exists(), "{what}");
        match timestamp.symlink_metadata().unwrap().is_dir() {
            true => fs_err::remove_dir(&timestamp).unwrap(),
            false => fs_err::remove_file(&timestamp).unwrap(),
        }
    }
    fs_err::rename(&aside, &timestamp).unwrap();
    client_of(&fixture, "copy", start()).unwrap();
    // The folder above it is a link.
    fs_err::rename(fixture.path("copy/metadata"), fixture.path("moved")).unwrap();
    symlink(fixture.path("moved"), fixture.path("copy/metadata")).unwrap();
    assert_eq!(client_of(&fixture, "copy", start()).unwrap_err().kind(), Kind::Untrusted);
}

fn make_pipe(at: &Path) {
    assert!(std::process::Command::new("mkfifo").arg(at).status().unwrap().success());
}

#[test]
fn expired_copy_and_older_copy_are_refused() {
    let fixture = published();
    copy_new(&mut fixture.refresh(start()).unwrap(), Choice::All, None, &fixture.path("old")).unwrap();
    fixture.build(later()).unwrap();
    copy_new(&mut fixture.refresh(later()).unwrap(), Choice::All, None, &fixture.path("new")).unwrap();
    refused(client_of(&fixture, "old", start() + days(2)), "expired");
    let home = Home::under(fixture.path("site"));
    let read = |copy: &str| trust::refresh(&home, &copied(&fixture, copy), &Options::at(later()));
    read("old").unwrap();
    read("new").unwrap();
    let before = tree(&fixture.path("site"));
    refused(read("old"), "rollback detected for timestamp");
    assert_eq!(tree(&fixture.path("site")), before);
}
