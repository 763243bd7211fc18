//! Who may know whom, as CONTRIBUTING.md draws it.
//!
//! Cargo would happily build any arrow between the packages, so this reads the manifests and the
//! sources, and fails on one that is not in the picture.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The packages a manifest depends on outside tests.
fn dependencies(manifest: &Path) -> BTreeSet<String> {
    let text = fs_err::read_to_string(manifest).unwrap();
    let table: toml::Table = text.parse().unwrap();
    let mut names = BTreeSet::new();
    let mut take = |table: Option<&toml::Value>| {
        names.extend(table.and_then(toml::Value::as_table).into_iter().flat_map(|t| t.keys().cloned()));
    };
    take(table.get("dependencies"));
    for target in table.get("target").and_then(toml::Value::as_table).into_iter().flat_map(|t| t.values()) {
        take(target.get("dependencies"));
    }
    names
}

fn rust_sources(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs_err::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(rust_sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found
}

#[test]
fn packages_know_only_whom_they_may() {
    let may_know = BTreeMap::from([
        ("core", vec![]),
        ("home", vec!["kf-core"]),
        ("registry", vec!["kf-core", "kf-home"]),
        ("cluster", vec!["kf-core", "kf-home"]),
        ("sandbox", vec!["kf-core"]),
        ("command", vec!["kf-cluster", "kf-core", "kf-home", "kf-registry", "kf-sandbox"]),
        ("cli", vec!["kf-cluster", "kf-command", "kf-core", "kf-home", "kf-registry", "kf-sandbox"]),
    ]);
    for (folder, allowed) in may_know {
        let known = dependencies(&root().join("kf-host").join(folder).join("Cargo.toml"));
        let ours: Vec<_> = known.iter().filter(|name| name.starts_with("kf-")).collect();
        assert_eq!(ours, allowed, "kf-host/{folder}");
    }
}

/// What cargo compiles for a package outside tests, its dependencies' dependencies too.
fn compiled_for(package: &str) -> BTreeSet<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let tree = std::process::Command::new(cargo)
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package"])
        .arg(package)
        .current_dir(root())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&tree.stderr);
    assert!(tree.status.success(), "cargo tree --package {package}: {stderr}");
    let text = String::from_utf8(tree.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

#[test]
fn packages_compile_without_what_they_must_not_know() {
    let strangers = BTreeMap::from([
        ("kf-core", vec!["tokio", "hyper", "rustls", "wasmtime", "kube", "k8s-openapi", "clap", "fs-err"]),
        ("kf-home", vec!["tokio", "hyper", "rustls", "wasmtime", "kube", "clap"]),
        ("kf-registry", vec!["kube", "k8s-openapi", "wasmtime", "wasmparser", "clap"]),
        ("kf-cluster", vec!["wasmtime", "wasmtime-wasi", "wasmparser", "clap", "sigstore-tuf"]),
        ("kf-sandbox", vec!["kube", "k8s-openapi", "hyper", "rustls", "clap", "sigstore-tuf"]),
        ("kf-command", vec!["clap"]),
    ]);
    for (package, strangers) in strangers {
        let compiled = compiled_for(package);
        assert!(compiled.contains(package), "cargo tree of {package} is empty");
        let known: Vec<_> = strangers.into_iter().filter(|name| compiled.contains(*name)).collect();
        assert!(known.is_empty(), "{package} is compiled with {known:?}");
    }
}

#[test]
fn the_top_level_holds_what_a_person_looks_for_and_nothing_else() {
    let expected = [
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "Cargo.lock",
        "Cargo.toml",
        "LICENSE",
        "README.md",
        "SECURITY.md",
        "clippy.toml",
        "deny.toml",
        "kf-host",
        "kf-plugin-sdk",
        "plugins",
        "registry-index",
        "rust-toolchain.toml",
        "rustfmt.toml",
        "target",
        "tests",
    ];
    for entry in fs_err::read_dir(root()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(name.starts_with('.') || expected.contains(&name.as_str()), "unexpected `{name}` at the top");
    }
}

/// A threat whose test was renamed or taken away is one that nobody tries any more.
#[test]
fn what_security_md_says_is_tried_is_tried() {
    let text = fs_err::read_to_string(root().join("SECURITY.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 20, "the table is gone");
    let sources: String = ["kf-host", "tests"]
        .iter()
        .flat_map(|folder| rust_sources(&root().join(folder)))
        .map(|path| fs_err::read_to_string(path).unwrap())
        .collect();
    for row in rows {
        let tried = row.trim_end_matches(" |").rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = tried.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "nothing tries: {row}");
        for name in names {
            assert!(sources.contains(&format!("fn {name}(")), "there is no test `{name}`");
        }
    }
}
