//! `kf.lock`: pinning commands, and adding exactly what is pinned.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::common::registry::{self, location, publish_hello, set_up};
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran, output_of};
use crate::kf_snapshot;

const READ_PODS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods"]
verbs = ["list"]
"#;

/// A registry of its own, and a project that pins `hello` 0.1.0 from it.
struct Locked {
    registry: TempDir,
    project: TempDir,
}

impl Locked {
    fn new(rules: &str) -> Self {
        let (registry, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        publish_hello("0.1.0", rules, "", registry.path());
        let locked = Self { registry, project };
        let home = locked.home();
        registry::add(&home, "hello");
        locked.run(&home, &["command", "lock"]).success();
        locked
    }

    /// A home with only the registry set up.
    fn home(&self) -> Home {
        let home = Home::empty();
        set_up(&home, self.registry.path());
        home
    }

    fn file(&self) -> PathBuf {
        self.project.path().join("kf.lock")
    }

    fn text(&self) -> String {
        fs_err::read_to_string(self.file()).unwrap()
    }

    fn edit(&self, from: &str, to: &str) {
        let text = self.text();
        assert!(text.contains(from), "{from}: {text}");
        fs_err::write(self.file(), text.replacen(from, to, 1)).unwrap();
    }

    /// Runs kf in the project.
    fn run(&self, home: &Home, arguments: &[&str]) -> Ran {
        run_in(self.project.path(), home, arguments)
            .masked(&self.project.path().display().to_string(), "[PROJECT]")
    }

    /// The same; nothing in the home may change.
    #[track_caller]
    fn refused(&self, home: &Home, arguments: &[&str]) -> Ran {
        let before = home.state();
        let ran = self.run(home, arguments);
        assert_eq!(home.state(), before, "{}", ran.transcript());
        assert_ne!(ran.code, Some(0), "{}", ran.transcript());
        ran
    }
}

fn run_in(directory: &Path, home: &Home, arguments: &[&str]) -> Ran {
    Ran::of(&output_of(home.kf(arguments).current_dir(directory)), home.path())
}

/// The value of the first field with this name.
fn value(text: &str, field: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(&format!("{field} = "))).unwrap();
    line.trim_matches(['"', '[', ']']).to_owned()
}

/// Another digest than the one in the text.
fn other(digest: &str) -> String {
    digest.chars().map(|digit| if digit == '0' { '1' } else { '0' }).collect()
}

#[test]
fn lock_pins_what_is_installed() {
    let locked = Locked::new(READ_PODS);
    let home = locked.home();
    registry::add(&home, "hello");
    fs_err::remove_file(locked.file()).unwrap();
    kf_snapshot!(locked.run(&home, &["command", "lock"]), @"
    exit: 0
    ----- stdout -----
    Locked hello 0.1.0
    ----- stderr -----
    wrote [PROJECT]/kf.lock
    ");
    let text = locked.text();
    let ran = locked.run(&home, &["command", "lock"]).with_stdout(&text);
    kf_snapshot!(ran.masked(&value(&text, "length"), "[LENGTH]"), @r#"
    exit: 0
    ----- stdout -----
    # Written by `kf command lock`. `kf command add --locked` adds exactly these commands with these rights.
    format = 1

    [registries.kubeflow]
    root_sha256 = "[DIGEST]"

    [commands.hello]
    version = "0.1.0"
    registry = "kubeflow"
    owner = "kubeflow"
    keyids = ["[DIGEST]"]
    consent = "[DIGEST]"
    rights = ["pods: list"]

    [[commands.hello.parts]]
    kind = "component"
    sha256 = "[DIGEST]"
    length = [LENGTH]

    [[commands.hello.parts]]
    kind = "manifest"
    sha256 = "[DIGEST]"
    length = 196

    [[commands.hello.parts]]
    kind = "commands"
    sha256 = "[DIGEST]"
    length = 1180
    ----- stderr -----
    [PROJECT]/kf.lock is up to date
    "#);
    // From a folder below, the same file is found.
    let below = locked.project.path().join("src");
    fs_err::create_dir(&below).unwrap();
    let check = run_in(&below, &home, &["command", "lock", "--check"]);
    kf_snapshot!(check, @"
    exit: 0
    ----- stdout -----
    NAME   LOCKED  INSTALLED  STATUS
    hello  0.1.0   0.1.0      same
    ----- stderr -----
    ");
    assert!(!below.join("kf.lock").exists());
}

#[test]
fn lock_of_command_that_is_not_installed_pins_newest_version() {
    let locked = Locked::new("");
    publish_hello("0.2.0", READ_PODS, "", locked.registry.path());
    let home = locked.home();
    kf_snapshot!(locked.run(&home, &["command", "lock"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    [PROJECT]/kf.lock is up to date
    ");
    kf_snapshot!(locked.run(&home, &["command", "lock", "--upgrade"]), @"
    exit: 0
    ----- stdout -----
    Locked hello 0.1.0 → 0.2.0
    ----- stderr -----
      + pods: list
    wrote [PROJECT]/kf.lock
    ");
    assert_eq!(value(&locked.text(), "version"), "0.2.0");
    locked.run(&home, &["command", "lock", "hello@0.1.0"]).success();
    assert_eq!(value(&locked.text(), "version"), "0.1.0");
    // Nothing was installed.
    home.run(["hello"]).code(5);
    kf_snapshot!(locked.refused(&home, &["command", "lock", "helo"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: command helo not found in registry kubeflow
    hint: did you mean hello? `kf command list --available` shows all
    ");
    kf_snapshot!(locked.refused(&home, &["command", "lock", "--check"]), @"
    exit: 1
    ----- stdout -----
    NAME   LOCKED  INSTALLED  STATUS
    hello  0.1.0   -          not installed
    ----- stderr -----
    error: 1 of 1 commands differ from kf.lock
    hint: kf command add --locked
    ");
    let empty = tempfile::tempdir().unwrap();
    kf_snapshot!(run_in(empty.path(), &home, &["command", "lock"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no command from a registry is installed
    hint: `kf command list --available` shows what can be locked
    ");
    assert!(!empty.path().join("kf.lock").exists());
}

#[test]
fn locked_add_without_terminal_adds_exactly_what_is_pinned() {
    let locked = Locked::new(READ_PODS);
    publish_hello("0.2.0", READ_PODS, "", locked.registry.path());
    let home = locked.home();
    kf_snapshot!(locked.run(&home, &["command", "add", "--locked"]), @"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    ");
    kf_snapshot!(locked.run(&home, &["command", "add", "--locked", "hello@0.1"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is already added
    ");
    locked.run(&home, &["command", "lock", "--check"]).success();
    // A newer version is installed: the pinned one replaces it.
    home.run(["command", "upgrade", "hello"]).success();
    kf_snapshot!(locked.run(&home, &["command", "lock", "--check"]), @"
    exit: 1
    ----- stdout -----
    NAME   LOCKED  INSTALLED  STATUS
    hello  0.1.0   0.2.0      version: 0.2.0, pinned 0.1.0; files: other digests are pinned
    ----- stderr -----
    error: 1 of 1 commands differ from kf.lock
    hint: kf command add --locked
    ");
    locked.run(&home, &["command", "add", "--locked"]).success();
    locked.run(&home, &["command", "lock", "--check"]).success();
}

#[test]
fn locked_add_on_terminal_asks() {
    let locked = Locked::new(READ_PODS);
    let home = locked.home();
    let at_terminal = |answer: &str| {
        let mut kf = home.kf(["command", "add", "--locked"]);
        kf.current_dir(locked.project.path());
        let mut terminal = Terminal::start(kf);
        terminal.expect("read");
        terminal.expect("Add hello? [y/N]");
        terminal.type_text(answer);
        terminal.finish().0
    };
    assert_eq!(at_terminal("\n").code(), Some(8));
    home.run(["hello", "--help"]).code(5);
    assert!(at_terminal("y\n").success());
    home.run(["hello", "--help"]).success();
}

/// The file names an older version, which may be one with known flaws.
#[test]
fn locked_add_on_terminal_asks_before_downgrade() {
    let locked = Locked::new("");
    publish_hello("0.2.0", "", "", locked.registry.path());
    let home = locked.home();
    registry::add(&home, "hello");
    let at_terminal = |answer: &str| {
        let mut kf = home.kf(["command", "add", "--locked"]);
        kf.current_dir(locked.project.path());
        let mut terminal = Terminal::start(kf);
        terminal.expect("Downgrade hello from 0.2.0 to 0.1.0? [y/N]");
        terminal.type_text(answer);
        terminal.finish().0
    };
    let installed = || home.run(["command", "list"]).row("hello");
    assert_eq!(at_terminal("\n").code(), Some(8));
    assert!(installed().contains("0.2.0"));
    assert!(at_terminal("y\n").success());
    assert!(installed().contains("0.1.0"));
}

#[test]
fn every_difference_from_lock_is_refused_and_named() {
    let locked = Locked::new(READ_PODS);
    let (home, pinned) = (locked.home(), locked.text());
    let add = ["command", "add", "--locked"];
    let root = value(&pinned, "root_sha256");
    locked.edit(&root, &other(&root));
    kf_snapshot!(locked.refused(&home, &add), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: registry kubeflow has another root than [PROJECT]/kf.lock pins: sha256 [DIGEST], pinned [DIGEST]
    hint: `kf registry list -o wide` shows the roots of this machine
    ");
    fs_err::write(locked.file(), &pinned).unwrap();

    let component = value(&pinned, "sha256");
    locked.edit(&component, &other(&component));
    kf_snapshot!(locked.refused(&home, &add), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 does not match [PROJECT]/kf.lock: plugin.wasm: sha256 [DIGEST], pinned [DIGEST]
    hint: if the change is expected: kf command lock kubeflow/hello --upgrade
    ");
    fs_err::write(locked.file(), &pinned).unwrap();

    locked.edit("owner = \"kubeflow\"", "owner = \"mallory\"");
    kf_snapshot!(locked.refused(&home, &add), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 does not match [PROJECT]/kf.lock: owner: kubeflow, pinned mallory
    hint: if the change is expected: kf command lock kubeflow/hello --upgrade
    ");
    fs_err::write(locked.file(), &pinned).unwrap();

    let keys = value(&pinned, "keyids");
    locked.edit(&keys, &other(&keys));
    kf_snapshot!(locked.refused(&home, &add), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 does not match [PROJECT]/kf.lock: keys of kubeflow: other key ids are pinned
    hint: if the change is expected: kf command lock kubeflow/hello --upgrade
    ");
    fs_err::write(locked.file(), &pinned).unwrap();

    // The command has more rights than a reviewer would read.
    locked.edit("\"pods: list\"", "");
    kf_snapshot!(locked.refused(&home, &add), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 does not match [PROJECT]/kf.lock: rights: + pods: list
    hint: if the change is expected: kf command lock kubeflow/hello --upgrade
    ");
    fs_err::write(locked.file(), &pinned).unwrap();

    let consent = value(&pinned, "consent");
    locked.edit(&consent, &other(&consent));
    kf_snapshot!(locked.refused(&home, &add), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 does not match [PROJECT]/kf.lock: rights: their digest is [DIGEST], pinned [DIGEST]
    hint: if the change is expected: kf command lock kubeflow/hello --upgrade
    ");
    fs_err::write(locked.file(), &pinned).unwrap();
    locked.run(&home, &add).success();
}

#[test]
fn missing_entry_and_missing_file_are_refused() {
    let locked = Locked::new("");
    let home = locked.home();
    kf_snapshot!(locked.refused(&home, &["command", "add", "--locked", "hello", "train"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: train is not in [PROJECT]/kf.lock
    hint: kf command lock train
    ");
    kf_snapshot!(locked.refused(&home, &["command", "add", "--locked", "hello@^2"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: [PROJECT]/kf.lock pins kubeflow/hello@0.1.0, not hello@^2
    hint: kf command lock hello@'^2'
    ");
    kf_snapshot!(locked.refused(&home, &["command", "add", "--locked", "./hello.wasm"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot add ./hello.wasm: a lock file has no local files
    ");
    kf_snapshot!(locked.refused(&home, &["command", "add", "hello", "--lockfile", "kf.lock"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: `--lockfile` requires `--locked` or `--frozen`
    hint: kf command add hello --locked --lockfile kf.lock
    ");
    let empty = tempfile::tempdir().unwrap();
    let ran = run_in(empty.path(), &home, &["command", "add", "--locked"]);
    kf_snapshot!(ran.masked(&empty.path().display().to_string(), "[EMPTY]"), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no kf.lock in [EMPTY] or above it
    hint: kf command lock
    ");
    let ran = run_in(empty.path(), &home, &["command", "add", "--frozen", "--lockfile", "ci/kf.lock"]);
    kf_snapshot!(ran, @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: ci/kf.lock does not exist
    hint: kf command lock --lockfile ci/kf.lock
    ");
}

/// A lock file never adds a registry.
#[test]
fn lock_of_unknown_registry_is_refused() {
    let locked = Locked::new("");
    kf_snapshot!(locked.refused(&Home::empty(), &["command", "add", "--locked"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: registry kubeflow is not configured
    hint: kf registry add kubeflow URL --root root.json
    ");
}

#[test]
fn blocked_release_is_refused_and_yanked_one_warned_about() {
    let locked = Locked::new("");
    publish_hello("0.2.0", "", "yanked = [\"0.1.0\"]\n", locked.registry.path());
    let home = locked.home();
    kf_snapshot!(locked.run(&home, &["command", "add", "--locked"]), @"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    warning: hello 0.1.0 was yanked by its registry
    ");
    kf_snapshot!(locked.run(&home, &["command", "add", "--locked"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is already added
    warning: hello 0.1.0 was yanked by its registry
    ");

    let sha256 = value(&locked.text(), "sha256");
    let block = format!("[[blocked]]\nsha256 = \"{sha256}\"\nreason = \"it leaks\"\n");
    publish_hello("0.2.0", "", &block, locked.registry.path());
    let fresh = locked.home();
    kf_snapshot!(locked.refused(&fresh, &["command", "add", "--locked"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is blocked by registry kubeflow: it leaks
    ");
    // After a refresh, offline too.
    home.run(["command", "list", "--available"]).success();
    kf_snapshot!(locked.refused(&home, &["command", "add", "--frozen"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is blocked by registry kubeflow: it leaks
    ");
    kf_snapshot!(locked.refused(&home, &["command", "lock"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is blocked by registry kubeflow: it leaks
    hint: kf command lock --remove hello
    ");
    locked.run(&home, &["command", "lock", "--remove", "hello"]).success();
}

#[test]
fn removed_command_is_no_longer_pinned() {
    let locked = Locked::new("");
    let home = locked.home();
    registry::add(&home, "hello");
    let pinned = locked.text();
    for (words, expected) in [
        (
            &["hello", "train"][..],
            "error: train is not in [PROJECT]/kf.lock\nhint: kf command lock --check\n",
        ),
        (&["hello@0.1.0"], "error: invalid command name `hello@0.1.0`"),
        (&[], "required arguments were not provided"),
        (&["hello", "--upgrade"], "cannot be used with"),
        (&["--check"], "cannot be used with"),
    ] {
        let refused = locked.refused(&home, &[&["command", "lock", "--remove"], words].concat());
        assert!(refused.stderr.contains(expected), "{words:?}: {}", refused.transcript());
        assert_eq!(locked.text(), pinned, "{words:?}");
    }
    // Needs no registry, as one that is gone is a reason to remove its commands.
    fs_err::remove_dir_all(locked.registry.path().join("published")).unwrap();
    kf_snapshot!(locked.run(&home, &["command", "lock", "--remove", "hello", "hello"]), @"
    exit: 0
    ----- stdout -----
    Unlocked hello 0.1.0
    ----- stderr -----
    wrote [PROJECT]/kf.lock
    ");
    assert!(locked.text().ends_with("\nformat = 1\n"), "{}", locked.text());
    // It stays installed.
    home.run(["hello"]).success();
    let nowhere = tempfile::tempdir().unwrap();
    let missing = run_in(nowhere.path(), &home, &["command", "lock", "--remove", "hello"]).code(5);
    assert!(missing.stderr.contains("no kf.lock in"), "{}", missing.transcript());
}

#[test]
fn hint_names_lock_file_as_typed_and_works_in_shell() {
    let locked = Locked::new("");
    let home = locked.home();
    registry::add(&home, "hello");
    let folder = home.path().join("my project");
    fs_err::create_dir(&folder).unwrap();
    let file = ["--lockfile", "my project/kf.lock"];
    let run = |words: &[&str]| run_in(home.path(), &home, &[words, &file].concat());
    let hinted = |ran: Ran| {
        let line = ran.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap().to_owned();
        let pasted = Ran::of(&output_of(&mut home.shell(&line)), home.path());
        (line, pasted)
    };
    let (line, pasted) = hinted(run(&["command", "lock", "--check"]).code(5));
    assert_eq!(line, "kf command lock --lockfile 'my project/kf.lock'");
    pasted.success();
    run(&["command", "lock", "--check"]).success();
    home.run(["command", "remove", "hello"]).success();
    let (line, pasted) = hinted(run(&["command", "lock", "--check"]).code(1));
    assert_eq!(line, "kf command add --locked --lockfile 'my project/kf.lock'");
    pasted.success();
    let (line, _) = hinted(run(&["command", "add", "--locked", "hello@>0.1.0"]).code(8));
    assert_eq!(line, "kf command lock 'hello@>0.1.0' --lockfile 'my project/kf.lock'");
    let (line, pasted) = hinted(run(&["command", "add", "hello@0.1"]).code(2));
    assert_eq!(line, "kf command add hello@0.1 --locked --lockfile 'my project/kf.lock'");
    pasted.success();
}

#[test]
fn frozen_add_uses_only_what_is_on_this_machine() {
    let locked = Locked::new(READ_PODS);
    let home = locked.home();
    let add = ["command", "add", "--frozen"];
    // The registry was refreshed when it was set up, but nothing was fetched.
    kf_snapshot!(locked.refused(&home, &add).masked(&stored(&locked), "[COMPONENT]"), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    error: cannot reach registry kubeflow: hello was never fetched on this machine
    ");
    locked.run(&home, &["command", "add", "--locked"]).success();
    let unplugged = locked.registry.path().join("unplugged");
    fs_err::rename(locked.registry.path().join("published"), &unplugged).unwrap();
    kf_snapshot!(locked.run(&home, &add), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is already added
    ");
    home.run(["command", "remove", "hello"]).success();
    kf_snapshot!(locked.run(&home, &add), @"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    ");
    // Its state is missing, too.
    let never = Home::empty();
    let (url, _) = location(locked.registry.path());
    let root = unplugged.join("metadata/1.root.json").display().to_string();
    never.run(["registry", "add", "kubeflow", &url, "--root", &root]).success();
    kf_snapshot!(locked.refused(&never, &add), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    error: cannot reach registry kubeflow: it was never refreshed on this machine
    ");
}

fn stored(locked: &Locked) -> String {
    value(&locked.text(), "sha256")
}

#[test]
fn lock_file_of_another_user_is_refused_unless_named() {
    let locked = Locked::new(READ_PODS);
    let home = locked.home();
    fs_err::set_permissions(locked.file(), std::fs::Permissions::from_mode(0o666)).unwrap();
    let refused = locked.refused(&home, &["command", "add", "--locked"]);
    kf_snapshot!(refused, @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: [PROJECT]/kf.lock is not safe to use: other users can write to it (mode 0666)
    hint: if you trust it, name it: --lockfile [PROJECT]/kf.lock
    ");
    locked.run(&home, &["command", "add", "--locked", "--lockfile", "kf.lock"]).success();
    // A link may point to any file.
    let aside = locked.project.path().join("aside.toml");
    fs_err::rename(locked.file(), &aside).unwrap();
    symlink(&aside, locked.file()).unwrap();
    kf_snapshot!(locked.refused(&home, &["command", "add", "--locked"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: [PROJECT]/kf.lock is not safe to use: it is a symbolic link
    hint: check who created [PROJECT]/kf.lock, then remove it
    ");
}

#[test]
fn hostile_lock_file_is_refused() {
    let locked = Locked::new(READ_PODS);
    let (home, pinned) = (locked.home(), locked.text());
    for (from, to, words) in [
        ("format = 1", "format = 2", "was written by a newer kf"),
        ("root_sha256 =", "url = \"https://evil.example\"\nroot_sha256 =", "unknown field `url`"),
        ("[commands.hello]", "[commands.\"../hello\"]", "invalid command name `../hello`"),
        ("registry = \"kubeflow\"", "registry = \"evil\\u001b[2J\"", "invalid registry name"),
        ("format = 1", "format = 1\n\"\\u001b]0;evil\\u0007\" = 1", "unknown field"),
    ] {
        locked.edit(from, to);
        for arguments in
            [&["command", "add", "--locked"][..], &["command", "lock"], &["command", "lock", "--check"]]
        {
            let ran = locked.refused(&home, arguments);
            assert!(ran.stderr.contains(words), "{words}: {}", ran.transcript());
            assert!(!ran.stderr.contains(['\u{1b}', '\u{7}']), "{words}: {}", ran.transcript());
        }
        fs_err::write(locked.file(), &pinned).unwrap();
    }
}

#[test]
fn doctor_compares_lock_file() {
    let locked = Locked::new("");
    let home = locked.home();
    let line = || {
        let ran = locked.run(&home, &["doctor"]);
        let lines = ran.stdout.lines().skip_while(|line| line.split_whitespace().nth(1) != Some("lock"));
        let head: Vec<&str> = lines.take(3).collect();
        head.join("\n")
    };
    assert!(
        line().starts_with("! lock         [PROJECT]/kf.lock\n               hello 0.1.0 is not installed\n"),
        "{}",
        line()
    );
    registry::add(&home, "hello");
    assert!(line().starts_with("✓ lock         [PROJECT]/kf.lock\n"), "{}", line());
    // Without a lock file there is no such check.
    assert!(!home.run(["doctor"]).stdout.contains(" lock "));
}
