//! The table of commands in README.md, made from `rows.toml` and the manifests.
//!
//! A row names the test that runs the command as the data scientist and the one in which it is refused; both tests
//! must exist. `KF_WRITE_README=1` updates the table.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde::Deserialize;

const BEGIN: &str = "<!-- commands: made by tests/it/rows.rs -->\n";
const END: &str = "<!-- end of commands -->\n";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rows {
    command: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    /// The real component it was tested with, or its fake.
    tested_with: String,
    /// As the data scientist: `module::test`.
    works: String,
    /// As the viewer, if there are refusals: `module::test`.
    refused: Option<String>,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn rows() -> Vec<Row> {
    toml::from_str::<Rows>(include_str!("rows.toml")).unwrap().command
}

fn manifest(name: &str) -> toml::Table {
    let path = root().join("plugins").join(name).join("plugin.toml");
    fs_err::read_to_string(path).unwrap().parse().unwrap()
}

/// The rights a manifest requires, as `verbs resources`.
fn rights(name: &str) -> String {
    let manifest = manifest(name);
    let rules = manifest.get("permissions").and_then(|p| p.get("kubernetes")).and_then(toml::Value::as_array);
    let words = |rule: &toml::Value, field: &str| -> Vec<String> {
        let list = rule.get(field).and_then(toml::Value::as_array).into_iter().flatten();
        list.filter_map(|word| word.as_str().map(str::to_owned)).collect()
    };
    let mut needed: Vec<String> = Vec::new();
    let mut optional = 0;
    for rule in rules.into_iter().flatten() {
        if rule.get("optional").and_then(toml::Value::as_bool) == Some(true) {
            optional += 1;
            continue;
        }
        needed.push(format!("{} {}", words(rule, "verbs").join(", "), words(rule, "resources").join(", ")));
    }
    if manifest.get("permissions").and_then(|p| p.get("selection")).is_some() {
        needed.push("choose the namespace".to_owned());
    }
    if manifest.get("permissions").and_then(|p| p.get("terminal")).is_some() {
        needed.push("use the terminal".to_owned());
    }
    let headers = manifest.get("permissions").map(|permissions| words(permissions, "headers"));
    needed.extend(headers.filter(|names| !names.is_empty()).map(|names| format!("send {}", names.join(","))));
    match (needed.is_empty(), optional) {
        (true, 0) => "none".to_owned(),
        (true, more) => format!("{more} optional"),
        (false, 0) => needed.join("; "),
        (false, more) => format!("{}; {more} optional", needed.join("; ")),
    }
}

/// Each right as group, resource, verb and scope.
fn expanded(manifest: &toml::Table, section: &str) -> BTreeSet<[String; 4]> {
    let rules = manifest.get(section).and_then(|section| section.get("kubernetes"));
    let mut rights = BTreeSet::new();
    for rule in rules.and_then(toml::Value::as_array).into_iter().flatten() {
        let words = |field: &str| rule[field].as_array().unwrap().iter().map(|word| word.as_str().unwrap());
        let scope = rule.get("scope").and_then(toml::Value::as_str).unwrap_or("environment");
        for group in words("apiGroups") {
            for resource in words("resources") {
                rights.extend(words("verbs").map(|verb| [group, resource, verb, scope].map(str::to_owned)));
            }
        }
    }
    rights
}

#[test]
fn ceilings_match_manifests() {
    for Row { name, .. } in rows() {
        let path = root().join("registry-index/plugins").join(format!("{name}.toml"));
        let reviewed: toml::Table = fs_err::read_to_string(path).unwrap().parse().unwrap();
        let manifest = manifest(&name);
        assert_eq!(expanded(&reviewed, "ceiling"), expanded(&manifest, "permissions"), "{name}");
        for switch in ["selection", "terminal"] {
            let of = |table: &toml::Table, section: &str| table.get(section)?.get(switch).cloned();
            assert_eq!(of(&reviewed, "ceiling"), of(&manifest, "permissions"), "{name}: {switch}");
        }
        assert_eq!(reviewed["summary"], manifest["plugin"]["summary"], "{name}");
    }
}

fn table() -> String {
    let mut table =
        String::from("| command | description | tested with | required rights |\n|---|---|---|---|\n");
    for row in rows() {
        let about = manifest(&row.name)["plugin"]["summary"].as_str().unwrap().to_owned();
        let Row { name, tested_with, .. } = &row;
        table.push_str(&format!("| `{name}` | {about} | {tested_with} | {} |\n", rights(name)));
    }
    table
}

#[test]
fn every_command_has_a_row() {
    let named: BTreeSet<String> = rows().into_iter().map(|row| row.name).collect();
    let folders = fs_err::read_dir(root().join("plugins")).unwrap().map(|entry| entry.unwrap().path());
    let existing: BTreeSet<String> = folders
        .filter(|folder| folder.join("plugin.toml").is_file())
        .map(|folder| folder.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    assert_eq!(named, existing);
}

#[test]
fn tests_named_in_rows_exist() {
    for row in rows() {
        for proof in std::iter::once(&row.works).chain(&row.refused) {
            let (module, test) = proof.rsplit_once("::").unwrap();
            let path = root().join("tests/it").join(module.replace("::", "/")).with_extension("rs");
            let source = fs_err::read_to_string(&path).unwrap();
            assert!(source.contains(&format!("fn {test}(")), "{}: test {proof} does not exist", row.name);
        }
    }
}

#[test]
fn readme_has_command_table() {
    let path = root().join("README.md");
    let readme = fs_err::read_to_string(&path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (existing, after) = rest.split_once(END).unwrap();
    let wanted = format!("\n{}\n", table());
    if existing == wanted {
        return;
    }
    if std::env::var_os("KF_WRITE_README").is_some() {
        fs_err::write(&path, format!("{before}{BEGIN}{wanted}{END}{after}")).unwrap();
        return;
    }
    panic!(
        "the table in README.md is outdated; update it: KF_WRITE_README=1 cargo xtask test readme_has_command_table"
    );
}
