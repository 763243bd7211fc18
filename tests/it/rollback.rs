//! `kf command rollback`: back to the version before, without a network.

use std::path::Path;
use std::time::{Duration, SystemTime};

use tempfile::TempDir;

use crate::common::built_in::Registry;
use crate::common::registry::{self, set_up};
use crate::common::versions::{READ_PODS, Version};
use crate::common::{Home, Ran};
use crate::kf_snapshot;

fn folder() -> TempDir {
    tempfile::Builder::new().prefix("kf-registry-").tempdir().unwrap()
}

/// A home with `hello` added in the first version and upgraded to the second. Returns the digests of both.
fn upgraded(out: &Path, first: Version<'_>, second: Version<'_>) -> (Home, [String; 2]) {
    let home = Home::empty();
    let before = first.publish(out);
    set_up(&home, out);
    registry::add(&home, "hello");
    let after = second.publish(out);
    home.run(["command", "upgrade", "hello"]).success();
    (home, [before, after])
}

fn version(home: &Home) -> String {
    let listed = home.run(["command", "list"]).success();
    listed.row("hello").split(' ').nth(1).unwrap().to_owned()
}

fn previous(home: &Home) -> std::path::PathBuf {
    home.path().join(".local/share/kf/previous/hello.json")
}

/// Makes the registry unreachable, or reachable again.
fn rename(out: &Path, from: &str, to: &str) {
    fs_err::rename(out.join(from), out.join(to)).unwrap();
}

#[test]
fn rollback_restores_previous_version_without_registry() {
    let out = folder();
    let (home, _) = upgraded(out.path(), Version::new("0.1.0"), Version::new("0.2.0"));
    rename(out.path(), "published", "away");
    kf_snapshot!(home.run(["command", "rollback", "hello"]), @"
    exit: 0
    ----- stdout -----
    Rolled back hello from 0.2.0 to 0.1.0 (kubeflow)
    ----- stderr -----
    `kf command upgrade hello` installs the newest version again
    ");
    assert_eq!(home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
    assert_eq!(version(&home), "0.1.0");
    assert!(!previous(&home).exists());
    // Only one version is kept.
    kf_snapshot!(home.run_unchanged(["command", "rollback", "hello"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no previous version of hello 0.1.0 is kept
    hint: kf command add kubeflow/hello@VERSION adds another version
    ");
    rename(out.path(), "away", "published");
    home.run(["command", "upgrade", "hello"]).success();
    assert_eq!(version(&home), "0.2.0");
    home.run(["command", "rollback", "hello"]).success();
    assert_eq!(version(&home), "0.1.0");
}

#[test]
fn rollback_without_previous_version_is_refused() {
    let home = Home::with_commands(&["hello"]);
    kf_snapshot!(home.run_unchanged(["command", "rollback", "hello"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no previous version of hello 0.1.0 is kept
    hint: kf command add kubeflow/hello@VERSION adds another version
    ");
    kf_snapshot!(home.run_unchanged(["command", "rollback", "train"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: train is not installed
    hint: kf command add train
    ");
    let home = Home::with_built_in();
    kf_snapshot!(home.run_unchanged(["command", "rollback", "hello"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is built in: it has no previous version
    ");
    home.run(["command", "replace", "whoami", "--with", "hello"]).success();
    let ran = home.run_unchanged(["command", "rollback", "whoami"]).code(5);
    assert!(ran.stderr.ends_with("hint: kf command replace whoami --restore\n"), "{}", ran.transcript());
}

#[test]
fn blocked_previous_version_is_refused_offline() {
    let out = folder();
    let (home, [first, _]) = upgraded(out.path(), Version::new("0.1.0"), Version::new("0.2.0"));
    Version { blocked: &[&first], ..Version::new("0.3.0") }.publish(out.path());
    home.run(["command", "outdated"]).success();
    rename(out.path(), "published", "away");
    kf_snapshot!(home.run_unchanged(["command", "rollback", "hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is blocked by registry kubeflow: it was stolen
    hint: kf command upgrade hello
    ");
    assert_eq!(version(&home), "0.2.0");
}

#[test]
fn yanked_previous_version_is_restored_with_warning() {
    let out = folder();
    let (home, _) = upgraded(out.path(), Version::new("0.1.0"), Version::new("0.2.0"));
    Version { yanked: &["0.1.0"], ..Version::new("0.3.0") }.publish(out.path());
    home.run(["command", "outdated"]).success();
    let ran = home.run(["command", "rollback", "hello"]).success();
    assert!(ran.stderr.contains("warning: hello 0.1.0 was yanked by its registry"), "{}", ran.transcript());
}

#[test]
fn regained_rights_are_shown_within_todays_ceiling() {
    let first = Version { rules: READ_PODS, ..Version::new("0.1.0") };
    let out = folder();
    let (home, _) =
        upgraded(out.path(), first, Version { ceiling: Some(READ_PODS), ..Version::new("0.2.0") });
    kf_snapshot!(home.run(["command", "rollback", "hello"]), @"
    exit: 0
    ----- stdout -----
    Rolled back hello from 0.2.0 to 0.1.0 (kubeflow)
    ----- stderr -----
    It may again read pods
    `kf command upgrade hello` installs the newest version again
    ");
    // The registry lowers the ceiling while the later version is installed.
    let out = folder();
    let (home, _) = upgraded(out.path(), first, Version::new("0.2.0"));
    kf_snapshot!(home.run(["command", "rollback", "hello"]), @"
    exit: 0
    ----- stdout -----
    Rolled back hello from 0.2.0 to 0.1.0 (kubeflow)
    ----- stderr -----
    Its registry no longer allows it to read pods
    `kf command upgrade hello` installs the newest version again
    ");
    let described = home.run(["command", "describe", "hello"]).success();
    assert!(described.stdout.contains("Its registry no longer allows it to"), "{}", described.transcript());
}

#[test]
fn kept_receipt_with_other_rights_is_refused() {
    let out = folder();
    let (home, _) =
        upgraded(out.path(), Version { rules: READ_PODS, ..Version::new("0.1.0") }, Version::new("0.2.0"));
    let text = fs_err::read_to_string(previous(&home)).unwrap();
    let more = text.replace("\"list\"", "\"delete\"");
    assert_ne!(more, text);
    fs_err::write(previous(&home), more).unwrap();
    let ran = home.run_unchanged(["command", "rollback", "hello"]).code(8);
    assert!(ran.stderr.contains("its rights differ from those that were accepted"), "{}", ran.transcript());
    assert_eq!(version(&home), "0.2.0");
}

#[test]
fn damaged_previous_component_is_refused() {
    let out = folder();
    let (home, [first, _]) = upgraded(out.path(), Version::new("0.1.0"), Version::new("0.2.0"));
    let component = home.path().join(format!(".local/share/kf/store/v1/{first}.wasm"));
    let bytes = fs_err::read(&component).unwrap();
    fs_err::write(&component, [&bytes[..], &[0]].concat()).unwrap();
    kf_snapshot!(home.run_unchanged(["command", "rollback", "hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot go back to hello 0.1.0: the stored component has sha256 [DIGEST], expected [DIGEST]: it was changed after verification
    hint: kf command add kubeflow/hello@0.1.0
    ");
    fs_err::remove_file(&component).unwrap();
    home.run_unchanged(["command", "rollback", "hello"]).code(1);
    assert_eq!(version(&home), "0.2.0");
}

#[test]
fn removal_of_another_command_keeps_previous_version() {
    let out = folder();
    let (home, digests) = upgraded(out.path(), Version::new("0.1.0"), Version::new("0.2.0"));
    let (url, root) = registry::location(registry::published());
    home.run(["registry", "add", "lab", &url, "--root", &root.display().to_string()]).success();
    let refused = home.run(["command", "add", "lab/whoami"]).code(8);
    home.run(registry::hinted(&refused)).success();
    let old = SystemTime::now() - Duration::from_secs(3 * 24 * 3600);
    let store = home.path().join(".local/share/kf/store/v1");
    for entry in fs_err::read_dir(&store).unwrap() {
        let file = fs_err::OpenOptions::new().append(true).open(entry.unwrap().path()).unwrap();
        file.file().set_modified(old).unwrap();
    }
    let stored = |digest: &str| store.join(format!("{digest}.wasm")).exists();
    home.run(["command", "remove", "whoami"]).success();
    assert!(digests.iter().all(|digest| stored(digest)));
    home.run(["command", "rollback", "hello"]).success();
    home.run(["hello"]).success();
    assert!(stored(&digests[0]) && !stored(&digests[1]));
    // Nothing is kept of a removed command.
    home.run(["command", "upgrade", "hello"]).success();
    home.run(["command", "remove", "hello"]).success();
    assert!(!previous(&home).exists());
}

#[test]
fn rollback_restores_built_in_command() {
    let home = Home::with_built_in();
    let out = folder();
    Registry { version: "0.2.0", same_author: true, blocked: None }.publish(out.path());
    set_up(&home, out.path());
    home.run(["command", "upgrade", "hello"]).success();
    rename(out.path(), "published", "away");
    kf_snapshot!(home.run(["command", "rollback", "hello"]), @"
    exit: 0
    ----- stdout -----
    Rolled back hello from 0.2.0 to 0.1.0 (built in)
    ----- stderr -----
    `kf command upgrade hello` installs the newest version again
    ");
    assert_eq!(home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
    rename(out.path(), "away", "published");
    home.run(["command", "upgrade", "hello"]).success();
    assert_eq!(version(&home), "0.2.0");
}

#[test]
fn rollback_undoes_replacement_of_built_in_command() {
    let home = Home::with_built_in();
    let out = folder();
    Registry { version: "0.2.0", same_author: false, blocked: None }.publish(out.path());
    set_up(&home, out.path());
    let refused: Ran = home.run(["command", "replace", "hello", "--with", "kubeflow/hello"]).code(8);
    home.run(registry::hinted(&refused)).success();
    let ran = home.run(["command", "rollback", "hello"]).success();
    assert_eq!(ran.stdout, "Rolled back hello from 0.2.0 to 0.1.0 (built in)\n");
    home.run(["hello"]).success();
}
