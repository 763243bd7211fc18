//! Checks of the repository itself: the dependencies between packages as CONTRIBUTING.md draws them, circular
//! imports, the top-level files, and the tests that SECURITY.md names.
//!
//! Cargo allows any dependency between the packages, so this reads the manifests and the sources.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The dependencies of a manifest without dev-dependencies.
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
fn packages_depend_only_on_allowed_packages() {
    let allowed_dependencies = BTreeMap::from([
        ("core", vec![]),
        ("home", vec!["kf-core"]),
        ("registry", vec!["kf-core", "kf-home"]),
        ("cluster", vec!["kf-core", "kf-home"]),
        ("sandbox", vec!["kf-core"]),
        ("command", vec!["kf-cluster", "kf-core", "kf-home", "kf-registry", "kf-sandbox"]),
        ("site", vec!["kf-command", "kf-core", "kf-home", "kf-registry"]),
        ("built-in", vec!["kf-registry"]),
        (
            "cli",
            vec![
                "kf-built-in",
                "kf-cluster",
                "kf-command",
                "kf-core",
                "kf-home",
                "kf-registry",
                "kf-sandbox",
                "kf-site",
            ],
        ),
    ]);
    for (folder, allowed) in allowed_dependencies {
        let known = dependencies(&root().join("kf-host").join(folder).join("Cargo.toml"));
        let ours: Vec<_> = known.iter().filter(|name| name.starts_with("kf-")).collect();
        assert_eq!(ours, allowed, "kf-host/{folder}");
    }
}

/// The packages that cargo compiles for a package, with transitive dependencies and without dev-dependencies.
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
fn packages_do_not_compile_forbidden_dependencies() {
    let forbidden = BTreeMap::from([
        ("kf-core", vec!["tokio", "hyper", "rustls", "wasmtime", "kube", "k8s-openapi", "clap", "fs-err"]),
        ("kf-home", vec!["tokio", "hyper", "rustls", "wasmtime", "kube", "clap"]),
        ("kf-registry", vec!["kube", "k8s-openapi", "wasmtime", "wasmparser", "clap"]),
        ("kf-cluster", vec!["wasmtime", "wasmtime-wasi", "wasmparser", "clap", "sigstore-tuf"]),
        ("kf-sandbox", vec!["kube", "k8s-openapi", "hyper", "rustls", "clap", "sigstore-tuf"]),
        ("kf-command", vec!["clap"]),
        ("kf-site", vec!["clap"]),
    ]);
    for (package, names) in forbidden {
        let compiled = compiled_for(package);
        assert!(compiled.contains(package), "cargo tree of {package} is empty");
        let known: Vec<_> = names.into_iter().filter(|name| compiled.contains(*name)).collect();
        assert!(known.is_empty(), "{package} compiles {known:?}");
    }
}

/// The source files of a binary by module path, such as `commands::command::add`.
fn modules(src: &Path) -> BTreeMap<String, PathBuf> {
    let module = |file: &Path| {
        let relative = file.strip_prefix(src).unwrap().with_extension("");
        let words = relative.iter().map(|word| word.to_str().unwrap()).filter(|word| *word != "mod");
        words.collect::<Vec<_>>().join("::")
    };
    rust_sources(src).into_iter().map(|file| (module(&file), file)).collect()
}

/// The paths of its own package that a source file names, with braces expanded: `crate::…`, `super::…`, and in a
/// `mod.rs` those that begin with a child module. Comments and tests are ignored.
fn named_paths(source: &str, module: &str, below: &[&str]) -> BTreeSet<String> {
    let code: Vec<&str> = source.lines().take_while(|line| !line.contains("#[cfg(test)]")).collect();
    let code = code.iter().filter(|line| !line.trim_start().starts_with("//"));
    let text = code.copied().collect::<Vec<_>>().join("\n");
    let parent = module.rsplit_once("::").map_or("", |(parent, _)| parent);
    let own = below.iter().map(|child| (format!("{child}::"), format!("{module}::{child}")));
    let starts = [("crate::".to_owned(), String::new()), ("super::".to_owned(), parent.to_owned())];
    let mut paths = BTreeSet::new();
    for (start, base) in starts.into_iter().chain(own) {
        for (at, _) in text.match_indices(&start) {
            if text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let rest = &text[at + start.len()..];
            let head: String =
                rest.chars().take_while(|c| c.is_alphanumeric() || "_:".contains(*c)).collect();
            let list = rest[head.len()..].strip_prefix('{').and_then(|list| list.split('}').next());
            let tails =
                list.unwrap_or_default().split(',').map(|word| word.trim().split([' ', ':', '{']).next());
            for tail in tails.map(Option::unwrap_or_default) {
                let words = [base.as_str(), head.trim_end_matches(':'), tail];
                let words = words.into_iter().filter(|word| !word.is_empty() && *word != "self");
                paths.insert(words.collect::<Vec<_>>().join("::"));
            }
        }
    }
    paths
}

/// The files that each file of a binary imports from, except the `mod.rs` of its own folder.
fn imports(src: &Path) -> BTreeMap<PathBuf, BTreeSet<PathBuf>> {
    let modules = modules(src);
    let file_of = |path: &str| {
        let words: Vec<&str> = path.split("::").collect();
        (1..=words.len()).rev().find_map(|length| modules.get(&words[..length].join("::")))
    };
    let mut graph = BTreeMap::new();
    for (module, file) in &modules {
        let source = fs_err::read_to_string(file).unwrap();
        let below: Vec<&str> = modules
            .keys()
            .filter_map(|other| other.strip_prefix(module.as_str())?.strip_prefix("::"))
            .filter(|child| !child.contains("::"))
            .collect();
        let below = if file.ends_with("mod.rs") { below } else { Vec::new() };
        let own = file.with_file_name("mod.rs");
        let named = named_paths(&source, module, &below);
        let others =
            named.iter().filter_map(|path| file_of(path)).filter(|other| *other != file && **other != own);
        graph.insert(file.clone(), others.cloned().collect());
    }
    graph
}

/// A circular import: the files from one back to itself.
fn cycle(graph: &BTreeMap<PathBuf, BTreeSet<PathBuf>>) -> Option<Vec<PathBuf>> {
    fn walk(
        graph: &BTreeMap<PathBuf, BTreeSet<PathBuf>>,
        way: &mut Vec<PathBuf>,
        done: &mut BTreeSet<PathBuf>,
    ) -> Option<Vec<PathBuf>> {
        let file = way.last()?.clone();
        for next in graph.get(&file).into_iter().flatten() {
            if let Some(at) = way.iter().position(|earlier| earlier == next) {
                let mut found = way[at..].to_vec();
                found.push(next.clone());
                return Some(found);
            }
            if !done.contains(next) {
                way.push(next.clone());
                if let Some(found) = walk(graph, way, done) {
                    return Some(found);
                }
                way.pop();
            }
        }
        done.insert(file);
        None
    }
    let mut done = BTreeSet::new();
    graph.keys().find_map(|file| walk(graph, &mut vec![file.clone()], &mut done))
}

#[test]
fn cli_files_have_no_circular_imports() {
    let graph = imports(&root().join("kf-host/cli/src"));
    assert!(graph.values().map(BTreeSet::len).sum::<usize>() > 50, "the imports were not read");
    if let Some(cycle) = cycle(&graph) {
        let path: Vec<_> = cycle.iter().map(|file| file.display().to_string()).collect();
        panic!("{}", path.join("\n  → "));
    }
}

#[test]
fn top_level_has_only_expected_entries() {
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
        assert!(
            name.starts_with('.') || expected.contains(&name.as_str()),
            "unexpected top-level entry `{name}`"
        );
    }
}

/// If a test is renamed or removed, its threat in SECURITY.md is no longer tested.
#[test]
fn tests_named_in_security_md_exist() {
    let text = fs_err::read_to_string(root().join("SECURITY.md")).unwrap();
    let rows: Vec<&str> = text.lines().filter(|line| line.starts_with('|')).skip(2).collect();
    assert!(rows.len() > 20, "the table of threats was not found");
    let sources: String = ["kf-host", "tests"]
        .iter()
        .flat_map(|folder| rust_sources(&root().join(folder)))
        .map(|path| fs_err::read_to_string(path).unwrap())
        .collect();
    for row in rows {
        let tried = row.trim_end_matches(" |").rsplit('|').next().unwrap_or_default();
        let names: Vec<&str> = tried.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test is named in: {row}");
        for name in names {
            assert!(
                sources.contains(&format!("fn {name}(")),
                "SECURITY.md names test `{name}`, which does not exist"
            );
        }
    }
}

/// The machine code of guests runs in kf's own process, so its addresses must not be predictable.
#[test]
fn kf_is_static_and_loads_at_any_address() {
    use object::read::elf::{ElfFile64, FileHeader as _, ProgramHeader as _};

    let data = fs_err::read(crate::common::kf_program()).unwrap();
    let file = ElfFile64::<object::Endianness>::parse(&*data).unwrap();
    let endian = file.endian();
    assert_eq!(file.elf_header().e_type(endian), object::elf::ET_DYN, "not position-independent");
    let loaded_by_another =
        file.elf_program_headers().iter().any(|header| header.p_type(endian) == object::elf::PT_INTERP);
    assert!(!loaded_by_another, "not static");
}
