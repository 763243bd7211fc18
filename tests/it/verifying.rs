//! `kf command verify` and `kf command outdated`.

use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use serde_json::Value;

use crate::common::Home;
use crate::common::registry::{self, hinted, set_up};
use crate::common::versions::Version;
use crate::kf_snapshot;

/// The stored file of a part of `hello`, and its receipt.
fn stored(home: &Home, kind: &str, extension: &str) -> PathBuf {
    let receipt = fs_err::read(home.path().join(".local/share/kf/receipts/hello.json")).unwrap();
    let receipt: Value = serde_json::from_slice(&receipt).unwrap();
    let part = receipt["parts"].as_array().unwrap().iter().find(|part| part["kind"] == kind).unwrap();
    let digest = part["sha256"].as_str().unwrap();
    home.path().join(format!(".local/share/kf/store/v1/{digest}.{extension}"))
}

#[test]
fn intact_commands_are_ok_without_network() {
    let home = Home::with_commands(&["hello", "whoami"]).env("HTTPS_PROXY", "http://127.0.0.1:1");
    kf_snapshot!(home.run_unchanged(["command", "verify"]), @"
    exit: 0
    ----- stdout -----
    NAME    VERSION  SOURCE    RESULT
    hello   0.1.0    kubeflow  ok
    whoami  0.1.0    kubeflow  ok
    ----- stderr -----
    ");
    let verified = home.run_unchanged(["command", "verify", "hello", "-o", "json"]).success();
    let verified: Value = serde_json::from_str(&verified.stdout).unwrap();
    assert_eq!(
        verified,
        serde_json::json!([{
            "name": "hello", "version": "0.1.0", "source": "kubeflow", "ok": true, "problems": [], "notes": [],
        }])
    );
    kf_snapshot!(home.run_unchanged(["command", "verify", "train"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: train is not installed
    hint: kf command add train
    ");
    let built_in = Home::with_built_in();
    assert!(built_in.run_unchanged(["command", "verify"]).success().row("hello").ends_with("built in ok"));
}

#[test]
fn damaged_files_are_named_and_mended_by_hint() {
    for (kind, extension) in [("component", "wasm"), ("manifest", "toml"), ("commands", "json")] {
        let home = Home::with_commands(&["hello", "whoami"]);
        let file = stored(&home, kind, extension);
        let mut bytes = fs_err::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs_err::write(&file, bytes).unwrap();
        let damaged = home.run_unchanged(["command", "verify"]).code(8);
        if kind == "component" {
            kf_snapshot!(damaged.clone(), @"
            exit: 8
            ----- stdout -----
            NAME    VERSION  SOURCE    RESULT
            hello   0.1.0    kubeflow  the stored component has sha256 [DIGEST], expected [DIGEST]: it was changed after verification
            whoami  0.1.0    kubeflow  ok
            ----- stderr -----
            error: 1 of 2 commands is damaged
            hint: kf command add kubeflow/hello@0.1.0
            ");
        }
        assert!(damaged.row("whoami").ends_with(" ok"), "{}", damaged.transcript());
        home.run(hinted(&damaged)).success();
        home.run(["command", "verify"]).success();
        fs_err::remove_file(&file).unwrap();
        let missing = home.run_unchanged(["command", "verify", "hello"]).code(8);
        assert!(missing.stdout.contains("missing from the store"), "{}", missing.transcript());
        home.run(hinted(&missing)).success();
        home.run(["command", "verify"]).success();
    }
}

#[test]
fn damaged_receipt_and_unsafe_folder_are_named() {
    let home = Home::with_commands(&["hello", "whoami"]);
    fs_err::write(home.path().join(".local/share/kf/receipts/hello.json"), "{").unwrap();
    kf_snapshot!(home.run_unchanged(["command", "verify"]), @"
    exit: 8
    ----- stdout -----
    NAME    VERSION  SOURCE    RESULT
    hello   -        -         invalid receipt of hello: EOF while parsing an object at line 1 column 1
    whoami  0.1.0    kubeflow  ok
    ----- stderr -----
    error: 1 of 2 commands is damaged
    hint: kf command remove hello && kf command add hello
    ");

    let home = Home::with_commands(&["hello"]);
    let compiled = home.path().join(".local/share/kf/compiled");
    fs_err::set_permissions(&compiled, std::fs::Permissions::from_mode(0o777)).unwrap();
    let ran = home.run_unchanged(["command", "verify"]).code(8);
    assert!(ran.stdout.contains("is not safe to use"), "{}", ran.transcript());
    assert!(ran.stderr.contains("hint: chmod go-w "), "{}", ran.transcript());
}

#[test]
fn changes_in_registry_since_installation_are_named() {
    let out = tempfile::tempdir().unwrap();
    let home = Home::empty();
    let digest = Version::new("0.1.0").publish(out.path());
    set_up(&home, out.path());
    registry::add(&home, "hello");
    Version { yanked: &["0.1.0"], ..Version::new("0.2.0") }.publish(out.path());
    home.run(["command", "outdated"]).success();
    let ran = home.run_unchanged(["command", "verify"]).success();
    assert_eq!(ran.stderr, "hello: yanked by its registry\n");
    Version { blocked: &[&digest], ..Version::new("0.3.0") }.publish(out.path());
    home.run(["command", "outdated"]).success();
    kf_snapshot!(home.run_unchanged(["command", "verify"]), @"
    exit: 8
    ----- stdout -----
    NAME   VERSION  SOURCE    RESULT
    hello  0.1.0    kubeflow  hello 0.1.0 is blocked by registry kubeflow: it was stolen
    ----- stderr -----
    error: 1 of 1 command is damaged
    hint: kf command upgrade hello
    ");
    // Without the registry's state, everything else is still checked.
    home.run(["registry", "remove", "kubeflow"]).success();
    let ran = home.run_unchanged(["command", "verify"]).code(8);
    assert!(ran.stderr.contains("hello: not compared with registry kubeflow: "), "{}", ran.transcript());
}

#[test]
fn lost_replacement_is_named() {
    let home = Home::with_commands(&["hello", "whoami"]);
    home.run(["command", "replace", "whoami", "--with", "hello"]).success();
    fs_err::remove_file(home.path().join(".local/share/kf/receipts/hello.json")).unwrap();
    let ran = home.run_unchanged(["command", "verify"]).code(8);
    assert!(ran.stdout.contains("it is replaced by hello, which is not installed"), "{}", ran.transcript());
    assert!(ran.stderr.ends_with("hint: kf command replace whoami --restore\n"), "{}", ran.transcript());
}

#[test]
fn damaged_previous_version_is_a_note() {
    let out = tempfile::tempdir().unwrap();
    let home = Home::empty();
    let first = Version::new("0.1.0").publish(out.path());
    set_up(&home, out.path());
    registry::add(&home, "hello");
    Version::new("0.2.0").publish(out.path());
    home.run(["command", "upgrade", "hello"]).success();
    fs_err::remove_file(home.path().join(format!(".local/share/kf/store/v1/{first}.wasm"))).unwrap();
    let ran = home.run_unchanged(["command", "verify"]).success();
    assert!(
        ran.stderr.starts_with("hello: `kf command rollback hello` will not work: "),
        "{}",
        ran.transcript()
    );
}

#[test]
fn outdated_lists_newer_versions_and_succeeds() {
    let out = tempfile::tempdir().unwrap();
    let home = Home::empty();
    Version::new("0.1.0").publish(out.path());
    set_up(&home, out.path());
    registry::add(&home, "hello");
    kf_snapshot!(home.run(["command", "outdated"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    all commands are up to date
    ");
    assert_eq!(home.run(["command", "outdated", "-o", "json"]).success().stdout, "[]\n");
    Version::new("0.2.0").publish(out.path());
    kf_snapshot!(home.run(["command", "outdated"]), @"
    exit: 0
    ----- stdout -----
    NAME   VERSION  NEWEST  SOURCE
    hello  0.1.0    0.2.0   kubeflow
    ----- stderr -----
    upgrade one with `kf command upgrade NAME`, or all with `kf command upgrade --all`
    ");
    let listed = home.run(["command", "outdated", "-o", "json"]).success();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!(
        listed,
        serde_json::json!([{
            "name": "hello", "version": "0.1.0", "newest": "0.2.0", "source": "kubeflow", "yanked": false,
            "yankReason": null,
        }])
    );
    // Without a name, `upgrade` lists the same.
    let ran = home.run(["command", "upgrade"]).success();
    assert_eq!(ran.stdout, home.run(["command", "outdated"]).success().stdout);
    fs_err::rename(out.path().join("published"), out.path().join("away")).unwrap();
    home.run(["command", "outdated"]).code(7);
}

#[test]
fn reason_of_yank_is_shown_wherever_the_version_is() {
    let out = tempfile::tempdir().unwrap();
    let yank_reason = Some("it loses data");
    let home = Home::empty();
    Version::new("0.1.0").publish(out.path());
    set_up(&home, out.path());
    registry::add(&home, "hello");
    Version { yanked: &["0.1.0"], yank_reason, ..Version::new("0.2.0") }.publish(out.path());
    // The first refresh shows it already.
    kf_snapshot!(home.run(["command", "outdated"]), @"
    exit: 0
    ----- stdout -----
    NAME   VERSION         NEWEST  SOURCE
    hello  0.1.0 (yanked)  0.2.0   kubeflow
    ----- stderr -----
    warning: hello 0.1.0 was yanked by its registry: it loses data
    upgrade one with `kf command upgrade NAME`, or all with `kf command upgrade --all`
    ");
    let listed = home.run(["command", "outdated", "-o", "json"]).success();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    assert_eq!((&listed[0]["yanked"], &listed[0]["yankReason"]), (&true.into(), &"it loses data".into()));
    assert_eq!(
        home.run_unchanged(["command", "verify", "hello"]).success().stderr,
        "hello: yanked by its registry: it loses data\n"
    );
    home.run(["command", "upgrade", "hello"]).success();
    kf_snapshot!(home.run(["command", "rollback", "hello"]), @"
    exit: 0
    ----- stdout -----
    Rolled back hello from 0.2.0 to 0.1.0 (kubeflow)
    ----- stderr -----
    warning: hello 0.1.0 was yanked by its registry: it loses data
    `kf command upgrade hello` installs the newest version again
    ");
    home.run(["command", "remove", "hello"]).success();
    kf_snapshot!(home.run(["command", "add", "hello@0.1.0"]), @"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    hello 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    warning: hello 0.1.0 was yanked by its registry: it loses data
    hello requests no rights: no cluster, no network, no files, no secrets.
    ");
    home.run(["command", "upgrade", "hello"]).success();
    Version { yanked: &["0.2.0"], yank_reason, ..Version::new("0.2.0") }.publish(out.path());
    kf_snapshot!(home.run(["command", "outdated"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    warning: hello 0.2.0 was yanked by its registry: it loses data; no newer version is available
    ");
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    warning: hello 0.2.0 was yanked by its registry: it loses data; no newer version is available
    ");
    kf_snapshot!(home.run(["command", "add", "hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: refusing to downgrade hello from 0.2.0 (yanked by its registry: it loses data) to 0.1.0
    hint: kf command add kubeflow/hello@0.1.0
    ");
}

#[test]
fn yank_without_reason_or_newer_version_is_reported() {
    let out = tempfile::tempdir().unwrap();
    let home = Home::empty();
    Version::new("0.1.0").publish(out.path());
    set_up(&home, out.path());
    registry::add(&home, "hello");
    Version { yanked: &["0.1.0"], ..Version::new("0.1.0") }.publish(out.path());
    kf_snapshot!(home.run(["command", "outdated"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    warning: hello 0.1.0 was yanked by its registry; no newer version is available
    ");
    Version { yanked: &["0.1.0"], ..Version::new("0.2.0") }.publish(out.path());
    kf_snapshot!(home.run(["command", "outdated"]), @"
    exit: 0
    ----- stdout -----
    NAME   VERSION         NEWEST  SOURCE
    hello  0.1.0 (yanked)  0.2.0   kubeflow
    ----- stderr -----
    upgrade one with `kf command upgrade NAME`, or all with `kf command upgrade --all`
    ");
}
