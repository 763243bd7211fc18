//! `kf registry` as admins type it, and what it refuses.

use crate::common::people::{Registry, SELECTION, manifest};
use crate::common::registry;
use crate::common::{Home, Ran};
use crate::kf_snapshot;

/// A published registry with `hello` 0.1.0.
fn published() -> Registry {
    let registry = Registry::delegated();
    registry.publish_text("first");
    registry.hand_in("key.pem", "0.1.0", "", "handed-in").success();
    registry.publish("handed-in").success();
    registry
}

/// Runs a line that must change nothing in the shared folder.
fn refused(registry: &Registry, who: &Home, line: &str) -> Ran {
    let files = || {
        let list = format!("cd {} && find . -type f | xargs sha256sum", registry.path("").display());
        String::from_utf8(std::process::Command::new("sh").args(["-c", &list]).output().unwrap().stdout)
            .unwrap()
    };
    let before = files();
    let ran = registry.run(who, line);
    assert_ne!(ran.code, Some(0), "{}", ran.transcript());
    assert_eq!(before, files(), "{}", ran.transcript());
    ran
}

#[test]
fn init_refuses_existing_registry_and_malformed_keys() {
    let registry = Registry::delegated();
    let key = "a".repeat(64);
    let init =
        |root: &str| format!("kf registry init team --index index --root-key {root} --snapshot-key {key}");
    kf_snapshot!(refused(&registry, &registry.bob, &init(&key)), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: index/registry.toml already exists
    hint: change it with `kf registry key` and `kf registry delegate`
    ");
    kf_snapshot!(refused(&registry, &registry.bob, &init("bob=ABC")), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value 'bob=ABC' for '--root-key <[HOLDER=]KEY>': invalid public key `bob=ABC`: must be 64 hexadecimal digits, or HOLDER=DIGITS
    ");
    let both =
        format!("kf registry init new --index new --root-key {key} --root-threshold 2 --snapshot-key {key}");
    kf_snapshot!(refused(&registry, &registry.bob, &both).masked(&key, "[KEY]"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid keys of role root: the threshold must be between 1 and the number of keys
    ");
    assert!(!registry.path("new").exists());
}

#[test]
fn key_of_no_admin_signs_nothing() {
    let registry = Registry::delegated();
    registry.run(&registry.bob, "kf registry stage first --index index").success();
    let public = registry.run(&registry.alice, "grep -o '[0-9a-f]\\{64\\}' index/authors/alice.toml").stdout;
    let sign = "kf registry sign first --key \"$HOME/key.pem\" --index index --passphrase-fd 3";
    kf_snapshot!(refused(&registry, &registry.alice, sign).masked(public.trim(), "[KEY]"), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: key [HOME]/key.pem is not authorized to sign any of the staged roles: root, targets
    hint: its public key is [KEY]; the root lists the keys of the admins
    ");
}

#[test]
fn sign_without_terminal_needs_digest_of_what_is_signed() {
    let registry = Registry::delegated();
    registry.run(&registry.bob, "kf registry stage first --index index").success();
    let sign =
        "kf registry sign first --key \"$HOME/key.pem\" --index index --passphrase-fd 3 --role targets";
    let ran = refused(&registry, &registry.bob, sign);
    kf_snapshot!(ran.clone().without_stdout(), @r#"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    targets version 1, expires [DATE], sha256 [DIGEST]
      + _type: "targets"
      + delegations keys [DIGEST]: {"keytype":"ed25519","keyval":{"public":"[DIGEST]"},"scheme":"ed25519"}
      + delegations roles author-alice: {"keyids":["[DIGEST]"],"name":"author-alice","paths":["plugins/hello/*/*"],"terminating":true,"threshold":1}
      + spec_version: "1.0.31"
      + targets index/plugins.json: {"hashes":{"sha256":"[DIGEST]"},"length":251}
      + index/plugins.json blocked: []
      + index/plugins.json format: 1
      + index/plugins.json plugins hello: {"ceiling":{"kubernetes":[],"selection":true},"owner":"alice","summary":"Say hello","yanked":[]}
      + index/plugins.json registry: "team"
    error: not a terminal: refusing to sign targets version 1 without confirmation
    hint: kf registry sign first --key [HOME]/key.pem --role targets --index index --accept [DIGEST]
    "#);
    let yes = refused(&registry, &registry.bob, &format!("{sign} --yes"));
    assert!(yes.stderr.contains("error: `--yes` does not accept"), "{}", yes.transcript());
}

#[test]
fn staging_against_older_registry_is_not_signed() {
    let registry = published();
    registry.run(&registry.bob, "kf registry yank hello@0.1.0 --index index").success();
    registry.run(&registry.bob, "kf registry stage old --index index").success();
    registry.publish_text("new");
    let sign = "kf registry sign old --key \"$HOME/key.pem\" --index index --passphrase-fd 3";
    kf_snapshot!(refused(&registry, &registry.bob, sign), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: old was staged against a different targets role than the one in published: stage it again
    ");
    kf_snapshot!(refused(&registry, &registry.bob, "kf registry stage again --index index"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: nothing to sign: the published registry is up to date
    ");
    assert!(!registry.path("again").exists());
}

#[test]
fn publish_needs_online_keys() {
    let registry = published();
    let publish = "kf registry publish --key \"$HOME/key.pem\" --index index --passphrase-fd 3";
    kf_snapshot!(refused(&registry, &registry.bob, publish), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: key [DIGEST] is neither a snapshot nor a timestamp key
    ");
    let none = "kf registry publish --key \"$HOME/none.pem\" --index index --passphrase-fd 3";
    kf_snapshot!(refused(&registry, &registry.bob, none), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: key [HOME]/none.pem does not exist
    ");
    registry.run(&registry.publisher, publish).success();
    let elsewhere = format!("{publish} --published elsewhere");
    kf_snapshot!(refused(&registry, &registry.publisher, &elsewhere), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no registry is published in elsewhere
    hint: kf registry publish STAGING --key FILE
    ");
    assert!(!registry.path("elsewhere").exists());
}

#[test]
fn withdrawing_unknown_version_names_published_ones() {
    let registry = published();
    for line in [
        "kf registry yank hello@0.9.0 --index index",
        "kf registry block hello@0.9.0 --reason x --index index",
        "kf registry unblock hello@0.1.0 --index index",
        "kf registry unyank hello@0.1.0 --index index",
        "kf registry yank hello --index index",
        "kf registry yank unknown@1.0.0 --index index",
    ] {
        refused(&registry, &registry.bob, line);
    }
    kf_snapshot!(refused(&registry, &registry.bob, "kf registry yank hello@0.9.0 --index index"), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: hello 0.9.0 is not published
    hint: published: 0.1.0
    ");
    kf_snapshot!(refused(&registry, &registry.bob, "kf registry yank hello --index index"), @r#"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid version "hello": expected NAME@VERSION, such as train@1.4.0
    "#);
    kf_snapshot!(refused(&registry, &registry.bob, "kf registry unblock hello@0.1.0 --index index"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: [DIGEST] is not blocked in plugins/hello.toml
    ");
}

#[test]
fn yank_with_reason_reaches_text_and_user() {
    let registry = published();
    let Registry { bob, user, .. } = &registry;
    let entry =
        |registry: &Registry| fs_err::read_to_string(registry.path("index/plugins/hello.toml")).unwrap();
    let before = entry(&registry);
    for reason in ["''", "\"$(printf 'two\\nlines')\"", "\"$(printf '\\033[2J')\""] {
        let line = format!("kf registry yank hello@0.1.0 --reason {reason} --index index");
        let ran = refused(&registry, bob, &line);
        assert_eq!(ran.code, Some(2), "{}", ran.transcript());
        assert!(
            ran.stderr.contains("reason") && ran.stderr.contains("must be one line"),
            "{}",
            ran.transcript()
        );
    }
    let yank = "kf registry yank hello@0.1.0 --reason 'it loses \"data\"' --index index";
    registry.run(bob, yank).success();
    let line = "yanked = [{ version = \"0.1.0\", reason = 'it loses \"data\"' }]";
    assert!(entry(&registry).contains(line), "{}", entry(&registry));
    kf_snapshot!(refused(&registry, bob, "kf registry yank hello@0.1.0 --index index"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is already yanked
    ");
    registry.publish_text("yanked");
    let url = format!("file://{}", registry.path("published").display());
    registry
        .run(user, &format!("kf registry add team {url} --root published/metadata/1.root.json"))
        .success();
    kf_snapshot!(registry.run(user, "kf command add hello@0.1.0 --yes"), @r#"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    hello 0.1.0 by alice ([SIZE], sha256 [DIGEST])
    warning: hello 0.1.0 was yanked by its registry: it loses "data"
    hello requests no rights: no cluster, no network, no files, no secrets.
    "#);
    registry.run(bob, "kf registry unyank hello@0.1.0 --index index").success();
    assert_eq!(entry(&registry).replace("yanked = []\n", ""), before);
}

#[test]
fn blocked_component_is_not_published_as_another_version() {
    let registry = published();
    registry.run(&registry.bob, "kf registry block hello@0.1.0 --reason harmful --index index").success();
    registry.publish_text("blocked");
    let folder = registry.alice.path().join("hello");
    fs_err::write(folder.join("plugin.toml"), manifest("0.2.0", "")).unwrap();
    let sign = "kf plugin sign \"$HOME/hello\" --index index --published published --key \"$HOME/key.pem\" --out again \
                --passphrase-fd 3";
    kf_snapshot!(refused(&registry, &registry.alice, sign), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot publish hello 0.2.0: its component is blocked: harmful
    ");
}

#[test]
fn approval_is_for_exactly_the_staged_versions() {
    let registry = published();
    let Registry { bob, carol, .. } = &registry;
    registry.hand_in("key.pem", "0.2.0", SELECTION, "one").success();
    registry.approve(bob, "one").success();
    registry.approve(carol, "one").success();
    // The same approvals beside another version.
    registry.hand_in("key.pem", "0.3.0", SELECTION, "two").success();
    registry.run(bob, "cp -r one/approvals two/approvals").success();
    assert_eq!(registry.publish("two").code, Some(8));
    // An approval by a key that is not an admin's.
    let alice =
        "kf registry accept two --approve-grants --key \"$HOME/key.pem\" --index index --passphrase-fd 3";
    kf_snapshot!(refused(&registry, &registry.alice, alice), @"
    exit: 8
    ----- stdout -----
    hello 0.3.0 by alice (sha256 [DIGEST]), since 0.1.0
      + may change which namespace later commands use
    ----- stderr -----
    warning: hello 0.3.0 may do more than before: change which namespace later commands use
    error: key [DIGEST] is not authorized to sign targets
    ");
    registry.publish("one").success();
}

#[test]
fn verify_finds_changed_and_missing_files() {
    let registry = published();
    let verify = "kf registry verify --root published/metadata/1.root.json";
    registry.run(&registry.bob, verify).success();
    registry
        .run(&registry.bob, "sed -i s/Say/say/ published/targets/plugins/hello/0.1.0/*.plugin.toml")
        .success();
    registry.run(&registry.bob, "rm published/targets/plugins/hello/0.1.0/*.plugin.wasm").success();
    kf_snapshot!(refused(&registry, &registry.bob, verify), @"
    exit: 8
    ----- stdout -----
    plugins/hello/0.1.0/plugin.toml is missing, or does not match its signed digest
    plugins/hello/0.1.0/plugin.wasm is missing, or does not match its signed digest
    ----- stderr -----
    error: 2 problems found
    ");
    kf_snapshot!(refused(&registry, &registry.bob, "kf registry verify --published none --root published/metadata/1.root.json"), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no registry is published in none
    hint: kf registry publish STAGING --key FILE
    ");
    kf_snapshot!(refused(&registry, &registry.bob, "kf registry verify --published none"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot read the root: failed to open file `registry-index/root/1.root.json`: No such file or directory (os error 2)
    hint: name the first root with --root FILE, or the index with --index DIR
    ");
}

#[test]
fn lint_reports_every_problem_with_its_file() {
    let registry = Registry::delegated();
    registry.run(&registry.bob, "kf registry lint --index index").success();
    registry.run(&registry.bob, "sed -i 's/^summary.*/summary = 3/' index/plugins/hello.toml").success();
    kf_snapshot!(refused(&registry, &registry.bob, "kf registry lint --index index"), @"
    exit: 1
    ----- stdout -----
    plugins/hello.toml:3: invalid type: integer `3`, expected a string
    ----- stderr -----
    error: 1 problem found
    ");
    kf_snapshot!(refused(&registry, &registry.bob, "kf registry lint --index index -o json"), @r#"
    exit: 1
    ----- stdout -----
    {
      "findings": [
        {
          "message": "invalid type: integer `3`, expected a string",
          "place": "plugins/hello.toml:3",
          "remedy": null
        }
      ],
      "format": 1,
      "ok": false
    }
    ----- stderr -----
    {"error":{"code":"failed","message":"1 problem found"}}
    "#);
    let first_party = registry::index().display().to_string();
    let ran = registry.run(&registry.bob, &format!("kf registry lint --index {first_party}"));
    kf_snapshot!(ran, @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    no problems found
    ");
}

#[test]
fn collection_is_added_as_a_whole() {
    let registry = Registry::delegated();
    let Registry { bob, user, .. } = &registry;
    registry.run(bob, "printf '\\n[collections]\\ncore = [\"hello\"]\\n' >> index/registry.toml").success();
    registry.publish_text("first");
    registry.hand_in("key.pem", "0.1.0", "", "handed-in").success();
    registry.publish("handed-in").success();
    registry
        .run(user, "kf registry add team \"file://$PWD/published\" --root published/metadata/1.root.json")
        .success();
    kf_snapshot!(registry.run(user, "kf command add @core"), @"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    hello 0.1.0 by alice ([SIZE], sha256 [DIGEST])
    hello requests no rights: no cluster, no network, no files, no secrets.
    ");
    kf_snapshot!(registry.run(user, "kf command add team/@core"), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello is already added
    ");
    kf_snapshot!(registry.run(user, "kf command add @unknown"), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: collection unknown not found in registry team
    hint: kf command add @core
    ");
    kf_snapshot!(registry.run(user, "kf command add @"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid collection name ``: must be 2 to 40 characters long
    ");
}

#[test]
fn mirror_is_verified_like_the_registry() {
    let registry = published();
    let Registry { bob, user, .. } = &registry;
    let add = |from: &str| {
        format!("kf registry add team \"file://$PWD/{from}\" --root published/metadata/1.root.json")
    };
    registry.run(bob, &add("published")).success();
    let mirror = registry.run(bob, "kf registry mirror team mirror").success();
    assert!(mirror.stderr.contains("1 command, 1 version; "), "{}", mirror.transcript());
    let again = registry.run(bob, "kf registry mirror team mirror").success();
    assert!(again.stderr.contains("wrote 0 files"), "{}", again.transcript());
    registry.run(user, &add("mirror")).success();
    registry.run(user, "kf command add hello").success();
    kf_snapshot!(refused(&registry, bob, "kf registry mirror team other --only unknown"), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: command unknown not found in registry team
    hint: `kf command list --available` shows what can be added
    ");
    kf_snapshot!(refused(&registry, bob, "kf registry mirror nowhere other"), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: registry nowhere is not configured
    hint: kf registry add nowhere URL --root root.json
    ");
    assert!(!registry.path("other").exists());
}

/// Delegates 520 more commands to alice, enough to split the registry.
fn grow(registry: &Registry) {
    let names: Vec<String> = ('a'..='z')
        .flat_map(|letter| (0..20).map(move |number| format!("{letter}{letter}-{number}")))
        .collect();
    for name in &names {
        let text =
            format!("format = 1\nname = \"{name}\"\nsummary = \"The {name} command\"\nowner = \"alice\"\n");
        fs_err::write(registry.path("index/plugins").join(format!("{name}.toml")), text).unwrap();
    }
    let path = registry.path("index/authors/alice.toml");
    let author = fs_err::read_to_string(&path).unwrap();
    assert!(author.contains("[\"hello\"]"), "{author}");
    let all = format!("{:?}", [&["hello".to_owned()][..], &names].concat());
    fs_err::write(&path, author.replace("[\"hello\"]", &all)).unwrap();
}

#[test]
fn large_registry_is_used_like_a_small_one() {
    let registry = published();
    let Registry { bob, user, .. } = &registry;
    let add = "kf registry add team \"file://$PWD/published\" --root published/metadata/1.root.json";
    assert_eq!(registry.run(user, add).success().stdout, "Added registry team (1 command)\n");
    registry.run(user, "kf command add hello").success();
    grow(&registry);
    registry.run(bob, "kf registry stage large --index index").success();
    let sign = "kf registry sign large --key \"$HOME/key.pem\" --index index --passphrase-fd 3 --accept";
    let targets = refused(&registry, bob, sign.trim_end_matches(" --accept"));
    let (_, digest) = targets.stderr.trim_end().rsplit_once(' ').unwrap();
    // All shards are one question.
    let shards = registry.run(bob, &format!("{sign} {digest}"));
    assert!(
        shards
            .stderr
            .contains("error: not a terminal: refusing to sign the roles of 5 shards without confirmation\n"),
        "{}",
        shards.transcript()
    );
    registry.sign(bob, "large");
    registry.sign(&registry.carol, "large");
    registry.publish("large").success();

    kf_snapshot!(registry.run(user, "kf command add helo"), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: command helo not found in registry team
    hint: did you mean hello? `kf command list --available` shows all
    ");
    kf_snapshot!(registry.run(user, "kf command upgrade"), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    all commands are up to date
    ");
    let offered = registry.run(user, "kf command list --available -o name").success().stdout;
    assert!(offered.lines().any(|line| line == "command/hello"), "{offered}");
    registry.hand_in("key.pem", "0.2.0", "", "more").success();
    registry.publish("more").success();
    kf_snapshot!(registry.run(user, "kf command upgrade"), @"
    exit: 0
    ----- stdout -----
    NAME   VERSION  NEWEST  SOURCE
    hello  0.1.0    0.2.0   team
    ----- stderr -----
    upgrade one with `kf command upgrade NAME`, or all with `kf command upgrade --all`
    ");
    let verified = registry.run(bob, "kf registry verify --index index").success();
    assert!(verified.transcript().contains("521 commands, 2 versions"), "{}", verified.transcript());
    // A mirror and the site have all of it.
    registry.run(bob, add).success();
    registry.run(bob, "kf registry mirror team mirror").success();
    let Registry { carol, .. } = &registry;
    registry.run(carol, &add.replace("/published\"", "/mirror\"")).success();
    assert_eq!(registry.run(carol, "kf command add hello").success().stdout, "Added hello 0.2.0\n");
    let site = "kf registry site --published published --root published/metadata/1.root.json --out site";
    registry.run(bob, site).success();
    assert!(registry.path("site/commands/hello.html").is_file());
}
