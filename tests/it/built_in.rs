//! A kf with built-in commands, in an empty home and with registries.

use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::built_in::{self, Registry, component};
use crate::common::mounts::{run_on_full_disk, skip_without_namespaces};
use crate::common::registry::{self, hinted, set_up};
use crate::common::servers;
use crate::common::{Home, Ran, kf_program, output_of};
use crate::kf_snapshot;

fn published(registry: &Registry<'_>) -> TempDir {
    let out = tempfile::Builder::new().prefix("kf-registry-").tempdir().unwrap();
    registry.publish(out.path());
    out
}

fn version<'a>(version: &'a str) -> Registry<'a> {
    Registry { version, same_author: true, blocked: None }
}

fn described(home: &Home, name: &str) -> Value {
    let described = home.run(["command", "describe", name, "-o", "json"]).success();
    serde_json::from_str(&described.stdout).unwrap()
}

/// A row of `kf command list`, with single spaces.
fn listed(home: &Home, name: &str) -> String {
    let list = home.run(["command", "list"]).success();
    let line =
        list.stdout.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs a command that needs consent, and then the command of its hint.
fn accepted(home: &Home, words: &[&str]) -> Ran {
    let asked = home.run(words).code(8);
    home.run(hinted(&asked)).success()
}

#[test]
fn fresh_home_lists_and_runs_built_in_commands() {
    let home = Home::with_built_in();
    kf_snapshot!(home.run(["command", "list"]), @"
    exit: 0
    ----- stdout -----
    NAME    VERSION  SOURCE    ABOUT
    hello   0.1.0    built in  Say hello
    logs    0.1.0    built in  Show the logs of a workload
    status  0.1.0    built in  Show workloads and why they are not running
    train   0.1.0    built in  Train a model from a file or a runtime
    whoami  0.1.0    built in  Show your user, groups and role
    ----- stderr -----
    ");
    kf_snapshot!(home.run(["hello", "Ada"]), @"
    exit: 0
    ----- stdout -----
    hello Ada
    ----- stderr -----
    ");
    kf_snapshot!(home.run(["command", "describe", "hello"]), @"
    exit: 0
    ----- stdout -----
    Command    hello 0.1.0
    About      Say hello
    Usage      kf hello [OPTIONS] [NAME]
    Registry   built in
    Signed by  kubeflow ([DIGEST])
    Digest     sha256 [DIGEST]
    Installed  with kf 0.1.0

    hello requests no rights: no cluster, no network, no files, no secrets.
    ----- stderr -----
    ");
    let help = home.run(["--help"]).success().stdout;
    assert!(["hello", "train", "whoami"].iter().all(|name| help.contains(&format!("  {name} "))), "{help}");
    kf_snapshot!(home.run(["whoami"]), @"
    exit: 3
    ----- stdout -----
    ----- stderr -----
    error: no kubeconfig: [HOME]/.kube/config does not exist
    hint: get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …
    ");
}

#[test]
fn second_run_compiles_nothing() {
    let home = Home::with_built_in();
    home.run(["hello"]).success();
    let compiled = home.state();
    assert_eq!(compiled.keys().filter(|path| path.extension().is_some_and(|end| end == "cwasm")).count(), 1);
    assert_eq!(home.run_unchanged(["hello"]).success().stderr, "");
    assert_eq!(home.state(), compiled);
}

#[test]
fn removed_built_in_command_is_disabled_until_added_again() {
    let home = Home::with_built_in();
    kf_snapshot!(home.run(["command", "remove", "hello"]), @"
    exit: 0
    ----- stdout -----
    Removed hello
    ----- stderr -----
    hello is built in; `kf command add hello` enables it again
    ");
    kf_snapshot!(home.run(["hello"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no command `hello`
    hint: kf command add hello
    ");
    assert_eq!(listed(&home, "hello"), "");
    let available = home.run(["command", "list", "--available"]).stdout;
    assert!(
        available.lines().any(|line| line.contains("hello") && line.contains("not installed")),
        "{available}"
    );
    assert_eq!(described(&home, "hello")["installed"], Value::Null);
    kf_snapshot!(home.run(["command", "remove", "hello"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: hello is not installed
    hint: kf command add hello
    ");
    kf_snapshot!(home.run(["command", "add", "hello"]), @"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0 (built in)
    ----- stderr -----
    ");
    kf_snapshot!(home.run(["command", "add", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is built in
    ");
    home.run(["hello"]).success();
}

#[test]
fn newer_version_by_same_author_upgrades_built_in() {
    let (home, newer) = (Home::with_built_in(), published(&version("0.2.0")));
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is up to date
    ");
    set_up(&home, newer.path());
    kf_snapshot!(home.run(["command", "upgrade"]), @"
    exit: 0
    ----- stdout -----
    NAME   VERSION  NEWEST  SOURCE
    hello  0.1.0    0.2.0   built in
    ----- stderr -----
    upgrade one with `kf command upgrade NAME`, or all with `kf command upgrade --all`
    ");
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    Upgraded hello to 0.2.0
    ----- stderr -----
    hello 0.1.0 → 0.2.0 by kubeflow ([SIZE], sha256 [DIGEST])
    ");
    assert_eq!(listed(&home, "hello"), "hello 0.2.0 kubeflow, upgrades the built-in 0.1.0 Say hello");
    home.run(["hello"]).success();
    kf_snapshot!(home.run(["command", "replace", "hello", "--restore"]), @"
    exit: 0
    ----- stdout -----
    Restored hello 0.1.0 (built in)
    ----- stderr -----
    removed hello 0.2.0 (kubeflow)
    ");
    assert_eq!(listed(&home, "hello"), "hello 0.1.0 built in Say hello");
}

#[test]
fn newer_version_by_another_author_needs_replace() {
    let other = Registry { same_author: false, ..version("0.2.0") };
    let (home, other) = (Home::with_built_in(), published(&other));
    set_up(&home, other.path());
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is up to date
    ");
    kf_snapshot!(home.run_unchanged(["command", "add", "kubeflow/hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is built in: kubeflow/hello@0.2.0 is not a newer version by the same author
    hint: kf command replace hello --with kubeflow/hello@0.2.0
    ");
    kf_snapshot!(home.run_unchanged(["command", "replace", "hello", "--with", "kubeflow/hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    hello 0.2.0 by kubeflow ([SIZE], sha256 [DIGEST])
    warning: hello is signed by a different kubeflow: no key matches the installed version
    hello requests no rights: no cluster, no network, no files, no secrets.
    error: not a terminal: refusing to add hello without confirmation
    hint: kf command replace hello --with kubeflow/hello@0.2.0 --accept [DIGEST]
    ");
    accepted(&home, &["command", "replace", "hello", "--with", "kubeflow/hello"]);
    assert_eq!(listed(&home, "hello"), "hello 0.2.0 kubeflow, replaces the built-in 0.1.0 Say hello");
    let described = described(&home, "hello");
    assert_eq!(described["insteadOf"]["source"], "built in");
    home.run(["hello"]).success();
    home.run(["command", "replace", "hello", "--restore"]).success();
    assert_eq!(listed(&home, "hello"), "hello 0.1.0 built in Say hello");
}

#[test]
fn newer_built_in_version_runs_instead_of_added_one() {
    let (home, older) = (Home::with_built_in(), published(&version("0.0.9")));
    // As left by an earlier kf without built-in commands.
    let earlier = |words: &[&str]| Ran::of(&output_of(&mut home.command(&kf_program(), words)), home.path());
    let (url, root) = registry::location(older.path());
    earlier(&["registry", "add", "kubeflow", &url, "--root", &root.display().to_string()]).success();
    earlier(&["command", "add", "hello"]).success();
    assert_eq!(listed(&home, "hello"), "hello 0.1.0 built in, newer than 0.0.9 from kubeflow Say hello");
    let described = described(&home, "hello");
    assert_eq!(
        (&described["version"], &described["insteadOf"]["version"]),
        (&"0.1.0".into(), &"0.0.9".into())
    );
    home.run(["hello"]).success();
}

#[test]
fn local_component_replaces_built_in_command() {
    let home = Home::with_built_in();
    let path = component("train").display().to_string();
    let refused = home.run_unchanged(["command", "add", &path]).code(8);
    assert!(
        refused.stderr.contains(&format!("hint: kf command replace train --with {path}")),
        "{}",
        refused.transcript()
    );
    // It asks for more rights than an unsigned file may have.
    home.run_unchanged(["command", "replace", "train", "--with", &path]).code(8);
    let path = component("whoami").display().to_string();
    // An earlier replacement of the name is replaced.
    home.run(["command", "replace", "whoami", "--with", "hello"]).success();
    accepted(&home, &["command", "replace", "whoami", "--with", &path]);
    home.run(["whoami"]).code(3);
    assert_eq!(
        listed(&home, "whoami"),
        "whoami 0.1.0 local, replaces the built-in 0.1.0 Show your user, groups and role"
    );
    home.run(["command", "replace", "whoami", "--restore"]).success();
    assert!(listed(&home, "whoami").contains("built in"));
}

#[test]
fn built_in_command_replaces_another_name() {
    let home = Home::with_built_in();
    kf_snapshot!(home.run(["command", "replace", "hi", "--with", "hello"]), @"
    exit: 0
    ----- stdout -----
    Replaced hi with hello 0.1.0 (built in)
    ----- stderr -----
    undo with `kf command replace hi --restore`
    ");
    kf_snapshot!(home.run(["hi", "Ada"]), @"
    exit: 0
    ----- stdout -----
    hello Ada
    ----- stderr -----
    ");
    kf_snapshot!(home.run(["command", "remove", "hello"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot remove hello: it replaces hi
    hint: kf command replace hi --restore
    ");
    kf_snapshot!(home.run(["command", "replace", "hi", "--restore"]), @"
    exit: 0
    ----- stdout -----
    Restored hi
    ----- stderr -----
    ");
    home.run(["hi"]).code(5);
}

#[test]
fn blocked_built_in_command_does_not_run() {
    let home = Home::with_built_in();
    let sha256 = described(&home, "hello")["sha256"].as_str().unwrap().to_owned();
    let blocking = published(&version("0.1.0"));
    set_up(&home, blocking.path());
    home.run(["hello"]).success();
    Registry { blocked: Some((sha256, "it was stolen")), ..version("0.1.0") }.publish(blocking.path());
    home.run(["command", "upgrade"]);
    fs_err::rename(blocking.path().join("published"), blocking.path().join("away")).unwrap();
    kf_snapshot!(home.run(["hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is blocked: it was stolen (registry kubeflow)
    hint: kf command upgrade hello
    ");
    assert!(listed(&home, "hello").contains("blocked: it was stolen"), "{}", listed(&home, "hello"));
    home.run(["registry", "remove", "kubeflow"]).success();
    home.run(["hello"]).success();
}

#[test]
fn blocked_upgrade_hints_restoring_built_in_command() {
    let home = Home::with_built_in();
    let newer = published(&version("0.2.0"));
    set_up(&home, newer.path());
    home.run(["command", "upgrade", "hello"]).success();
    let receipt = home.path().join(".local/share/kf/receipts/hello.json");
    let mut blocked: Value = serde_json::from_str(&fs_err::read_to_string(&receipt).unwrap()).unwrap();
    blocked["blocked"] = "it was stolen".into();
    fs_err::write(&receipt, blocked.to_string()).unwrap();
    let refused = home.run(["hello"]).code(8);
    let hint = hinted(&refused);
    kf_snapshot!(refused, @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.2.0 is blocked by registry kubeflow: it was stolen
    hint: kf command replace hello --restore
    ");
    home.run(hint).success();
    home.run(["hello"]).success();
}

#[test]
fn unreadable_decision_file_disables_built_in_command() {
    let home = Home::with_built_in();
    home.run(["command", "remove", "hello"]).success();
    let decision = home.path().join(".local/share/kf/built-in/hello.json");
    for text in
        ["", "{}", "{\"format\":2,\"name\":\"hello\"}", "{\"format\":1,\"name\":\"train\",\"off\":true}"]
    {
        fs_err::write(&decision, text).unwrap();
        let refused = home.run_unchanged(["hello"]);
        assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.transcript());
        assert!(refused.stderr.contains("built-in/hello.json"), "{}", refused.transcript());
        home.run(["command", "list"]).success();
    }
}

/// No user can create files in `/proc`.
#[test]
fn unwritable_home_works_without_cache() {
    let home = Home::with_built_in().env("KF_HOME", "/proc/kf");
    kf_snapshot!(home.run(["hello"]), @"
    exit: 0
    ----- stdout -----
    hello world
    ----- stderr -----
    warning: cannot cache the compiled code of hello: cannot write to /proc/kf/data: No such file or directory (os error 2)
    ");
}

#[test]
fn full_disk_works_without_cache() {
    if skip_without_namespaces("full_disk_works_without_cache") {
        return;
    }
    let home = Home::with_built_in();
    kf_snapshot!(run_on_full_disk(&home, &["hello"]), @"
    exit: 0
    ----- stdout -----
    hello world
    ----- stderr -----
    warning: cannot cache the compiled code of hello: cannot write to [HOME]/.local/share/kf/store/format: no storage space
    ");
    kf_snapshot!(run_on_full_disk(&home, &["command", "remove", "hello"]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: cannot write to [HOME]/.local/share/kf/built-in/hello.json: no storage space
    hint: free some space, or set KF_HOME to a folder on another disk
    ");
    home.run(["hello"]).success();
}

#[test]
fn concurrent_first_runs_succeed() {
    let home = Home::with_built_in();
    let runs: Vec<_> = (0..6)
        .map(|_| home.kf(["hello"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        .collect();
    for run in runs {
        let ran = Ran::of(&run.wait_with_output().unwrap(), home.path()).success();
        assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("hello world\n", ""));
    }
}

#[test]
fn default_registry_is_set_up_until_removed() {
    let home = Home::with_built_in();
    let listed = home.run(["registry", "list"]).success();
    assert!(
        listed.row("kubeflow").contains(&built_in::published().display().to_string()),
        "{}",
        listed.transcript()
    );
    home.run(["command", "list", "--available"]).success();
    kf_snapshot!(home.run(["registry", "remove", "kubeflow"]), @"
    exit: 0
    ----- stdout -----
    Removed registry kubeflow
    ----- stderr -----
    ");
    kf_snapshot!(home.run(["registry", "list"]), @"
    exit: 0
    ----- stdout -----
    NAME  URL  EXPIRES  ROOT
    ----- stderr -----
    no registry is set up; add one with `kf registry add NAME URL --root root.json`
    ");
    kf_snapshot!(home.run(["registry", "remove", "kubeflow"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: registry kubeflow is not configured
    hint: kf registry add kubeflow URL --root root.json
    ");
    kf_snapshot!(home.run(["command", "upgrade"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    cannot upgrade built-in commands: no registry is set up
    hint: kf registry add NAME URL --root root.json
    ");
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    cannot upgrade built-in commands: no registry is set up
    hint: kf registry add NAME URL --root root.json
    ");
}

#[test]
fn default_registry_at_another_url_needs_no_root() {
    let (home, mirror) = (Home::with_built_in(), tempfile::tempdir().unwrap());
    registry::copy(&built_in::published().join("."), mirror.path());
    let url = format!("file://{}", mirror.path().display());
    kf_snapshot!(home.run(["registry", "add", "team", &url]).masked(&mirror.path().display().to_string(), "[MIRROR]"), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: either `--root` or `--root-sha256` is required
    hint: kf registry add team file://[MIRROR] --root root.json
    ");
    home.run(["registry", "add", "kubeflow", &url]).success();
    let listed = home.run(["registry", "list"]).success();
    assert!(listed.row("kubeflow").contains(&url), "{}", listed.transcript());
    // A registry signed with other keys is refused.
    let other = published(&Registry { same_author: false, ..version("0.2.0") });
    home.run(["registry", "remove", "kubeflow"]).success();
    let (other, _) = registry::location(other.path());
    assert_eq!(home.run(["registry", "add", "kubeflow", &other]).code, Some(8));
    assert!(!home.run(["registry", "list"]).stdout.contains("kubeflow"));
}

#[test]
fn unreachable_registry_is_reported_once() {
    let home = Home::with_built_in();
    let url = format!("http://{}", servers::closed());
    home.run(["registry", "add", "kubeflow", &url]).success();
    for words in [&["command", "upgrade"][..], &["command", "upgrade", "--all"]] {
        let ran = home.run(words).code(7);
        assert_eq!(ran.stderr.matches(url.trim_start_matches("http://")).count(), 1, "{}", ran.transcript());
    }
    home.run(["hello"]).success();
}
