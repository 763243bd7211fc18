//! The format of `kf.lock`, and what is refused.

use std::os::unix::fs::{PermissionsExt, symlink};

use kf_core::{Kind, Permissions};
use kf_registry::index::Origin;
use kf_registry::parts::{Part, PartKind};
use proptest::prelude::*;
use proptest::sample::subsequence;
use serde_json::json;

use super::rights::lines as lockfile_lines;
use super::*;
use crate::rights::Rights;

fn rights(kubernetes: &[serde_json::Value]) -> (Permissions, Rights) {
    let permissions =
        Permissions { kubernetes: kubernetes.to_vec(), terminal: true, ..Permissions::default() };
    let rights = Rights::parse(&permissions).unwrap();
    (permissions, rights)
}

fn entry(version: &str, owner: &str, kubernetes: &[serde_json::Value]) -> Entry {
    let (permissions, rights) = rights(kubernetes);
    let parts = [PartKind::Component, PartKind::Manifest, PartKind::Commands];
    let parts = parts.map(|kind| Part::of(kind, format!("{version} {}", kind.file_name()).as_bytes()));
    let origin = Origin::Registry {
        registry: RegistryId::parse("team").unwrap(),
        owner: AuthorId::parse(owner).unwrap(),
        keyids: vec!["b".repeat(64), "a".repeat(64)],
        snapshot: 7,
    };
    let paths = kf_core::tree::PathArguments {
        files: ["--file".to_owned()].into(),
        directories: ["word 1".to_owned()].into(),
    };
    let parts = Parts::try_from(parts.to_vec()).unwrap();
    Entry::new(&version.parse().unwrap(), &origin, &parts, &permissions, &rights, &paths).unwrap()
}

fn lock(commands: impl IntoIterator<Item = (String, Entry)>) -> Lockfile {
    let root_sha256 = Digest::of(b"root");
    Lockfile {
        registries: [(RegistryId::parse("team").unwrap(), PinnedRegistry { root_sha256 })].into(),
        commands: commands.into_iter().map(|(name, it)| (PluginName::parse(name).unwrap(), it)).collect(),
        ..Lockfile::default()
    }
}

fn example() -> Lockfile {
    let rules = [
        json!({"apiGroups": ["trainer.kubeflow.org"], "resources": ["trainjobs", "trainjobs/status"], "verbs": ["patch", "get"]}),
        json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"], "resourceNames": ["ca"], "data": true}),
        json!({"apiGroups": [""], "resources": ["namespaces"], "verbs": ["get"], "scope": "cluster"}),
    ];
    lock([("train".to_owned(), entry("1.2.0", "alice", &rules))])
}

#[test]
fn file_has_one_right_a_line() {
    let text = example().to_text().unwrap();
    let [component, manifest, commands] = ["plugin.wasm", "plugin.toml", "command.json"]
        .map(|file| Digest::of(format!("1.2.0 {file}").as_bytes()));
    let consent = example().commands.values().next().unwrap().consent;
    let (root, a, b) = (Digest::of(b"root"), "a".repeat(64), "b".repeat(64));
    let expected = format!(
        r#"# Written by `kf command lock`. `kf command add --locked` adds exactly these commands with these rights.
format = 1

[registries.team]
root_sha256 = "{root}"

[commands.train]
version = "1.2.0"
registry = "team"
owner = "alice"
keyids = [
    "{a}",
    "{b}",
]
consent = "{consent}"
rights = [
    "directory: word 1",
    "file: --file",
    "namespaces in the whole cluster: get",
    "secrets named ca: get with data, list with data",
    "terminal: programs in pods",
    "trainjobs.trainer.kubeflow.org/status: get, patch",
    "trainjobs.trainer.kubeflow.org: get, patch",
]

[[commands.train.parts]]
kind = "component"
sha256 = "{component}"
length = 17

[[commands.train.parts]]
kind = "manifest"
sha256 = "{manifest}"
length = 17

[[commands.train.parts]]
kind = "commands"
sha256 = "{commands}"
length = 18
"#
    );
    assert_eq!(text, expected);
}

#[test]
fn invalid_file_is_refused() {
    let text = example().to_text().unwrap();
    let parse = |text: &str| Lockfile::parse("kf.lock", text);
    assert_eq!(parse(&text).unwrap(), example());
    let cases = [
        ("an unknown field", text.replacen("version =", "command = \"curl\"\nversion =", 1)),
        (
            "an unknown field of the file",
            text.replacen("format = 1", "format = 1\nregistry = \"https://evil\"", 1),
        ),
        (
            "an unknown field of a registry",
            text.replacen("root_sha256 =", "url = \"https://evil\"\nroot_sha256 =", 1),
        ),
        ("no format", text.replacen("format = 1\n", "", 1)),
        ("another format", text.replacen("format = 1", "format = 0", 1)),
        ("no root", text.replacen("[registries.team]", "[registries.other]", 1)),
        ("a path as name", text.replacen("[commands.train]", "[commands.\"../train\"]", 1)),
        ("a reserved name", text.replacen("commands.train", "commands.registry", 4)),
        ("a path as registry", text.replacen("registry = \"team\"", "registry = \"../team\"", 1)),
        ("a path as owner", text.replacen("\"alice\"", "\"../../alice\"", 1)),
        ("a range", text.replacen("\"1.2.0\"", "\"^1.2\"", 1)),
        ("a short digest", text.replacen("consent = \"", "consent = \"0", 1)),
        ("a negative length", text.replacen("length = 17", "length = -1", 1)),
        ("no component", text.replacen("kind = \"component\"", "kind = \"manifest\"", 1)),
        ("an unknown part", text.replacen("kind = \"component\"", "kind = \"binary\"", 1)),
        ("a command twice", format!("{text}\n[commands.train]\n")),
        ("deep nesting", format!("{text}\nx = {}", "[".repeat(200_000))),
        ("no TOML", "\0".to_owned()),
    ];
    for (what, text) in cases {
        let error = parse(&text).expect_err(what);
        assert!(matches!(error, FormatError::Invalid { .. }), "{what}: {error}");
        assert!(!error.to_string().contains('\n'), "{what}: {error}");
    }
    let newer = parse(&text.replacen("format = 1", "format = 2\nmore = 1", 1)).unwrap_err();
    assert!(matches!(newer, FormatError::Newer { found: 2, .. }), "{newer}");
    let many = lock((0..=MAX_COMMANDS).map(|n| (format!("c{n}"), entry("1.0.0", "alice", &[]))));
    assert!(parse(&many.to_text().unwrap()).unwrap_err().to_string().contains("more than 1000 commands"));
}

#[test]
fn nearest_file_is_found_upwards() {
    let root = tempfile::tempdir().unwrap();
    let below = root.path().join("a/b");
    fs_err::create_dir_all(&below).unwrap();
    assert!(find(&below).unwrap().is_none());
    write(&root.path().join(FILE_NAME), &example()).unwrap();
    assert_eq!(find(&below).unwrap().unwrap().path, root.path().join(FILE_NAME));
    write(&below.join(FILE_NAME), &Lockfile::default()).unwrap();
    let found = find(&below).unwrap().unwrap();
    assert_eq!((found.path, found.lock), (below.join(FILE_NAME), Lockfile::default()));
}

#[test]
fn file_that_others_can_write_is_refused_unless_named() {
    let root = tempfile::tempdir().unwrap();
    let (path, below) = (root.path().join(FILE_NAME), root.path().join("project"));
    fs_err::create_dir(&below).unwrap();
    write(&path, &example()).unwrap();
    let mode = |path: &Path, mode| fs_err::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&path, 0o666);
    let error = find(&below).unwrap_err();
    assert_eq!(error.kind(), Kind::Untrusted);
    assert!(error.message().ends_with("other users can write to it (mode 0666)"), "{error}");
    assert_eq!(
        error.first_hint().unwrap(),
        format!("if you trust it, name it: --lockfile {}", path.display())
    );
    assert_eq!(read(&path).unwrap().unwrap().lock, example());
    mode(&path, 0o644);
    // In a folder where others can put another file in its place.
    mode(root.path(), 0o777);
    assert_eq!(find(&below).unwrap_err().kind(), Kind::Untrusted);
    mode(root.path(), 0o700);
    find(&below).unwrap().unwrap();
}

#[test]
fn link_folder_pipe_and_large_file_are_refused() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join(FILE_NAME);
    let real = root.path().join("real.toml");
    write(&real, &example()).unwrap();
    symlink(&real, &path).unwrap();
    assert_eq!(find(root.path()).unwrap_err().kind(), Kind::Untrusted);
    assert_eq!(read(&path).unwrap_err().kind(), Kind::Untrusted);
    fs_err::remove_file(&path).unwrap();
    fs_err::create_dir(&path).unwrap();
    assert_eq!(find(root.path()).unwrap_err().kind(), Kind::Untrusted);
    fs_err::remove_dir(&path).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    assert_eq!(find(root.path()).unwrap_err().kind(), Kind::Untrusted);
    fs_err::remove_file(&path).unwrap();
    fs_err::File::create(&path).unwrap().set_len(1 << 40).unwrap();
    let error = find(root.path()).unwrap_err();
    assert!(error.message().contains("larger than"), "{error}");
}

#[test]
fn every_difference_of_an_offered_release_is_named() {
    let pinned = entry("1.2.0", "alice", &[]);
    let offered = |entry: &Entry, keyids: Vec<String>| kf_registry::index::Resolved {
        name: PluginName::parse("train").unwrap(),
        version: entry.version.clone(),
        abi: Version::new(0, 1, 0),
        summary: String::new(),
        origin: Origin::Registry {
            registry: entry.registry.clone(),
            owner: entry.owner.clone(),
            keyids,
            snapshot: 8,
        },
        ceiling: Permissions::default(),
        program: kf_registry::parts::Program::Component,
        parts: entry.parts.clone(),
        yanked: None,
    };
    let keys = || pinned.keyids.iter().rev().cloned().collect::<Vec<_>>();
    assert_eq!(pinned.offered_differs(&offered(&pinned, keys())), [""; 0]);
    let others = pinned.offered_differs(&offered(&pinned, vec!["c".repeat(64)]));
    assert_eq!(others, ["keys of alice: other key ids are pinned"]);
    let other = pinned.offered_differs(&offered(&entry("1.3.0", "bob", &[]), keys()));
    assert_eq!(other.len(), 5, "{other:?}");
    assert_eq!(other[..2], ["version: 1.3.0, pinned 1.2.0", "owner: bob, pinned alice"]);
    for (line, file) in other[2..].iter().zip(["plugin.wasm", "plugin.toml", "command.json"]) {
        assert!(line.starts_with(&format!("{file}: sha256 ")), "{line}");
    }
}

#[test]
fn every_difference_of_rights_is_named() {
    let read = json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]});
    let more = json!({"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]});
    let pinned = entry("1.2.0", "alice", std::slice::from_ref(&read));
    let differ = |kubernetes: &[serde_json::Value], consent: Digest| {
        let paths = kf_core::tree::PathArguments {
            files: ["--file".to_owned()].into(),
            directories: ["word 1".to_owned()].into(),
        };
        pinned.rights_differ(consent, &rights(kubernetes).1, &paths)
    };
    assert_eq!(differ(std::slice::from_ref(&read), pinned.consent), None);
    assert_eq!(differ(&[read.clone(), more], pinned.consent).unwrap(), "rights: + secrets: get");
    assert_eq!(differ(&[], pinned.consent).unwrap(), "rights: - pods: get");
    // The lines for review are the same, and the digest is not.
    assert!(differ(&[read], Digest::of(b"other")).unwrap().starts_with("rights: their digest is "));
}

fn rules() -> impl Strategy<Value = Vec<serde_json::Value>> {
    let rule = (
        subsequence(vec!["", "batch", "trainer.kubeflow.org"], 1..=2),
        subsequence(vec!["pods", "pods/log", "jobs", "secrets"], 1..=3),
        subsequence(vec!["get", "list", "create", "delete"], 1..=4),
        subsequence(vec!["ca", "a.b-c", "x:y"], 0..=2),
        any::<bool>(),
    );
    let rule = rule.prop_map(|(groups, resources, verbs, names, cluster)| {
        json!({"apiGroups": groups, "resources": resources, "verbs": verbs, "resourceNames": names,
               "scope": if cluster { "cluster" } else { "environment" }})
    });
    proptest::collection::vec(rule, 0..4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn written_file_reads_back_and_ignores_order(
        commands in proptest::collection::vec(("[a-z]{2,8}", 0u64..9, rules()), 0..6),
    ) {
        let entries = |reversed: bool| {
            let all = commands.iter().map(|(name, minor, rules)| {
                let mut rules = rules.clone();
                if reversed { rules.reverse() }
                (format!("x{name}"), entry(&format!("1.{minor}.0"), "alice", &rules))
            });
            // The last of several with the same name counts, so names are unique here.
            all.collect::<BTreeMap<_, _>>()
        };
        let (forward, backward) = (lock(entries(false)), lock(entries(true).into_iter().rev()));
        let text = forward.to_text().unwrap();
        prop_assert_eq!(&Lockfile::parse("kf.lock", &text).unwrap(), &forward);
        // The order of a manifest's rules is no change of rights.
        let lines = |lock: &Lockfile| lock.commands.values().map(|it| it.rights.clone()).collect::<Vec<_>>();
        prop_assert_eq!(lines(&forward), lines(&backward));
    }

    #[test]
    fn lines_are_equal_only_for_equal_rights(one in rules(), other in rules()) {
        let (one, other) = (rights(&one).1, rights(&other).1);
        let none = kf_core::tree::PathArguments::default();
        prop_assert_eq!(
            lockfile_lines(&one, &none) == lockfile_lines(&other, &none),
            one.rules.digest() == other.rules.digest()
        );
    }

    #[test]
    fn arbitrary_text_is_parsed_or_refused(text in "\\PC{0,200}") {
        if let Ok(lock) = Lockfile::parse("kf.lock", &text) {
            prop_assert_eq!(lock, Lockfile::default());
        }
    }
}
