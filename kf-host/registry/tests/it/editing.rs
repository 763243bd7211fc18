//! Edits of the reviewed text: what an editor would change, and nothing else.

use kf_core::{AuthorId, Digest};
use kf_registry::Error;
use kf_registry::publish::{FirstRoot, PublicKey, RootDraft, SigningKey, TopRole};
use kf_registry::source::edit::{self, Delegation, Edit};
use kf_registry::source::{self, Source};
use kf_registry::yank::Yank;
use semver::Version;

use crate::fixture::{Fixture, name, start, tree};

fn edit(fixture: &Fixture) -> Edit {
    Edit::open(&fixture.path("source")).unwrap()
}

fn text(fixture: &Fixture, file: &str) -> String {
    fs_err::read_to_string(fixture.path("source").join(file)).unwrap()
}

fn delegation(author: &str) -> Delegation {
    Delegation {
        author: AuthorId::parse(author).unwrap(),
        contact: None,
        keys: Vec::new(),
        threshold: None,
        plugins: Vec::new(),
        manifests: Vec::new(),
        transfer: false,
    }
}

fn manifest(plugin: &str) -> kf_core::manifest::Manifest {
    kf_core::manifest::Manifest::parse(&format!(
        "format = 1\n[plugin]\nname = \"{plugin}\"\nversion = \"0.1.0\"\nabi = \"0.1.0\"\nsummary = \"A summary\"\n\
         license = \"MIT\"\n[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"list\"]\n"
    ))
    .unwrap()
}

#[test]
fn yank_and_block_keep_comments_and_are_undone() {
    let fixture = Fixture::new();
    fixture.plugin_toml(
        "hello",
        "alice",
        "# Reviewed in spring.\n[[ceiling.kubernetes]] # pods\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"get\"]\n",
    );
    let before = text(&fixture, "plugins/hello.toml");
    let (version, digest) = (Version::new(0, 1, 0), Digest::of(b"harmful"));
    let mut yanked = edit(&fixture);
    yanked.yank(&name("hello"), &version, None).unwrap();
    yanked.block(&name("hello"), digest, "sends \"names\"").unwrap();
    let files = yanked.write().unwrap();
    assert_eq!(files, [fixture.path("source/plugins/hello.toml")]);
    let after = text(&fixture, "plugins/hello.toml");
    assert!(before.lines().all(|line| after.contains(line)), "{after}");
    let plugin = &Source::read(&fixture.path("source")).unwrap().plugins[&name("hello")];
    assert_eq!(plugin.yanked, [Yank::from(version.clone())]);
    assert_eq!((plugin.blocked[0].sha256, plugin.blocked[0].reason.as_str()), (digest, "sends \"names\""));

    let again =
        |result: kf_registry::Result<()>| assert!(matches!(result, Err(Error::Edit(_))), "{result:?}");
    again(edit(&fixture).yank(&name("hello"), &version, Some("it loses data")));
    again(edit(&fixture).block(&name("hello"), digest, "twice"));
    let mut undone = edit(&fixture);
    undone.unyank(&name("hello"), &version).unwrap();
    undone.unblock(&name("hello"), digest).unwrap();
    undone.write().unwrap();
    let plugin = &Source::read(&fixture.path("source")).unwrap().plugins[&name("hello")];
    assert!(plugin.yanked.is_empty() && plugin.blocked.is_empty());
    again(edit(&fixture).unyank(&name("hello"), &version));
    again(edit(&fixture).unblock(&name("hello"), digest));
}

#[test]
fn yank_with_reason_is_added_and_removed_in_every_form() {
    let reason = Some("it loses \"data\"");
    let plain = "yanked = [ # see the changelog\n    \"0.0.1\",\n]\n";
    let inline = "yanked = [{ version = \"0.0.1\", reason = \"old\" }]\n";
    let tables = "[[yanked]]\nversion = \"0.0.1\"\nreason = \"old\"\n";
    for before in ["", plain, inline, tables] {
        let fixture = Fixture::new();
        fixture.plugin_toml("hello", "alice", before);
        let yanked = || Source::read(&fixture.path("source")).unwrap().plugins[&name("hello")].yanked.clone();
        let old = yanked();
        let (first, second) = (Version::new(0, 1, 0), Version::new(0, 2, 0));
        let mut added = edit(&fixture);
        added.yank(&name("hello"), &first, reason).unwrap();
        added.yank(&name("hello"), &second, None).unwrap();
        added.write().unwrap();
        let new = [
            Yank { version: first.clone(), reason: reason.map(str::to_owned) },
            Yank { version: second.clone(), reason: None },
        ];
        assert_eq!(yanked(), [old.as_slice(), &new].concat(), "{before}");
        assert_eq!(text(&fixture, "plugins/hello.toml").contains('#'), before.contains('#'));
        for again in [None, reason] {
            let refused = edit(&fixture).yank(&name("hello"), &first, again).unwrap_err().to_string();
            assert_eq!(refused, "hello 0.1.0 is already yanked");
        }
        let mut removed = edit(&fixture);
        removed.unyank(&name("hello"), &first).unwrap();
        removed.unyank(&name("hello"), &second).unwrap();
        removed.write().unwrap();
        assert_eq!(yanked(), old, "{before}");
    }
    let fixture = Fixture::new();
    fixture.plugin_toml("hello", "alice", tables);
    let mut removed = edit(&fixture);
    removed.unyank(&name("hello"), &Version::new(0, 0, 1)).unwrap();
    removed.write().unwrap();
    assert!(!text(&fixture, "plugins/hello.toml").contains("yanked"));
}

#[test]
fn malformed_yank_is_a_problem_of_its_file() {
    for (yanked, words) in [
        (r#"[{ reason = "it loses data" }]"#, "missing field `version`"),
        (r#"[{ version = "0.1.0" }]"#, "missing field `reason`"),
        (r#"[{ version = "0.1.0", reason = "x", until = "0.2.0" }]"#, "unknown field `until`"),
        (r#"[{ version = "0.1.0", reason = 1 }]"#, "expected a string"),
        (r#"[1]"#, "expected a version, or a version with a reason"),
        (r#"[{ version = "0.1.0", reason = "" }]"#, "must be one line"),
        (r#"[{ version = "0.1.0", reason = "a\u001b[2J" }]"#, "must be one line"),
        (r#"[{ version = "0.1.0", reason = "a\u202eb" }]"#, "must be one line"),
        (r#"[{ version = "0.1.0", reason = "a\nb" }]"#, "must be one line"),
        (r#"[{ version = "0.1.0+build", reason = "x" }]"#, "without build metadata"),
        (r#"["0.1.0", "0.1.0"]"#, "plugins/hello.toml yanks 0.1.0 twice"),
        (r#"["0.1.0", { version = "0.1.0", reason = "x" }]"#, "plugins/hello.toml yanks 0.1.0 twice"),
    ] {
        let fixture = Fixture::new();
        fixture.plugin_toml("hello", "alice", &format!("yanked = {yanked}\n"));
        let (_, problems) = source::check(&fixture.path("source")).unwrap();
        assert_eq!(problems.len(), 1, "{yanked}: {problems:?}");
        assert_eq!(problems[0].file, "plugins/hello.toml");
        let error = problems[0].error.to_string();
        assert!(error.contains(words), "{yanked}: {error}");
    }
}

#[test]
fn change_that_makes_text_invalid_writes_nothing() {
    let fixture = Fixture::new();
    let before = tree(&fixture.path("source"));
    let mut long = edit(&fixture);
    long.block(&name("hello"), Digest::of(b"x"), &"x".repeat(201)).unwrap();
    assert!(long.write().is_err());
    for reason in ["", "two\nlines", "right\u{202e}to left", "\u{1b}[2J", &"x".repeat(201)] {
        let mut yanked = edit(&fixture);
        yanked.yank(&name("hello"), &Version::new(0, 1, 0), Some(reason)).unwrap();
        let error = yanked.write().unwrap_err().to_string();
        assert!(error.contains("reason") && error.contains("must be one line"), "{reason:?}: {error}");
    }
    let mut several = edit(&fixture);
    several.delegate(&Delegation { manifests: vec![manifest("kuebctl")], ..delegation("alice") }).unwrap();
    let error = several.write().unwrap_err().to_string();
    assert!(error.contains("kuebctl can be mistaken for kubectl"), "{error}");
    let unknown = edit(&fixture).yank(&name("unknown"), &Version::new(1, 0, 0), None);
    assert!(matches!(unknown, Err(Error::UnknownInIndex(_))));
    assert_eq!(tree(&fixture.path("source")), before);
}

#[test]
fn delegate_adds_author_and_command_with_requested_rights_as_ceiling() {
    let fixture = Fixture::new();
    let key = SigningKey::generate().unwrap().public_hex();
    let new = Delegation {
        contact: Some("carol@example.org".into()),
        keys: vec![key.clone()],
        manifests: vec![manifest("pods-top")],
        ..delegation("carol")
    };
    for incomplete in
        [Delegation { contact: None, ..new.clone() }, Delegation { keys: vec![], ..new.clone() }]
    {
        assert!(matches!(edit(&fixture).delegate(&incomplete), Err(Error::Edit(_))));
    }
    let mut added = edit(&fixture);
    added.delegate(&new).unwrap();
    added.write().unwrap();
    let source = Source::read(&fixture.path("source")).unwrap();
    assert_eq!(source.authors[&new.author].keys, [key]);
    let plugin = &source.plugins[&name("pods-top")];
    assert_eq!(plugin.owner, new.author);
    assert_eq!(plugin.ceiling.kubernetes[0]["resources"][0], "pods");
    // An existing command is not changed by a manifest.
    assert!(matches!(edit(&fixture).delegate(&new), Err(Error::Edit(_))));
}

#[test]
fn command_of_another_author_changes_owner_only_by_transfer() {
    let fixture = Fixture::new();
    let taken = Delegation { plugins: vec![name("hello")], ..delegation("bob") };
    let refused = edit(&fixture).delegate(&taken);
    assert!(matches!(refused, Err(Error::OwnedByOther { .. })), "{refused:?}");
    let mut transferred = edit(&fixture);
    transferred.delegate(&Delegation { transfer: true, ..taken }).unwrap();
    transferred.write().unwrap();
    let source = Source::read(&fixture.path("source")).unwrap();
    assert_eq!(source.plugins[&name("hello")].owner.as_str(), "bob");
    let alice = AuthorId::parse("alice").unwrap();
    assert_eq!(source.authors[&alice].plugins, [name("train")]);
}

#[test]
fn last_key_of_author_is_kept() {
    let fixture = Fixture::new();
    let (old, new) = (fixture.alice().public_hex(), SigningKey::generate().unwrap().public_hex());
    fixture.author("alice", &["hello", "train"], &[fixture.alice()]);
    let alice = AuthorId::parse("alice").unwrap();
    assert!(matches!(edit(&fixture).remove_key(&alice, &old), Err(Error::Edit(_))));
    let mut rotated = edit(&fixture);
    rotated.add_key(&alice, &new).unwrap();
    rotated.remove_key(&alice, &old).unwrap();
    rotated.write().unwrap();
    assert_eq!(Source::read(&fixture.path("source")).unwrap().authors[&alice].keys, [new]);
    // A threshold that cannot be met is refused.
    let mut two = edit(&fixture);
    two.set_threshold(&alice, 2).unwrap();
    assert!(two.write().is_err());
}

fn public(holder: &str) -> PublicKey {
    PublicKey { hex: SigningKey::generate().unwrap().public_hex(), holder: Some(holder.into()) }
}

#[test]
fn first_root_has_thresholds_and_holders() {
    let fixture = Fixture::new();
    let index = fixture.path("new");
    let text = edit::new_registry(&index, &kf_core::RegistryId::parse("team").unwrap()).unwrap();
    let admins = [public("bob"), public("carol"), public("dave")];
    let mut first = FirstRoot {
        root: (admins.to_vec(), 2),
        targets: (admins[..2].to_vec(), 2),
        snapshot: public("ci"),
        timestamp: public("ci"),
    };
    first.targets.1 = 3;
    let refused = RootDraft::first(&index, &first, text.expiry()).unwrap().write(start());
    assert!(refused.unwrap_err().to_string().contains("threshold"));
    assert!(!index.exists());
    first.targets.1 = 2;
    let path = RootDraft::first(&index, &first, text.expiry()).unwrap().write(start()).unwrap();
    text.write().unwrap();
    let root: serde_json::Value = serde_json::from_slice(&fs_err::read(path).unwrap()).unwrap();
    let signed = &root["signed"];
    assert_eq!((&signed["version"], &signed["roles"]["root"]["threshold"]), (&1.into(), &2.into()));
    assert_eq!(signed["x-kf-holders"].as_object().unwrap().len(), 5);
    assert_eq!(Source::read(&index).unwrap().roots.len(), 1);
    let exists = edit::new_registry(&index, &kf_core::RegistryId::parse("team").unwrap());
    assert!(matches!(exists, Err(Error::RegistryTomlExists(_))));
}

#[test]
fn next_root_is_drafted_once_and_changed_in_place() {
    let fixture = Fixture::published();
    let (source, published) = (fixture.path("source"), fixture.path("published"));
    let pinned = fixture.root();
    let next = || RootDraft::next(&source, &published, Some(&pinned)).unwrap();
    let (dave, erin) = (public("dave"), public("erin"));
    let mut draft = next();
    draft.add_key(TopRole::Root, &dave).unwrap();
    draft.write(start()).unwrap();
    let mut draft = next();
    assert!(matches!(draft.add_key(TopRole::Root, &dave), Err(Error::Edit(_))));
    draft.remove_key(TopRole::Root, &dave.hex).unwrap();
    draft.add_key(TopRole::Targets, &erin).unwrap();
    assert!(matches!(draft.remove_key(TopRole::Timestamp, &erin.hex), Err(Error::Edit(_))));
    let path = draft.write(start()).unwrap();
    assert_eq!(path, source.join("root/2.root.json"));
    let text = fs_err::read_to_string(path).unwrap();
    assert!(text.contains(&erin.hex) && !text.contains(&dave.hex), "{text}");
}

#[test]
fn text_with_problems_is_checked_as_a_whole() {
    let fixture = Fixture::new();
    fixture.write("source/plugins/broken.toml", "format = 1\nname = broken\n");
    fixture.author("bob", &["audit"], &[fixture.bob(), fixture.bob()]);
    let (_, problems) = source::check(&fixture.path("source")).unwrap();
    let files: Vec<&str> = problems.iter().map(|problem| problem.file.as_str()).collect();
    assert_eq!(files, ["plugins/broken.toml", "authors/bob.toml"]);
    assert!(Edit::open(&fixture.path("source")).is_err());
}

#[test]
fn collection_of_unknown_or_repeated_commands_is_refused() {
    for (names, words) in
        [("[]", "is empty"), ("[\"unknown\"]", "lists unknown"), ("[\"hello\", \"hello\"]", "twice")]
    {
        let fixture = Fixture::new();
        let text = text(&fixture, "registry.toml");
        fixture.write("source/registry.toml", &format!("{text}\n[collections]\ncore = {names}\n"));
        let error = Source::read(&fixture.path("source")).unwrap_err().to_string();
        assert!(error.contains("collection core") && error.contains(words), "{error}");
    }
}
