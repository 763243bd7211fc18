//! What a registry serves: signed metadata of any content, and the index. A refresh succeeds or fails with one error.

use std::time::Duration;

use kf_core::{Digest, PluginName, RegistryId};
use kf_home::Home;
use kf_home::lock::NameLock;
use kf_registry::index::Want;
use kf_registry::receipt::{self, Receipt};
use kf_registry::registries::Registry;
use kf_registry::transport::Url;
use kf_registry::trust::{self, Options, Session};
use serde_json::{Value, json};

use crate::documents::{assert_is_file_name, assert_is_short, index};
use crate::mutate;
use crate::repository::{Delegation, Repository, now};
use crate::run::run;

const MANIFEST: &str = "format = 1\n[plugin]\nname = \"hello\"\nversion = \"0.1.0\"\nabi = \"0.1.0\"\n\
                        summary = \"Say hello\"\nlicense = \"MIT\"\n";

/// A registry with hello 0.1.0 of alice.
fn registry() -> Repository {
    let mut repository = Repository::new();
    let delegation = Delegation::new("targets", "author-alice").paths(&["plugins/hello/*/*"]).terminating();
    repository.delegate(&delegation);
    add_hello(&mut repository);
    repository.add_target("targets", "index/plugins.json", index().to_string().as_bytes());
    repository.publish(&["author-alice", "targets", "snapshot", "timestamp"]);
    repository
}

fn add_hello(repository: &mut Repository) {
    for (file, content) in [
        ("plugin.wasm", &b"\0asm hello"[..]),
        ("plugin.toml", MANIFEST.as_bytes()),
        ("command.json", br#"{"format":1,"commands":[]}"#),
    ] {
        repository.add_target("author-alice", &format!("plugins/hello/0.1.0/{file}"), content);
    }
    repository.body("author-alice")["targets"]["plugins/hello/0.1.0/plugin.wasm"]["custom"] =
        json!({ "abi": "0.1.0" });
}

/// The same, split: its only shard has the names that start with h.
fn split_registry() -> Repository {
    let mut repository = Repository::new();
    let shard =
        Delegation::new("targets", "names-h").paths(&["index/names/h.json", "plugins/h*/*/*"]).terminating();
    repository.delegate(&shard);
    let author = Delegation::new("names-h", "author-alice").paths(&["plugins/hello/*/*"]).terminating();
    repository.delegate(&author);
    add_hello(&mut repository);
    repository.add_target("names-h", "index/names/h.json", shard_index().to_string().as_bytes());
    let mut all = index();
    all["plugins"] = json!({});
    repository.add_target("targets", "index/plugins.json", all.to_string().as_bytes());
    repository.publish(&["author-alice", "names-h", "targets", "snapshot", "timestamp"]);
    repository
}

/// The index of the shard.
fn shard_index() -> Value {
    let mut index = index();
    index["blocked"] = json!([]);
    index
}

fn catalogue() -> Value {
    json!({
        "format": 1, "registry": "team",
        "commands": {
            "hello": {
                "owner": "alice", "summary": "Say hello",
                "newest": { "version": "0.1.0", "sha256": Digest::of(b"\0asm hello") },
            },
        },
    })
}

fn refresh(repository: &Repository, home: &Home) -> kf_registry::Result<Session> {
    let root = repository.versions("root")[0].clone();
    let url = Url::parse(&repository.url).unwrap();
    let registry = Registry::new(RegistryId::parse("team").unwrap(), vec![url], root)?;
    let limit = Duration::from_secs(60);
    let options = Options { refresh_limit: limit, fetch_limit: limit, ..Options::at(now()) };
    trust::refresh(home, &registry, &options)
}

/// Refreshes, resolves and fetches whatever is offered.
fn check(repository: &Repository) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::under(folder.path());
    match refresh(repository, &home) {
        Err(error) => assert_is_short(&error),
        Ok(mut session) => {
            session.offers().map(drop).unwrap_or_else(|error| assert_is_short(&error));
            for (name, listed) in &session.view().plugins {
                listed.problem.iter().for_each(assert_is_short);
                let wants = listed.releases.keys().cloned().map(Want::Exact);
                for want in wants.chain([Want::Newest(semver::VersionReq::STAR)]) {
                    let resolved = session.view().resolve(name, &want, &|_| true);
                    if let Err(error) = resolved.and_then(|resolved| session.fetch(&resolved)) {
                        assert_is_short(&error);
                    }
                }
            }
            // What was stored is read again.
            refresh(repository, &home).map(drop).unwrap_or_else(|error| assert_is_short(&error));
        }
    }
}

#[test]
fn signed_metadata_with_changed_tree_gives_view_or_one_error() {
    let mut repository = registry();
    check(&repository);
    let roles = ["timestamp", "snapshot", "targets", "author-alice"];
    let bodies = roles.map(|role| repository.body(role).clone());
    let newest = roles.map(|role| repository.newest(role));
    let repository = std::cell::RefCell::new(repository);
    run(100, |seed, changes| {
        let mut repository = repository.borrow_mut();
        let at = seed % roles.len();
        let changed = mutate::tree(&bodies[at], changes);
        let version = repository.version(roles[at]);
        let bytes = repository.signed(roles[at], &changed);
        repository.serve(roles[at], version, bytes);
        check(&repository);
        repository.serve(roles[at], version, newest[at].clone());
    });
}

#[test]
fn metadata_with_changed_bytes_gives_view_or_one_error() {
    let mut repository = registry();
    repository.publish(&["root"]);
    let roles = ["root", "timestamp", "snapshot", "targets", "author-alice"];
    let newest = roles.map(|role| repository.newest(role));
    run(100, |seed, changes| {
        let at = seed % roles.len();
        let version = repository.version(roles[at]);
        repository.serve(roles[at], version, mutate::bytes(&newest[at], changes));
        check(&repository);
        repository.serve(roles[at], version, newest[at].clone());
    });
}

#[test]
fn next_root_with_changed_tree_gives_view_or_one_error() {
    let mut repository = registry();
    repository.publish(&["root"]);
    let body = repository.body("root").clone();
    let repository = std::cell::RefCell::new(repository);
    run(100, |_, changes| {
        let mut repository = repository.borrow_mut();
        let bytes = repository.signed("root", &mutate::tree(&body, changes));
        repository.serve("root", 2, bytes);
        check(&repository);
    });
}

#[test]
fn signed_index_with_changed_tree_gives_view_or_one_error() {
    let mut repository = registry();
    let (targets, index) = (repository.body("targets").clone(), index());
    let repository = std::cell::RefCell::new(&mut repository);
    run(100, |_, changes| {
        let mut repository = repository.borrow_mut();
        let changed = mutate::tree(&index, changes).to_string();
        repository.add_target("targets", "index/plugins.json", changed.as_bytes());
        let version = repository.version("targets");
        let body = repository.body("targets").clone();
        let bytes = repository.signed("targets", &body);
        repository.serve("targets", version, bytes);
        check(&repository);
        *repository.body("targets") = targets.clone();
    });
}

#[test]
fn shard_with_changed_tree_gives_view_or_one_error() {
    let mut repository = split_registry();
    check(&repository);
    let folder = tempfile::tempdir().unwrap();
    let session = refresh(&repository, &Home::under(folder.path())).unwrap();
    assert_eq!(session.view().plugins.len(), 1, "hello is in the shard");
    let (role, index) = (repository.body("names-h").clone(), shard_index());
    let (newest, version) = (repository.newest("names-h"), repository.version("names-h"));
    let repository = std::cell::RefCell::new(repository);
    run(100, |seed, changes| {
        let mut repository = repository.borrow_mut();
        if seed % 2 == 0 {
            let changed = mutate::tree(&index, changes).to_string();
            repository.add_target("names-h", "index/names/h.json", changed.as_bytes());
        } else {
            *repository.body("names-h") = mutate::tree(&role, changes);
        }
        let body = repository.body("names-h").clone();
        let bytes = repository.signed("names-h", &body);
        repository.serve("names-h", version, bytes);
        check(&repository);
        *repository.body("names-h") = role.clone();
        repository.serve("names-h", version, newest.clone());
    });
}

#[test]
fn catalogue_with_changed_tree_or_bytes_gives_list_or_one_error() {
    let mut repository = registry();
    let seed = catalogue();
    let text = seed.to_string();
    let repository = std::cell::RefCell::new(&mut repository);
    let offers = |bytes: &[u8]| {
        let mut repository = repository.borrow_mut();
        let sha256 = Digest::of(bytes);
        let path = format!("/targets/catalogue/{sha256}.commands.json");
        repository.served().files.insert(path, bytes.to_vec());
        repository.body("snapshot")["x-kf-catalogue"] =
            json!({ "commands": 1, "length": bytes.len(), "sha256": sha256 });
        repository.publish(&["snapshot", "timestamp"]);
        let folder = tempfile::tempdir().unwrap();
        let mut session = refresh(&repository, &Home::under(folder.path())).unwrap();
        session.offers().inspect_err(assert_is_short)
    };
    assert_eq!(offers(text.as_bytes()).unwrap().len(), 1);
    run(100, |seed_number, changes| {
        let bytes = match seed_number % 2 {
            0 => mutate::tree(&seed, changes).to_string().into_bytes(),
            _ => mutate::bytes(text.as_bytes(), changes),
        };
        if let Ok(offers) = offers(&bytes) {
            offers.keys().for_each(|name| assert_is_file_name(name.as_str()));
        }
    });
}

/// A receipt of hello, and the home that it is in.
fn installed(folder: &std::path::Path) -> (Home, PluginName, Value) {
    let repository = registry();
    let (home, name) = (Home::under(folder), PluginName::parse("hello").unwrap());
    let session = refresh(&repository, &home).unwrap();
    let want = Want::Newest(semver::VersionReq::STAR);
    let fetched = session.fetch(&session.view().resolve(&name, &want, &|_| true).unwrap()).unwrap();
    let lock = NameLock::acquire(&home, &name, |_| {}).unwrap();
    receipt::write(&home, &lock, &Receipt::new(&fetched, None, now()).unwrap()).unwrap();
    let receipt = serde_json::from_slice(&fs_err::read(home.receipt(&name)).unwrap()).unwrap();
    (home, name, receipt)
}

fn check_receipt(home: &Home, name: &PluginName, bytes: &[u8]) {
    fs_err::write(home.receipt(name), bytes).unwrap();
    match receipt::read(home, name) {
        Ok(receipt) => {
            let receipt = receipt.unwrap();
            assert_eq!(receipt.name, *name);
            assert!(receipt.is_consent_valid());
            assert_eq!(receipt.parts.commands().sha256, Digest::of(receipt.commands.as_bytes()));
            let written = serde_json::to_vec(&receipt).unwrap();
            assert_eq!(serde_json::from_slice::<Receipt>(&written).unwrap(), receipt);
        }
        Err(error) => assert_is_short(&error),
    }
}

#[test]
fn receipt_with_changed_tree_is_refused_or_consistent() {
    let folder = tempfile::tempdir().unwrap();
    let (home, name, receipt) = installed(folder.path());
    run(600, |_, changes| {
        check_receipt(&home, &name, mutate::tree(&receipt, changes).to_string().as_bytes());
    });
}

#[test]
fn receipt_with_changed_bytes_is_refused_or_consistent() {
    let folder = tempfile::tempdir().unwrap();
    let (home, name, receipt) = installed(folder.path());
    let text = receipt.to_string();
    run(600, |_, changes| check_receipt(&home, &name, &mutate::bytes(text.as_bytes(), changes)));
}
