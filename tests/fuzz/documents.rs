//! Manifests, command trees, indexes, lock files and requests: no I/O, and whatever is accepted can be written and read again.

use std::path::{Component, Path};

use kf_command::lockfile::{Entry, Lockfile};
use kf_core::Digest;
use kf_core::manifest::Manifest;
use kf_core::text::is_unsafe;
use kf_core::tree::CommandTree;
use kf_registry::index::{Index, Request};
use serde_json::{Value, json};

use crate::mutate;
use crate::run::run;

/// The longest error message. A document of a megabyte must not become one.
const MAX_MESSAGE_BYTES: usize = 8 * 1024;

#[track_caller]
pub fn assert_is_short(error: &impl std::fmt::Display) {
    let message = error.to_string();
    assert!(!message.is_empty() && message.len() <= MAX_MESSAGE_BYTES, "{} bytes", message.len());
}

#[track_caller]
pub fn assert_is_file_name(name: &str) {
    let mut components = Path::new(name).components();
    assert!(matches!((components.next(), components.next()), (Some(Component::Normal(_)), None)), "{name:?}");
}

#[track_caller]
fn assert_is_one_line(text: &str) {
    assert!(!text.contains(is_unsafe), "{text:?}");
}

const MANIFESTS: [&str; 2] = [
    r#"format = 1
[plugin]
name = "train"
version = "0.1.0"
abi = "0.1.0"
summary = "Train a model"
license = "Apache-2.0"
homepage = "https://example.org/train"
[[permissions.kubernetes]]
apiGroups = ["trainer.kubeflow.org"]
resources = ["trainjobs", "trainjobs/status"]
verbs = ["get", "list", "create"]
"#,
    r#"format = 1
[plugin]
name = "hello"
version = "1.2.3-rc.1"
abi = "0.1.0"
summary = "Say hello"
license = "MIT"
[permissions]
selection = true
terminal = true
"#,
];

fn check_manifest(text: &[u8]) {
    match Manifest::from_bytes(text) {
        Ok(manifest) => {
            let plugin = &manifest.plugin;
            assert_is_file_name(plugin.name.as_str());
            assert_is_one_line(&plugin.summary);
            assert_is_one_line(&plugin.license);
            plugin.homepage.iter().for_each(|homepage| assert_is_one_line(homepage));
            let written = toml::to_string(&manifest).unwrap();
            assert_eq!(Manifest::parse(&written).unwrap(), manifest);
        }
        Err(error) => assert_is_short(&error),
    }
}

#[test]
fn manifest_with_changed_bytes_is_refused_or_round_trips() {
    run(600, |seed, changes| {
        check_manifest(&mutate::bytes(MANIFESTS[seed % MANIFESTS.len()].as_bytes(), changes));
    });
}

#[test]
fn manifest_with_changed_tree_is_refused_or_round_trips() {
    let seeds = MANIFESTS.map(|text| toml::from_str::<Value>(text).unwrap());
    run(600, |seed, changes| {
        // TOML has no null, and its root is a table.
        if let Ok(text) = toml::to_string(&mutate::tree(&seeds[seed % seeds.len()], changes)) {
            check_manifest(text.as_bytes());
        }
    });
}

fn trees() -> Vec<Value> {
    let argument = json!({ "id": "name", "kind": "positional", "help": "Who to greet" });
    let hello = CommandTree::from_json(br#"{"format":1,"commands":[]}"#);
    let mut seeds =
        vec![json!({ "format": 1, "commands": [] }), json!({ "format": 1, "commands": [argument] })];
    seeds.extend(hello.ok().and_then(|tree| serde_json::from_slice(&tree.to_json()).ok()));
    seeds.extend(crate::guests::command_trees());
    seeds
}

fn check_tree(json: &[u8]) {
    match CommandTree::from_json(json) {
        Ok(tree) => {
            let written = tree.to_json();
            let read = CommandTree::from_json(&written).unwrap();
            assert_eq!(read.to_json(), written);
            let text = String::from_utf8(written).unwrap();
            let value: Value = serde_json::from_str(&text).unwrap();
            each_text(&value, &mut |text| {
                assert!(!text.contains(|c| is_unsafe(c) && c != '\n'), "{text:?}");
            });
        }
        Err(error) => assert_is_short(&error),
    }
}

fn each_text(value: &Value, check: &mut dyn FnMut(&str)) {
    match value {
        Value::String(text) => check(text),
        Value::Array(items) => items.iter().for_each(|item| each_text(item, check)),
        Value::Object(fields) => fields.iter().for_each(|(name, value)| {
            check(name);
            each_text(value, check);
        }),
        _ => {}
    }
}

#[test]
fn command_tree_with_changed_tree_is_refused_or_round_trips() {
    let seeds = trees();
    run(600, |seed, changes| {
        check_tree(mutate::tree(&seeds[seed % seeds.len()], changes).to_string().as_bytes());
    });
}

#[test]
fn command_tree_with_changed_bytes_is_refused_or_round_trips() {
    let seeds = trees();
    run(400, |seed, changes| {
        check_tree(&mutate::bytes(seeds[seed % seeds.len()].to_string().as_bytes(), changes));
    });
}

/// An index as the admins sign it.
pub fn index() -> Value {
    let digest = Digest::of(b"blocked");
    json!({
        "format": 1, "registry": "team",
        "plugins": {
            "hello": {
                "owner": "alice", "summary": "Say hello", "homepage": "https://example.org",
                "ceiling": { "kubernetes": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] },
                "yanked": ["0.0.1", { "version": "0.0.2", "reason": "it loses data" }],
            },
        },
        "blocked": [{ "sha256": digest, "reason": "it phones home" }],
    })
}

fn check_index(json: &[u8]) {
    match Index::parse(json) {
        Ok(index) => {
            index.plugins.keys().for_each(|name| assert_is_file_name(name.as_str()));
            index.plugins.values().for_each(|entry| assert_is_file_name(&entry.owner.role()));
            assert_is_file_name(index.registry.as_str());
            let written = serde_json::to_vec(&index).unwrap();
            assert_eq!(Index::parse(&written).unwrap(), index);
        }
        Err(error) => assert_is_short(&error),
    }
}

#[test]
fn index_with_changed_tree_is_refused_or_round_trips() {
    let seed = index();
    check_index(seed.to_string().as_bytes());
    Index::parse(seed.to_string().as_bytes()).unwrap();
    run(600, |_, changes| check_index(mutate::tree(&seed, changes).to_string().as_bytes()));
}

#[test]
fn index_with_changed_bytes_is_refused_or_round_trips() {
    let seed = index().to_string();
    run(400, |_, changes| check_index(&mutate::bytes(seed.as_bytes(), changes)));
}

#[test]
fn request_is_refused_or_names_one_file() {
    let seeds = ["train", "train@0.1.0", "train@^0.1", "team/train@>=1,<2", "team/train@1.2.3-rc.1+build"];
    run(2000, |seed, changes| {
        let text = mutate::bytes(seeds[seed % seeds.len()].as_bytes(), changes);
        match Request::parse(&String::from_utf8_lossy(&text)) {
            Ok(request) => {
                assert_is_file_name(request.name.as_str());
                request.registry.iter().for_each(|registry| assert_is_file_name(registry.as_str()));
                assert_is_one_line(&request.want.to_string());
            }
            Err(error) => assert_is_short(&error),
        }
    });
}

/// The text of a lock file with commands of two registries.
fn lock() -> String {
    let mut text = "format = 1\n".to_owned();
    for (registry, name, rights) in
        [("team", "train", r#"["file: --file", "pods: get"]"#), ("lab", "hello", "[]")]
    {
        let digest = |what: &str| Digest::of(format!("{what} of {name}").as_bytes());
        text.push_str(&format!(
            "[registries.{registry}]\nroot_sha256 = \"{}\"\n\
             [commands.{name}]\nversion = \"1.2.3-rc.1\"\nregistry = \"{registry}\"\nowner = \"alice\"\n\
             keyids = [\"{}\"]\nconsent = \"{}\"\nrights = {rights}\n",
            digest("root"),
            digest("key"),
            digest("consent"),
        ));
        for kind in ["component", "manifest", "commands"] {
            text.push_str(&format!(
                "[[commands.{name}.parts]]\nkind = \"{kind}\"\nsha256 = \"{}\"\nlength = 17\n",
                digest(kind)
            ));
        }
    }
    text
}

fn check_lock(text: &str) {
    match Lockfile::parse("kf.lock", text) {
        Ok(lock) => {
            for (name, Entry { registry, owner, parts, .. }) in &lock.commands {
                assert_is_file_name(name.as_str());
                assert_is_file_name(registry.as_str());
                assert_is_file_name(&owner.role());
                assert!(lock.registries.contains_key(registry), "{registry}");
                parts.iter().for_each(|part| assert_is_file_name(&part.sha256.to_string()));
            }
            lock.registries.keys().for_each(|registry| assert_is_file_name(registry.as_str()));
            assert_eq!(Lockfile::parse("kf.lock", &lock.to_text().unwrap()).unwrap(), lock);
        }
        Err(error) => assert_is_short(&error),
    }
}

#[test]
fn lock_file_with_changed_tree_is_refused_or_round_trips() {
    let seed: Value = toml::from_str(&lock()).unwrap();
    assert_eq!(Lockfile::parse("kf.lock", &lock()).unwrap().commands.len(), 2);
    run(600, |_, changes| {
        // TOML has no null, and its root is a table.
        if let Ok(text) = toml::to_string(&mutate::tree(&seed, changes)) {
            check_lock(&text);
        }
    });
}

#[test]
fn lock_file_with_changed_bytes_is_refused_or_round_trips() {
    let seed = lock();
    run(600, |_, changes| {
        check_lock(&String::from_utf8_lossy(&mutate::bytes(seed.as_bytes(), changes)));
    });
}
