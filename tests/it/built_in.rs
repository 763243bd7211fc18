//! What a kf that carries commands inside does in a home with nothing in it, and beside registries.

use std::process::Stdio;

use serde_json::Value;
use tempfile::TempDir;

use crate::common::built_in::{self, Registry, component};
use crate::common::registry::{self, hinted, set_up};
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

/// A line of `kf command list`, with one blank between words.
fn listed(home: &Home, name: &str) -> String {
    let list = home.run(["command", "list"]).success();
    let line =
        list.stdout.lines().find(|line| line.split_whitespace().next() == Some(name)).unwrap_or_default();
    line.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Runs a line that asks, and then the line that it hints at.
fn accepted(home: &Home, words: &[&str]) -> Ran {
    let asked = home.run(words).code(8);
    home.run(hinted(&asked)).success()
}

#[test]
fn fresh_home_lists_and_runs_built_in_commands() {
    let home = Home::with_built_in();
    kf_snapshot!(home.run(["command", "list"]), @"");
    kf_snapshot!(home.run(["hello", "Ada"]), @"");
    kf_snapshot!(home.run(["command", "describe", "hello"]), @"");
    let help = home.run(["--help"]).success().stdout;
    assert!(["hello", "train", "whoami"].iter().all(|name| help.contains(&format!("  {name} "))), "{help}");
    kf_snapshot!(home.run(["whoami"]), @"");
}

#[test]
fn second_run_compiles_nothing() {
    let home = Home::with_built_in();
    home.run(["hello"]).success();
    let compiled = home.state();
    assert_eq!(compiled.keys().filter(|path| path.extension().is_some_and(|end| end == "cwasm")).count(), 1);
    assert_eq!(home.run_in_vain(["hello"]).success().stderr, "");
    assert_eq!(home.state(), compiled);
}

#[test]
fn removed_command_is_off_until_it_is_added_again() {
    let home = Home::with_built_in();
    kf_snapshot!(home.run(["command", "remove", "hello"]), @"");
    kf_snapshot!(home.run(["hello"]), @"");
    assert_eq!(listed(&home, "hello"), "");
    let available = home.run(["command", "list", "--available"]).stdout;
    assert!(
        available.lines().any(|line| line.contains("hello") && line.contains("not installed")),
        "{available}"
    );
    assert_eq!(described(&home, "hello")["installed"], Value::Null);
    kf_snapshot!(home.run(["command", "remove", "hello"]), @"");
    kf_snapshot!(home.run(["command", "add", "hello"]), @"");
    kf_snapshot!(home.run(["command", "add", "hello"]), @"");
    home.run(["hello"]).success();
}

#[test]
fn newer_version_of_the_same_author_is_an_upgrade() {
    let (home, newer) = (Home::with_built_in(), published(&version("0.2.0")));
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"");
    set_up(&home, newer.path());
    kf_snapshot!(home.run(["command", "upgrade"]), @"");
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"");
    assert_eq!(listed(&home, "hello"), "hello 0.2.0 kubeflow, upgrades the built-in 0.1.0 Say hello");
    home.run(["hello"]).success();
    kf_snapshot!(home.run(["command", "replace", "hello", "--restore"]), @"");
    assert_eq!(listed(&home, "hello"), "hello 0.1.0 built in Say hello");
}

#[test]
fn newer_version_of_another_author_only_replaces() {
    let other = Registry { same_author: false, ..version("0.2.0") };
    let (home, other) = (Home::with_built_in(), published(&other));
    set_up(&home, other.path());
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"");
    kf_snapshot!(home.run_in_vain(["command", "add", "kubeflow/hello"]), @"");
    kf_snapshot!(home.run_in_vain(["command", "replace", "hello", "--with", "kubeflow/hello"]), @"");
    accepted(&home, &["command", "replace", "hello", "--with", "kubeflow/hello"]);
    assert_eq!(listed(&home, "hello"), "hello 0.2.0 kubeflow, replaces the built-in 0.1.0 Say hello");
    let described = described(&home, "hello");
    assert_eq!(described["insteadOf"]["source"], "built in");
    home.run(["hello"]).success();
    home.run(["command", "replace", "hello", "--restore"]).success();
    assert_eq!(listed(&home, "hello"), "hello 0.1.0 built in Say hello");
}

#[test]
fn built_in_command_newer_than_an_added_one_of_its_author_runs() {
    let (home, older) = (Home::with_built_in(), published(&version("0.0.9")));
    // As an earlier kf left it, that had none of its own.
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
fn local_component_replaces_a_built_in_command_of_its_name() {
    let home = Home::with_built_in();
    let path = component("train").display().to_string();
    let refused = home.run_in_vain(["command", "add", &path]).code(8);
    assert!(
        refused.stderr.contains(&format!("hint: kf command replace train --with {path}")),
        "{}",
        refused.transcript()
    );
    // It asks for more than a file that nobody vouches for may have.
    home.run_in_vain(["command", "replace", "train", "--with", &path]).code(8);
    let path = component("whoami").display().to_string();
    accepted(&home, &["command", "replace", "whoami", "--with", &path]);
    assert_eq!(
        listed(&home, "whoami"),
        "whoami 0.1.0 local, replaces the built-in 0.1.0 Show who the cluster thinks you are"
    );
    home.run(["command", "replace", "whoami", "--restore"]).success();
    assert!(listed(&home, "whoami").contains("built in"));
}

#[test]
fn built_in_command_answers_for_another() {
    let home = Home::with_built_in();
    kf_snapshot!(home.run(["command", "replace", "hi", "--with", "hello"]), @"");
    kf_snapshot!(home.run(["hi", "Ada"]), @"");
    kf_snapshot!(home.run(["command", "remove", "hello"]), @"");
    kf_snapshot!(home.run(["command", "replace", "hi", "--restore"]), @"");
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
    kf_snapshot!(home.run(["hello"]), @"");
    assert!(listed(&home, "hello").contains("blocked: it was stolen"), "{}", listed(&home, "hello"));
    home.run(["registry", "remove", "kubeflow"]).success();
    home.run(["hello"]).success();
}

#[test]
fn unreadable_decision_stops_a_built_in_command() {
    let home = Home::with_built_in();
    home.run(["command", "remove", "hello"]).success();
    let decision = home.path().join(".local/share/kf/built-in/hello.json");
    for text in
        ["", "{}", "{\"format\":2,\"name\":\"hello\"}", "{\"format\":1,\"name\":\"train\",\"off\":true}"]
    {
        fs_err::write(&decision, text).unwrap();
        let refused = home.run_in_vain(["hello"]);
        assert!(refused.code.is_some_and(|code| code != 0), "{}", refused.transcript());
        assert!(refused.stderr.contains("built-in/hello.json"), "{}", refused.transcript());
        home.run(["command", "list"]).success();
    }
}

/// `/proc` takes no files, whoever asks.
#[test]
fn home_that_cannot_be_written_works_without_a_cache() {
    let home = Home::with_built_in().env("KF_HOME", "/proc/kf");
    kf_snapshot!(home.run(["hello"]), @"");
}

#[test]
fn first_runs_at_once_all_work() {
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
fn default_registry_is_set_up_until_it_is_removed() {
    let home = Home::with_built_in();
    let listed = home.run(["registry", "list"]).success();
    assert!(listed.row("kubeflow").contains("/built-in/work/published"), "{}", listed.transcript());
    home.run(["command", "list", "--available"]).success();
    kf_snapshot!(home.run(["registry", "remove", "kubeflow"]), @"");
    kf_snapshot!(home.run(["registry", "list"]), @"");
    kf_snapshot!(home.run(["registry", "remove", "kubeflow"]), @"");
    kf_snapshot!(home.run(["command", "upgrade"]), @"");
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"");
}

#[test]
fn default_registry_at_another_address_needs_no_root() {
    let (home, mirror) = (Home::with_built_in(), tempfile::tempdir().unwrap());
    registry::copy(&built_in::published().join("."), mirror.path());
    let url = format!("file://{}", mirror.path().display());
    kf_snapshot!(home.run(["registry", "add", "team", &url]), @"");
    home.run(["registry", "add", "kubeflow", &url]).success();
    let listed = home.run(["registry", "list"]).success();
    assert!(listed.row("kubeflow").contains(&url), "{}", listed.transcript());
    // One that is signed with other keys is not it.
    let other = published(&Registry { same_author: false, ..version("0.2.0") });
    home.run(["registry", "remove", "kubeflow"]).success();
    let (other, _) = registry::location(other.path());
    assert_eq!(home.run(["registry", "add", "kubeflow", &other]).code, Some(8));
    assert!(!home.run(["registry", "list"]).stdout.contains("kubeflow"));
}
