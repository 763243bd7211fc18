//! `kf plugin`: what authors type before a command is published.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use kf_core::PluginName;
use kf_registry::publish::{self, AssembleInput, KeyRing, RoleName, StageInput, Staging, Submission};
use kf_registry::source::Source;
use nix::sys::signal::Signal;

use crate::common::registry::{self, copy};
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran, output_of};
use crate::kf_snapshot;

const PASSPHRASE: &str = "correct horse battery";

/// Runs a line with a passphrase on file descriptor 3.
fn with_passphrase(home: &Home, passphrase: &str, line: &str) -> Ran {
    fs_err::write(home.path().join("passphrase"), format!("{passphrase}\n")).unwrap();
    let line = format!("cd \"$HOME\" && {line} --passphrase-fd 3 3< passphrase");
    Ran::of(&output_of(&mut home.shell(&line)), home.path())
}

/// Generates a key in the home; its public half.
fn keygen(home: &Home, file: &str) -> String {
    let ran = with_passphrase(home, PASSPHRASE, &format!("kf plugin keygen {file}")).success();
    ran.stdout.trim().to_owned()
}

/// A folder with the `hello` plugin.
fn hello(home: &Home) -> PathBuf {
    registry::only("hello", home.path()).join("hello")
}

/// Replaces text of a manifest.
fn edit(plugin: &Path, from: &str, to: &str) {
    let path = plugin.join("plugin.toml");
    let text = fs_err::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{text}");
    fs_err::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn keygen_without_terminal_needs_passphrase_fd() {
    let home = Home::empty();
    kf_snapshot!(home.run_unchanged(["plugin", "keygen", "key.pem"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: not a terminal: cannot create a key without a passphrase
    hint: pass it on a file descriptor: --passphrase-fd 3 3< FILE
    ");
}

#[test]
fn closed_passphrase_fd_is_reported() {
    let home = Home::empty();
    kf_snapshot!(home.run_unchanged(["plugin", "keygen", "key.pem", "--passphrase-fd", "999999"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot read the passphrase from file descriptor 999999: failed to open file `/proc/self/fd/999999`: No such file or directory (os error 2)
    ");
}

#[test]
fn keygen_writes_encrypted_private_file() {
    let home = Home::empty();
    let public = keygen(&home, "alice.pem");
    assert!(public.len() == 64 && public.bytes().all(|byte| byte.is_ascii_hexdigit()), "{public}");
    let file = home.path().join("alice.pem");
    assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let text = fs_err::read_to_string(&file).unwrap();
    assert!(text.starts_with("-----BEGIN ENCRYPTED PRIVATE KEY-----\n"), "{text}");
    // An existing key is kept.
    kf_snapshot!(with_passphrase(&home, PASSPHRASE, "kf plugin keygen alice.pem"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: alice.pem already exists
    ");
    assert_eq!(fs_err::read_to_string(&file).unwrap(), text);
    kf_snapshot!(with_passphrase(&home, "short", "kf plugin keygen other.pem"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: the passphrase is too short: at least 8 bytes are required
    ");
    kf_snapshot!(with_passphrase(&home, "", "kf plugin keygen other.pem"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot read the passphrase from file descriptor 3: it is empty
    ");
    assert!(!home.path().join("other.pem").exists());
}

#[test]
fn typed_passphrase_is_not_shown_and_asked_twice() {
    let home = Home::empty();
    let file = home.path().join("alice.pem");
    let keygen = || Terminal::start(home.kf(["plugin", "keygen", file.to_str().unwrap()]));
    for (second, code) in [("another one", 2), (PASSPHRASE, 0)] {
        let mut terminal = keygen();
        terminal.expect("New passphrase:");
        terminal.type_text(&format!("{PASSPHRASE}\n"));
        terminal.expect("Repeat the passphrase:");
        terminal.type_text(&format!("{second}\n"));
        let (exit, shown) = terminal.finish();
        let shown = String::from_utf8_lossy(&shown);
        assert_eq!(exit.code(), Some(code), "{shown}");
        assert!(!shown.contains(PASSPHRASE) && !shown.contains(second), "{shown}");
        assert_eq!(file.exists(), code == 0);
    }
}

#[test]
fn interrupted_passphrase_prompt_restores_echo() {
    let home = Home::empty();
    let start = || {
        let mut terminal = Terminal::start(home.kf(["plugin", "keygen", "key.pem"]));
        terminal.expect("New passphrase:");
        terminal
    };
    // Both assert that the terminal has its settings again.
    let shown = start().interrupt();
    assert!(shown.contains("interrupted"), "{shown}");
    for signal in [Signal::SIGTERM, Signal::SIGHUP, Signal::SIGQUIT] {
        start().signal(signal);
    }
}

#[test]
fn check_accepts_first_party_commands() {
    let home = Home::empty();
    let index = registry::index().display().to_string();
    for entry in fs_err::read_dir(registry::artifacts()).unwrap() {
        let folder = entry.unwrap().path().display().to_string();
        let ran = home.run(["plugin", "check", &folder, "--index", &index]).success();
        assert!(ran.stdout.contains(": no problems found ("), "{}", ran.transcript());
    }
}

#[test]
fn check_reports_every_problem_with_file_and_line() {
    let home = Home::empty();
    let plugin = hello(&home);
    let folder = plugin.display().to_string();
    edit(&plugin, "abi = \"0.1.0\"", "abi = \"0.0.9\"");
    let text = fs_err::read_to_string(plugin.join("plugin.toml")).unwrap();
    let rules = "\n[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"get\"]\n\
                 \n[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"*\"]\nverbs = [\"get\"]\n";
    fs_err::write(plugin.join("plugin.toml"), text + rules).unwrap();
    kf_snapshot!(home.run_unchanged(["plugin", "check", &folder]), @r#"
    exit: 1
    ----- stdout -----
    plugin.toml:15: permission 2: has a wildcard in `resources`; list each value
    plugin.toml:6: abi is 0.0.9, but the component is built for 0.1.0
      hint: set abi = "0.1.0"
    ----- stderr -----
    error: 2 problems found
    "#);
    fs_err::write(plugin.join("plugin.toml"), "format = 1\n[plugin]\nname = \"Hello\"\n").unwrap();
    fs_err::remove_file(plugin.join("plugin.wasm")).unwrap();
    kf_snapshot!(home.run_unchanged(["plugin", "check", &folder]), @"
    exit: 1
    ----- stdout -----
    plugin.toml:3: invalid command name `Hello`: must start with a lower-case letter
    plugin.wasm: does not exist
      hint: build the component and copy it there
    ----- stderr -----
    error: 2 problems found
    ");
    fs_err::remove_file(plugin.join("plugin.toml")).unwrap();
    fs_err::write(plugin.join("plugin.wasm"), "not wasm").unwrap();
    kf_snapshot!(home.run_unchanged(["plugin", "check", &folder, "-o", "json"]), @r#"
    exit: 1
    ----- stdout -----
    {
      "bytes": 8,
      "findings": [
        {
          "message": "does not exist",
          "place": "plugin.toml",
          "remedy": "see the section on plugin.toml in the SDK's README"
        },
        {
          "message": "it is not a WebAssembly file",
          "place": "plugin.wasm",
          "remedy": "build it as a component for wasm32-unknown-unknown with the SDK"
        }
      ],
      "format": 1,
      "ok": false,
      "plugin": null
    }
    ----- stderr -----
    {"error":{"code":"failed","message":"2 problems found"}}
    "#);
}

#[test]
fn check_with_index_reports_unknown_name_and_ceiling() {
    let home = Home::empty();
    let plugin = hello(&home);
    let (folder, index) = (plugin.display().to_string(), registry::index().display().to_string());
    edit(&plugin, "name = \"hello\"", "name = \"greet\"");
    kf_snapshot!(home.run_unchanged(["plugin", "check", &folder, "--index", &index]), @"
    exit: 1
    ----- stdout -----
    plugin.toml: the index has no command greet
      hint: add plugins/greet.toml with its owner and ceiling to the index
    ----- stderr -----
    error: 1 problem found
    ");
    edit(&plugin, "name = \"greet\"", "name = \"hello\"");
    let text = fs_err::read_to_string(plugin.join("plugin.toml")).unwrap();
    let rule =
        "\n[[permissions.kubernetes]]\napiGroups = [\"\"]\nresources = [\"pods\"]\nverbs = [\"get\"]\n";
    fs_err::write(plugin.join("plugin.toml"), text + rule).unwrap();
    kf_snapshot!(home.run_unchanged(["plugin", "check", &folder, "--index", &index]), @"
    exit: 1
    ----- stdout -----
    plugin.toml: above the registry's ceiling: read pods
      hint: ask the registry's admins to raise the ceiling, or remove the permission
    ----- stderr -----
    error: 1 problem found
    ");
}

/// An index and a published registry, which lets the owner of `hello` sign with this key.
fn publish_index(home: &Home, public: &str) {
    let (index, published) = (home.path().join("index"), home.path().join("published"));
    copy(&registry::index(), &index);
    let author = index.join("authors/kubeflow.toml");
    let text = fs_err::read_to_string(&author).unwrap();
    fs_err::write(author, format!("{text}\nkeys = [\"{public}\"]\n")).unwrap();
    let keys = KeyRing::generate([]).unwrap();
    let (public_keys, now) = (keys.public(), jiff::Timestamp::now());
    let staging = home.path().join("admins");
    let gate = |_: &Submission<'_>| Ok(Vec::new());
    let staged = publish::stage(&StageInput {
        source: &index,
        artifacts: None,
        published: &published,
        staging: &staging,
        only: Some(&[RoleName::Root, RoleName::Targets].into()),
        keys: Some(&public_keys),
        pinned_root: None,
        now,
        describe: &|_: &PluginName, _: &[u8]| Err(String::new()),
        gate: &gate,
    });
    for role in staged.unwrap().roles {
        keys.of(&role).into_iter().for_each(|key| drop(publish::sign(&staging, &role, key).unwrap()));
    }
    let built = publish::assemble(&AssembleInput {
        staging: Some(&staging),
        published: &published,
        pinned_root: None,
        keys: Some(&public_keys),
        online: &[&keys.snapshot, &keys.timestamp],
        expiry: Source::read(&index).unwrap().registry.expiry,
        now,
        gate: &gate,
    });
    fs_err::create_dir_all(index.join("root")).unwrap();
    fs_err::copy(built.unwrap().root, index.join("root/1.root.json")).unwrap();
}

#[test]
fn signed_version_is_staged_without_other_keys() {
    let home = Home::empty();
    let public = keygen(&home, "alice.pem");
    publish_index(&home, &public);
    hello(&home);
    let sign =
        "kf plugin sign artifacts/hello --index index --published published --key alice.pem --out staged";
    kf_snapshot!(with_passphrase(&home, "wrong passphrase", sign), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: wrong passphrase for alice.pem
    ");
    assert!(!home.path().join("staged").exists());
    kf_snapshot!(with_passphrase(&home, PASSPHRASE, sign), @"
    exit: 0
    ----- stdout -----
    staged
    ----- stderr -----
    signed hello 0.1.0 (sha256 [DIGEST])
    hand in this folder; the registry's admins publish it
    ");
    let staging = Staging::open(&home.path().join("staged")).unwrap();
    let roles: Vec<&RoleName> = staging.roles().collect();
    assert_eq!(roles.len(), 1);
    assert_eq!(roles[0].to_string(), "author-kubeflow");
    assert!(staging.review(roles[0]).unwrap().complete());
    // The folder is kept.
    kf_snapshot!(with_passphrase(&home, PASSPHRASE, sign), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: staged is not empty
    ");
}

#[test]
fn key_that_is_not_delegated_to_leaves_no_folder() {
    let home = Home::empty();
    let delegated = keygen(&home, "alice.pem");
    publish_index(&home, &delegated);
    hello(&home);
    let new = keygen(&home, "new.pem");
    let author = home.path().join("index/authors/kubeflow.toml");
    let text = fs_err::read_to_string(&author).unwrap();
    fs_err::write(author, text.replace(&delegated, &new)).unwrap();
    let sign =
        "kf plugin sign artifacts/hello --index index --published published --key new.pem --out staged";
    kf_snapshot!(with_passphrase(&home, PASSPHRASE, sign), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: key [DIGEST] is not authorized to sign author-kubeflow
    ");
    assert!(!home.path().join("staged").exists());
}

#[test]
fn key_of_no_author_signs_nothing() {
    let home = Home::empty();
    let public = keygen(&home, "alice.pem");
    publish_index(&home, &public);
    let foreign = keygen(&home, "mallory.pem");
    hello(&home);
    let sign =
        "kf plugin sign artifacts/hello --index index --published published --key mallory.pem --out staged";
    kf_snapshot!(with_passphrase(&home, PASSPHRASE, sign).masked(&foreign, "[KEY]"), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: no author in the index has the public key [KEY]
    hint: add the key to `keys` in your authors/ID.toml, and have the admins sign the change
    ");
    assert!(!home.path().join("staged").exists());
}
