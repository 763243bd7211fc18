//! The threats to a registry's users, each against the real `kf` with a registry over HTTP.
//!
//! Every run of kf is a new process, which knows only its home. A refused run exits with 8, prints one error, and changes
//! nothing but what it knows of the registry. Where a threat needs another clock or a server that never ends,
//! it is tested in the library as well.
//!
//! | | threat | tests here | in `kf-host/registry/tests/it` and elsewhere |
//! |---|---|---|---|
//! | T1 | a mirror changes a component | [`t1_changed_component_is_refused`] | `t1_*` |
//! | T2 | metadata of an unknown key, or below its threshold | [`t2_metadata_of_unknown_or_too_few_keys_is_refused`] | `t2_*` |
//! | T3 | an older timestamp, snapshot, targets or author's role | [`t3_older_role_is_refused_by_new_process`] | `t3_*` |
//! | T4 | an older root, or one that skips a version | [`t4_root_that_skips_version_is_refused`], [`t4_hidden_root_still_revokes_its_keys`] | `t4_*` |
//! | T5 | the same state for ever | [`t5_expired_role_is_refused`] | `t5_*` |
//! | T6 | a clock that was set back | [`t6_clock_behind_registry_is_refused`] | `t6_*` |
//! | T7 | parts of two states | [`t7_mixed_states_are_refused`] | `t7_*` |
//! | T8 | data without end, or too slow | [`t8_endless_metadata_is_refused`] | `t8_*` |
//! | T9 | versions so high that none can follow | [`t9_rotated_key_recovers_from_fast_forward`] | `conformance::rollback` |
//! | T10 | a name in a second registry | [`t10_name_of_another_registry_is_refused`] | `name_in_two_registries_is_ambiguous` |
//! | T11 | a mirror that withholds updates | [`t11_fresh_mirror_is_used_before_stale_one`] | `newest_valid_mirror_is_preferred` |
//! | T12 | an author's key is stolen | [`t12_author_signs_only_own_commands`], [`t12_revoked_author_key_is_refused`] | `t12_*` |
//! | T13 | the online keys are stolen | [`t13_online_keys_cannot_forge_targets`] | `t2_*` |
//! | T14 | an upgrade with more rights | [`t14_upgrade_with_more_rights_is_refused_without_consent`] | `upgrade_asks_only_for_new_rights` |
//! | T15 | a reserved or misleading name | [`t15_reserved_or_misleading_name_is_refused`] | `reserved_device_and_lookalike_names_are_refused` |
//! | T16 | a path in a name | [`t16_path_in_name_is_refused`] | `t16_*` |
//! | T17 | a link in the store | [`t17_linked_store_is_refused`] | `t17_*`, `tampered_files` |
//! | T18 | a component swapped after it was verified | [`t18_component_swapped_after_add_is_refused`] | `t18_*` |
//! | T19 | machine code of another component | [`t19_planted_machine_code_is_not_used`] | `tampered_files` |
//! | T20 | a blocked or yanked command | [`t20_blocked_command_does_not_run_offline`], [`t20_yanked_version_is_not_chosen`] | `t20_*` |
//! | T21 | control characters in texts | [`t21_text_of_registry_cannot_control_terminal`] | `hostile_text` |
//! | T22 | one key that signs twice | [`t22_key_counts_once`] | `t2_two_signatures_of_one_key_count_once`, `conformance::keys` |
//! | T23 | many processes at once | [`t23_parallel_adds_give_one_result`] | `interrupted` |

use std::os::unix::fs::symlink;

use kf_core::Digest;
use kf_core::text::is_unsafe;
use kf_registry::publish::SigningKey;
use serde_json::{Value, json};

use crate::common::lab::{Lab, in_days, pin, signed};
use crate::common::registry::try_build;
use crate::common::servers::EndlessServer;
use crate::common::terminal::Terminal;
use crate::common::{Home, registry};
use crate::kf_snapshot;

const ADD: [&str; 3] = ["command", "add", "hello"];
const UPGRADE: [&str; 3] = ["command", "upgrade", "hello"];

#[test]
fn t1_changed_component_is_refused() {
    let lab = Lab::new();
    for part in ["plugin.wasm", "plugin.toml", "command.json"] {
        let path = lab.target(&format!("plugins/hello/0.1.0/{part}"));
        let whole = fs_err::read(&path).unwrap();
        let mut changed = whole.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs_err::write(&path, changed).unwrap();
        let ran = lab.refused(&ADD);
        assert!(ran.stderr.contains(part) && ran.stderr.contains("sha256 mismatch"), "{}", ran.transcript());
        if part == "plugin.wasm" {
            kf_snapshot!(ran, @"
            exit: 8
            ----- stdout -----
            ----- stderr -----
            error: cannot verify registry lab: integrity check failed: plugins/hello/0.1.0/plugin.wasm: sha256 mismatch
            hint: retry, use another address, or tell the registry's admins: its files do not belong together
            ");
        }
        fs_err::write(&path, whole).unwrap();
    }
    lab.home.run(ADD).success();
}

#[test]
fn t2_metadata_of_unknown_or_too_few_keys_is_refused() {
    let [one, two] = [SigningKey::generate().unwrap(), SigningKey::generate().unwrap()];
    let lab = Lab::new();
    lab.publish_listed("targets", &[&one, &two], |_| {});
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: signature threshold not met for role targets: 0/2 valid signatures
    hint: ask the registry's admins who must sign the role targets
    ");
    let lab = Lab::new();
    lab.publish_listed("targets", &[lab.admins()[0]], |_| {});
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: signature threshold not met for role targets: 1/2 valid signatures
    hint: ask the registry's admins who must sign the role targets
    ");
    let lab = Lab::new();
    lab.publish_listed("author-alice", &[&one], |_| {});
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify hello of author alice in registry lab: signature threshold not met for role author-alice: 0/1 valid signatures
    hint: ask the author alice, or the admins of registry lab
    ");
    // By the keys that it needs, it is accepted.
    let lab = Lab::new();
    lab.publish_listed("targets", &lab.admins(), |_| {});
    lab.home.run(ADD).success();
}

#[test]
fn t3_older_role_is_refused_by_new_process() {
    // The mirror serves the whole earlier state.
    let lab = Lab::new();
    lab.save("old");
    lab.publish_hello("0.2.0", "");
    lab.refresh();
    lab.save("new");
    lab.restore("old");
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: rollback detected for timestamp: it has version 1, but version 2 was verified before
    hint: use an address that is up to date, or wait until this one is
    ");
    // With the stolen online keys it lists older versions of one role in a new state.
    let old = |role: &str| {
        let bytes = fs_err::read(lab.path(&format!("old/metadata/1.{role}.json"))).unwrap();
        let file: Value = serde_json::from_slice(&bytes).unwrap();
        pin(&file["signed"], &bytes)
    };
    lab.restore("new");
    lab.publish("timestamp", &[&lab.keys.timestamp], |body| body["meta"]["snapshot.json"] = old("snapshot"));
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: rollback detected for snapshot (via timestamp): it has version 1, but version 2 was verified before
    hint: use an address that is up to date, or wait until this one is
    ");
    lab.restore("new");
    lab.publish_snapshot(|meta| meta["author-alice.json"] = old("author-alice"));
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: rollback detected for author-alice.json (via snapshot): it has version 1, but version 2 was verified before
    hint: use an address that is up to date, or wait until this one is
    ");
    lab.restore("new");
    lab.publish_listed("targets", &lab.admins(), |_| {});
    lab.refresh();
    lab.publish_snapshot(|meta| meta["targets.json"] = old("targets"));
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: rollback detected for targets.json (via snapshot): it has version 1, but version 2 was verified before
    hint: use an address that is up to date, or wait until this one is
    ");
}

#[test]
fn t4_root_that_skips_version_is_refused() {
    let lab = Lab::new();
    let roots: Vec<&SigningKey> = lab.keys.root.iter().collect();
    lab.publish("root", &roots, |body| body["version"] = 3.into());
    fs_err::rename(lab.path("published/metadata/3.root.json"), lab.path("published/metadata/2.root.json"))
        .unwrap();
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: root version must increment by one: trusted 1, got 3
    hint: retry, use another address, or tell the registry's admins: its files do not belong together
    ");
}

/// Also if the refresh that saw the new root failed after it.
#[test]
fn t4_hidden_root_still_revokes_its_keys() {
    for fails in [false, true] {
        let lab = Lab::new();
        lab.save("before");
        let (roots, new): (Vec<&SigningKey>, _) =
            (lab.keys.root.iter().collect(), SigningKey::generate().unwrap());
        lab.publish("root", &roots, |body| {
            body["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
            body["roles"]["timestamp"]["keyids"] = json!([new.id()]);
        });
        if fails {
            // The timestamp is still the old one.
            lab.refused(&ADD);
        } else {
            lab.publish("timestamp", &[&new], |_| {});
            lab.refresh();
        }
        // A mirror with the old timestamp key hides the root that revokes it.
        lab.restore("before");
        lab.publish("timestamp", &[&lab.keys.timestamp], |body| body["version"] = 9.into());
        let ran = lab.refused(&ADD);
        if fails {
            kf_snapshot!(ran, @"
            exit: 8
            ----- stdout -----
            ----- stderr -----
            error: cannot verify registry lab: signature threshold not met for role timestamp: 0/1 valid signatures
            hint: ask the registry's admins which key signs the role timestamp
            ");
        }
    }
}

#[test]
fn t5_expired_role_is_refused() {
    let lab = Lab::new();
    lab.save("before");
    lab.publish("timestamp", &[&lab.keys.timestamp], |body| body["expires"] = in_days(-1));
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: timestamp metadata expired at [DATE]
    hint: ask the registry's admins to publish again, or use an address that is up to date
    ");
    // A stolen timestamp key does not renew the snapshot.
    lab.restore("before");
    let mut snapshot = lab.body("snapshot");
    snapshot["version"] = 2.into();
    snapshot["expires"] = in_days(-1);
    let bytes = signed(&snapshot, &[&lab.keys.snapshot]);
    fs_err::write(lab.path("published/metadata/2.snapshot.json"), &bytes).unwrap();
    lab.publish("timestamp", &[&lab.keys.timestamp], |body| {
        body["meta"]["snapshot.json"] = pin(&snapshot, &bytes)
    });
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: snapshot metadata expired at [DATE]
    hint: ask the registry's admins to publish again, or use an address that is up to date
    ");
}

/// A clock behind the registry is the same as a registry ahead of the clock.
#[test]
fn t6_clock_behind_registry_is_refused() {
    let lab = Lab::new();
    lab.save("before");
    lab.publish("timestamp", &[&lab.keys.timestamp], |body| {
        body["x-kf-signed-at"] = in_days(30);
        body["expires"] = in_days(60);
    });
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: the system clock ([DATE]) is behind the metadata of registry lab, signed at [DATE]: expired signatures would pass as valid
    hint: set the system clock and retry
    ");
    // Behind the last refresh, not behind what is served.
    lab.restore("before");
    lab.refresh();
    let state = lab.home.path().join(".local/share/kf/registries/lab/state.json");
    let mut text: Value = serde_json::from_slice(&fs_err::read(&state).unwrap()).unwrap();
    text["last_seen"] = in_days(30);
    fs_err::write(&state, text.to_string()).unwrap();
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: the system clock ([DATE]) is behind the last refresh of registry lab ([DATE]): expired signatures would pass as valid
    hint: set the system clock and retry
    ");
    assert_eq!(fs_err::read_to_string(&state).unwrap(), text.to_string(), "the state was replaced");
}

#[test]
fn t7_mixed_states_are_refused() {
    let lab = Lab::new();
    lab.save("old");
    lab.publish_hello("0.2.0", "");
    lab.save("new");
    let mixed = |role: &str| {
        lab.restore("old");
        let new = fs_err::read(lab.path(&format!("new/metadata/2.{role}.json"))).unwrap();
        fs_err::write(lab.path(&format!("published/metadata/1.{role}.json")), new).unwrap();
    };
    let home = Home::empty();
    let adding = ["registry", "add", "lab", lab.url(), "--root", &lab.root()];
    mixed("snapshot");
    let ran = home.run(adding).code(8);
    assert!(ran.stderr.contains("snapshot.json"), "{}", ran.transcript());
    mixed("author-alice");
    let home = Home::empty();
    home.run(adding).success();
    let ran = home.run_unchanged(ADD).code(8);
    assert!(ran.stderr.contains("integrity check failed: author-alice.json"), "{}", ran.transcript());
}

#[test]
fn t8_endless_metadata_is_refused() {
    let lab = Lab::new();
    let server = EndlessServer::serve(&lab.path("published"), "timestamp.json");
    let home = Home::empty();
    let ran = home.run(["registry", "add", "lab", &server.url, "--root", &lab.root()]).code(8);
    kf_snapshot!(ran.masked(&lab.root(), "[ROOT]"), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: metadata/timestamp.json is longer than 16384 bytes
    ");
    let server = EndlessServer::serve(&lab.path("published"), "plugin.wasm");
    let home = Home::empty();
    home.run(["registry", "add", "lab", &server.url, "--root", &lab.root()]).success();
    let ran = home.run_unchanged(ADD).code(8);
    assert!(ran.stderr.contains("is longer than"), "{}", ran.transcript());
}

#[test]
fn t9_rotated_key_recovers_from_fast_forward() {
    let lab = Lab::new();
    lab.save("before");
    lab.publish("timestamp", &[&lab.keys.timestamp], |body| body["version"] = (1_u64 << 53).into());
    lab.refresh();
    lab.restore("before");
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: rollback detected for timestamp: it has version 1, but version 9007199254740992 was verified before
    hint: use an address that is up to date, or wait until this one is
    ");
    let (roots, new): (Vec<&SigningKey>, _) =
        (lab.keys.root.iter().collect(), SigningKey::generate().unwrap());
    lab.publish("root", &roots, |body| {
        body["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
        body["roles"]["timestamp"]["keyids"] = json!([new.id()]);
    });
    lab.publish("timestamp", &[&new], |_| {});
    lab.home.run(ADD).success();
    // What is known now is the low version: the next one counts from there.
    lab.restore("before");
    lab.refused(&UPGRADE);
}

#[test]
fn t10_name_of_another_registry_is_refused() {
    let lab = Lab::with_hello();
    let other = Lab::new();
    lab.publish_hello("0.2.0", "");
    other.publish_hello("9.0.0", "");
    lab.home.run(["registry", "add", "other", other.url(), "--root", &other.root()]).success();
    kf_snapshot!(lab.refused(&["command", "add", "other/hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello was added from registry lab: remove it first to change its registry
    hint: kf command remove hello
    ");
    // An upgrade stays in its registry.
    lab.home.run(UPGRADE).success();
    assert_eq!(lab.home.run(["command", "list"]).success().row("hello"), "hello 0.2.0 lab Say hello");
}

#[test]
fn t11_fresh_mirror_is_used_before_stale_one() {
    let lab = Lab::new();
    lab.save("stale");
    lab.publish_hello("0.2.0", "");
    for (first, second) in [("stale", "published"), ("published", "stale")] {
        let home = Home::empty();
        let [first, second] = [first, second].map(|mirror| format!("file://{}", lab.path(mirror).display()));
        home.run(["registry", "add", "lab", &first, &second, "--root", &lab.root()]).success();
        home.run(ADD).success();
        assert_eq!(home.run(["command", "list"]).success().row("hello"), "hello 0.2.0 lab Say hello");
    }
}

#[test]
fn t12_author_signs_only_own_commands() {
    let lab = Lab::new();
    let alices = lab.body("author-alice")["targets"].to_string();
    let bobs: Value = serde_json::from_str(&alices.replace("0.1.0", "9.0.0")).unwrap();
    lab.publish_listed("author-bob", &[lab.bob()], |body| body["targets"] = bobs);
    lab.home.run(ADD).success();
    assert_eq!(lab.home.run(["command", "list"]).success().row("hello"), "hello 0.1.0 lab Say hello");
    // The admins say that bob owns hello, but have not delegated it to him.
    lab.publish_index(|index| index["plugins"]["hello"]["owner"] = "bob".into());
    kf_snapshot!(lab.refused(&UPGRADE), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify hello of author bob in registry lab: plugins/hello is delegated to author-alice, not to author-bob
    hint: ask the author bob, or the admins of registry lab
    ");
}

#[test]
fn t12_revoked_author_key_is_refused() {
    let lab = Lab::new();
    let new = SigningKey::generate().unwrap();
    lab.publish_listed("targets", &lab.admins(), |body| {
        let role = &mut body["delegations"]["roles"][0];
        assert_eq!(role["name"], "author-alice");
        role["keyids"] = json!([new.id()]);
        body["delegations"]["keys"][new.id()] = serde_json::to_value(new.public()).unwrap();
    });
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify hello of author alice in registry lab: signature threshold not met for role author-alice: 0/1 valid signatures
    hint: ask the author alice, or the admins of registry lab
    ");
    lab.publish_listed("author-alice", &[&new], |_| {});
    lab.home.run(ADD).success();
}

#[test]
fn t13_online_keys_cannot_forge_targets() {
    let lab = Lab::new();
    let online = [&lab.keys.snapshot, &lab.keys.timestamp];
    lab.save("before");
    lab.publish_listed("targets", &online, |_| {});
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: signature threshold not met for role targets: 0/2 valid signatures
    hint: ask the registry's admins who must sign the role targets
    ");
    lab.restore("before");
    lab.publish_listed("author-alice", &online, |_| {});
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify hello of author alice in registry lab: signature threshold not met for role author-alice: 0/1 valid signatures
    hint: ask the author alice, or the admins of registry lab
    ");
}

const READ_SECRETS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["secrets"]
verbs = ["get"]
"#;

#[test]
fn t14_upgrade_with_more_rights_is_refused_without_consent() {
    let lab = Lab::with_hello();
    let ceiling = READ_SECRETS.replace("permissions", "ceiling");
    lab.review("plugins/hello.toml", |text| text + &ceiling);
    lab.publish_hello("0.2.0", READ_SECRETS);
    // The admins allow it, which is written to the receipt, and the user has not.
    lab.refresh();
    kf_snapshot!(lab.refused(&UPGRADE), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 → 0.2.0 by alice ([SIZE], sha256 [DIGEST])
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
      + read                      secrets (dangerous)
    Dangerous: secrets hold credentials.
    error: not a terminal: refusing to upgrade hello and let it read secrets without confirmation
    hint: kf command add lab/hello@0.2.0 --accept [DIGEST]
    ");
    assert_eq!(lab.home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
}

#[test]
fn t15_reserved_or_misleading_name_is_refused() {
    for name in ["help", "registry", "nul", "com1", "h\u{435}llo", "Hello", "he--llo"] {
        // By the admins' build.
        let lab = Lab::new();
        for file in ["authors/alice.toml", "plugins/hello.toml"] {
            let path = lab.path("index").join(file);
            let text = fs_err::read_to_string(&path).unwrap();
            fs_err::write(path, text.replace("\"hello\"", &format!("{name:?}"))).unwrap();
        }
        let before = fs_err::read(lab.metadata("timestamp")).unwrap();
        let ran = try_build(&lab.path("index"), &lab.path("artifacts"), &lab.path("."));
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.transcript());
        assert!(ran.stderr.contains("invalid command name"), "{name}: {}", ran.transcript());
        assert_eq!(fs_err::read(lab.metadata("timestamp")).unwrap(), before, "{name} was published");
        // And by each user, if the admins sign it.
        let lab = Lab::new();
        lab.publish_index(|index| {
            let entry = index["plugins"]["hello"].clone();
            index["plugins"][name] = entry;
        });
        let ran = lab.refused(&ADD);
        if name == "help" {
            kf_snapshot!(ran, @"
            exit: 8
            ----- stdout -----
            ----- stderr -----
            error: cannot verify registry lab: cannot read index/plugins.json: invalid command name `help`: reserved by kf at line 1 column 216
            ");
        }
    }
}

#[test]
fn t16_path_in_name_is_refused() {
    let lab = Lab::new();
    lab.save("before");
    for name in ["../../bin/kf", "..", "a/b", "hello\0", "/etc/passwd"] {
        lab.restore("before");
        lab.publish_index(|index| {
            let entry = index["plugins"]["hello"].clone();
            index["plugins"][name] = entry;
        });
        let ran = lab.refused(&ADD);
        if name == ".." {
            kf_snapshot!(ran, @"
            exit: 8
            ----- stdout -----
            ----- stderr -----
            error: cannot verify registry lab: cannot read index/plugins.json: invalid command name `..`: must start with a lower-case letter at line 1 column 40
            ");
        }
    }
    let lab = Lab::new();
    lab.publish_listed("targets", &lab.admins(), |body| {
        body["delegations"]["roles"][0]["name"] = "../../../x".into();
    });
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify hello of author alice in registry lab: plugins/hello is delegated to ../../../x, not to author-alice
    hint: ask the author alice, or the admins of registry lab
    ");
    // A version that is a path is no release.
    let lab = Lab::new();
    let targets = lab.body("author-alice")["targets"].to_string();
    let targets: Value = serde_json::from_str(&targets.replace("hello/0.1.0", "hello/..")).unwrap();
    lab.publish_listed("author-alice", &[lab.alice()], |body| body["targets"] = targets);
    lab.home.run_unchanged(ADD).code(5);
}

#[test]
fn t17_linked_store_is_refused() {
    let lab = Lab::new();
    lab.refresh();
    let (store, elsewhere) = (lab.home.path().join(".local/share/kf/store"), lab.path("elsewhere"));
    fs_err::create_dir(&elsewhere).unwrap();
    symlink(&elsewhere, &store).unwrap();
    let ran = lab.refused(&ADD);
    assert_eq!(fs_err::read_dir(&elsewhere).unwrap().count(), 0, "{}", ran.transcript());
    kf_snapshot!(ran, @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 by alice ([SIZE], sha256 [DIGEST])
    hello requests no rights: no cluster, no network, no files, no secrets.
    error: [HOME]/.local/share/kf/store is not safe to use: it is a symbolic link
    hint: check who created [HOME]/.local/share/kf/store, then remove it
    ");
}

#[test]
fn t18_component_swapped_after_add_is_refused() {
    let lab = Lab::with_hello();
    let data = lab.home.path().join(".local/share/kf");
    let digest = Digest::of(&fs_err::read(lab.target("plugins/hello/0.1.0/plugin.wasm")).unwrap());
    // Compiled again, so that the component is read.
    fs_err::remove_dir_all(data.join("compiled")).unwrap();
    let component = data.join(format!("store/v1/{digest}.wasm"));
    let mut bytes = fs_err::read(&component).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs_err::write(component, bytes).unwrap();
    kf_snapshot!(lab.refused(&["hello", "Ada"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: the stored component has sha256 [DIGEST], expected [DIGEST]: it was changed after verification
    hint: kf command verify
    ");
}

/// Machine code cannot be verified, so only what kf itself compiled for this component and this engine is used.
#[test]
fn t19_planted_machine_code_is_not_used() {
    let lab = Lab::with_hello();
    let receipt = lab.home.path().join(".local/share/kf/receipts/hello.json");
    let text: Value = serde_json::from_slice(&fs_err::read(&receipt).unwrap()).unwrap();
    let compiled = lab.home.path().join(".local/share/kf/compiled").join(text["compiled"].as_str().unwrap());
    let planted = |name: &str, bytes: &[u8]| {
        let path = compiled.with_file_name(name);
        fs_err::write(&path, bytes).unwrap();
        path
    };
    // Under another name it is not looked at.
    planted("evil.cwasm", b"evil");
    assert_eq!(lab.home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
    // A receipt that names it is refused.
    let mut edited = text.clone();
    for name in ["../evil.cwasm", "/tmp/evil.cwasm", "x/evil.cwasm"] {
        edited["compiled"] = name.into();
        fs_err::write(&receipt, edited.to_string()).unwrap();
        let ran = lab.home.run(["hello", "Ada"]);
        assert!(ran.code == Some(8) || ran.stdout == "hello Ada\n", "{name}: {}", ran.transcript());
    }
    fs_err::write(&receipt, text.to_string()).unwrap();
    // One that is not machine code of this engine is compiled again.
    fs_err::remove_file(&compiled).unwrap();
    planted(compiled.file_name().unwrap().to_str().unwrap(), b"evil");
    assert_eq!(lab.home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
}

#[test]
fn t20_blocked_command_does_not_run_offline() {
    let lab = Lab::with_hello();
    let digest = Digest::of(&fs_err::read(lab.target("plugins/hello/0.1.0/plugin.wasm")).unwrap());
    lab.review("plugins/hello.toml", |text| {
        format!("{text}[[blocked]]\nsha256 = \"{digest}\"\nreason = \"it phones home\"\n")
    });
    lab.refresh();
    // Nothing is served any more.
    fs_err::remove_dir_all(lab.path("published")).unwrap();
    kf_snapshot!(lab.refused(&["hello", "Ada"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is blocked by registry lab: it phones home
    hint: kf command upgrade hello
    ");
}

#[test]
fn t20_yanked_version_is_not_chosen() {
    let lab = Lab::new();
    lab.publish_hello("0.2.0", "");
    lab.review("plugins/hello.toml", |text| format!("{text}yanked = [\"0.2.0\"]\n"));
    lab.home.run(ADD).success();
    assert_eq!(lab.home.run(["command", "list"]).success().row("hello"), "hello 0.1.0 lab Say hello");
}

const HOSTILE: &str =
    "oh\u{1b}[2J\u{1b}]0;root#\u{7} no \u{9b}31m \u{202e}txt\u{2066}\u{200b}.\u{ad}exe\r\nerror: x";

/// kf does not publish such texts, but the admins of another registry can sign them.
#[test]
fn t21_text_of_registry_cannot_control_terminal() {
    let lab = Lab::new();
    let digest = Digest::of(&fs_err::read(lab.target("plugins/hello/0.1.0/plugin.wasm")).unwrap());
    lab.publish_index(|index| {
        index["plugins"]["hello"]["summary"] = HOSTILE.into();
        index["plugins"]["hello"]["homepage"] = HOSTILE.into();
    });
    assert_shows_no_controls(&lab, &["command", "describe", "hello"]);
    lab.publish_catalogue(|commands| commands["hello"]["summary"] = HOSTILE.into());
    assert_shows_no_controls(&lab, &["command", "list", "--available"]);
    lab.publish_catalogue(|commands| commands["../hello"] = commands["hello"].clone());
    kf_snapshot!(lab.home.run(["command", "list", "--available"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: cannot read catalogue/commands.json: invalid command name `../hello`: must start with a lower-case letter at line 1 column 23
    ");
    lab.publish_catalogue(|commands| drop(commands.as_object_mut().unwrap().remove("../hello")));
    lab.publish_index(|index| index["blocked"] = json!([{ "sha256": digest, "reason": HOSTILE }]));
    assert_shows_no_controls(&lab, &ADD);
}

#[track_caller]
fn assert_shows_no_controls(lab: &Lab, words: &[&str]) {
    let mut words = words.to_vec();
    words.extend(["--color", "never"]);
    let (_, screen) = Terminal::start(lab.home.kf(&words)).finish();
    let screen = String::from_utf8(screen).unwrap();
    // kf's own sequences, and the terminal's line ends.
    let own = ["\r\u{1b}[2K", "\u{1b}[2K", "\u{1b}[J", "\r\n"];
    let shown = own.iter().fold(screen.clone(), |text, own| text.replace(own, "\n"));
    assert!(!shown.contains(|c| is_unsafe(c) && c != '\n'), "{screen:?}");
    assert!(!shown.lines().any(|line| line.starts_with("error: x")), "{screen:?}");
    assert!(shown.contains("txt"), "{screen:?}");
}

#[test]
fn t22_key_counts_once() {
    let lab = Lab::new();
    let one = lab.admins()[0];
    lab.save("before");
    lab.publish_listed("targets", &[one, one], |_| {});
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: duplicate signature for role targets: key [DIGEST] signed it twice
    hint: ask the registry's admins who must sign the role targets
    ");
    // Listed twice, under two ids.
    lab.restore("before");
    let roots: Vec<&SigningKey> = lab.keys.root.iter().collect();
    lab.publish("root", &roots, |body| {
        let twin = body["keys"][one.id()].clone();
        body["keys"]["0".repeat(64)] = twin;
        let ids = body["roles"]["targets"]["keyids"].as_array_mut().unwrap();
        ids.push("0".repeat(64).into());
    });
    kf_snapshot!(lab.refused(&ADD), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry lab: role targets lists one key under two ids
    ");
}

#[test]
fn t23_parallel_adds_give_one_result() {
    let lab = Lab::new();
    let runs: Vec<_> = std::thread::scope(|scope| {
        let runs: Vec<_> = (0..16).map(|_| scope.spawn(|| lab.home.run(ADD))).collect();
        runs.into_iter().map(|run| run.join().unwrap()).collect()
    });
    assert!(runs.iter().any(|ran| ran.code == Some(0)));
    for ran in runs.iter().filter(|ran| ran.code != Some(0)) {
        assert!(ran.code == Some(1) && ran.stderr.contains("is changing hello"), "{}", ran.transcript());
    }
    assert_eq!(lab.home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
    let alone = Lab::with_hello();
    let names = |home: &Home| {
        let state = home.state();
        let names = state.keys().map(|path| path.strip_prefix(home.path()).unwrap().display().to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(&lab.home), names(&alone.home), "more files than after one run");
    registry::add(&lab.home, "hello");
}
