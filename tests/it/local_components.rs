//! `kf command add ./x.wasm`: local components, for their authors.

use std::path::{Path, PathBuf};

use crate::common::registry::{self, published, set_up};
use crate::common::{Home, Ran};

/// A folder with the component and the manifest of a command.
fn component(name: &str) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let wasm = registry::only(name, folder.path()).join(name).join("plugin.wasm");
    (folder, wasm)
}

fn add(home: &Home, wasm: &Path, more: &[&str]) -> Ran {
    let words = ["command", "add"].map(str::to_owned).into_iter();
    home.run(words.chain([wasm.display().to_string()]).chain(more.iter().map(|word| (*word).to_owned())))
}

#[test]
fn component_without_rights_is_added_and_runs() {
    let (home, (_folder, wasm)) = (Home::empty(), component("hello"));
    let added = add(&home, &wasm, &[]).success();
    assert!(added.stdout.contains("Added hello"), "{}", added.transcript());
    assert!(home.run(["hello", "Ada"]).success().stdout.contains("hello Ada"));
    let listed = home.run(["command", "list", "-o", "json"]).success();
    let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(listed[0]["source"], "local");
    assert_eq!(listed[0]["owner"], serde_json::Value::Null);
    let described = home.run(["command", "describe", "hello"]).success();
    assert!(described.stdout.contains("plugin.wasm"), "{}", described.transcript());
    let again = add(&home, &wasm, &[]).success();
    assert!(again.stderr.contains("is already added"), "{}", again.transcript());
    home.run(["command", "upgrade", "--all"]).success();
}

#[test]
fn rights_need_consent_and_dangerous_ones_are_refused() {
    let (home, (_folder, wasm)) = (Home::empty(), component("events"));
    let refused = add(&home, &wasm, &[]).code(8);
    let accept = registry::hinted(&refused);
    home.run(accept).success();
    assert!(home.run(["command", "list", "-o", "name"]).success().stdout.contains("command/events"));

    let manifest = wasm.with_file_name("plugin.toml");
    let text = fs_err::read_to_string(&manifest).unwrap();
    let rule =
        "\n[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"secrets\"]\nverbs = [\"get\"]\n";
    fs_err::write(&manifest, text + rule).unwrap();
    let refused = add(&home, &wasm, &["--yes"]).code(8);
    assert!(refused.stderr.contains("dangerous rights: read secrets"), "{}", refused.transcript());
}

#[test]
fn name_stays_with_its_registry() {
    let home = Home::empty();
    set_up(&home, published());
    home.run(["command", "add", "hello"]).success();
    let (_folder, wasm) = component("hello");
    let refused = add(&home, &wasm, &[]).code(8);
    assert!(refused.stderr.contains("remove it first to change its registry"), "{}", refused.transcript());
    home.run(["command", "remove", "hello"]).success();
    add(&home, &wasm, &[]).success();
    let refused = home.run(["command", "add", "hello"]).code(8);
    assert!(refused.stderr.contains("hint: kf command remove hello"), "{}", refused.transcript());
}

#[test]
fn name_and_component_with_same_name_are_refused() {
    let home = Home::empty();
    set_up(&home, published());
    let (_folder, wasm) = component("hello");
    let spelled_otherwise = wasm.parent().unwrap().join("../hello/plugin.wasm").display().to_string();
    let wasm = wasm.display().to_string();
    for words in [["hello", &wasm], [&wasm, "hello@0.1.0"], [&wasm, &spelled_otherwise]] {
        let ran = home.run(["command", "add"].into_iter().chain(words)).code(2);
        let expected = format!("error: hello is specified more than once: {} and {}\n", words[0], words[1]);
        assert_eq!(ran.stderr, expected);
    }
    assert_eq!(home.run(["command", "list", "-o", "json"]).success().stdout.trim(), "[]");
    home.run(["command", "add", &wasm, &wasm]).success();
}

#[test]
fn invalid_component_is_refused() {
    let (home, (_folder, wasm)) = (Home::empty(), component("hello"));
    add(&home, &wasm.with_file_name("absent.wasm"), &[]).code(2);
    add(&home, &wasm.with_file_name("script.py"), &[]).code(2);
    let manifest = wasm.with_file_name("plugin.toml");
    let text = fs_err::read_to_string(&manifest).unwrap();
    fs_err::write(&manifest, "format = 1\n").unwrap();
    add(&home, &wasm, &[]).code(2);
    fs_err::remove_file(&manifest).unwrap();
    let refused = add(&home, &wasm, &[]).code(2);
    assert!(refused.stderr.contains("no manifest found for "), "{}", refused.transcript());
    fs_err::write(&manifest, text).unwrap();
    fs_err::write(&wasm, b"\0asm not a component").unwrap();
    add(&home, &wasm, &[]).code(8);
    assert_eq!(home.run(["command", "list", "-o", "json"]).success().stdout.trim(), "[]");
}
