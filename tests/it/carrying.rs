//! `kf command export` and `kf command import`: commands for machines without a network.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::common::registry::{self, location, publish_hello, published, set_up};
use crate::common::{Home, Ran, output_of};
use crate::kf_snapshot;

/// A home with the registry set up at an address that does not answer.
fn closed_site(out: &Path) -> Home {
    let home = Home::empty();
    let root = location(out).1.display().to_string();
    home.run(["registry", "add", "kubeflow", "http://127.0.0.1:1/registry", "--root", &root]).success();
    home
}

/// A folder to export to, which does not exist yet.
fn stick() -> (TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let stick = dir.path().join("stick");
    (dir, stick)
}

fn run(home: &Home, stick: &Path, arguments: &[&str]) -> Ran {
    home.run(arguments).masked(&stick.display().to_string(), "[STICK]")
}

/// Exports from a home with these commands.
fn export(names: &[&str]) -> (TempDir, PathBuf) {
    let (dir, stick) = stick();
    Home::with_commands(names).run(["command", "export", &stick.display().to_string()]).success();
    (dir, stick)
}

#[test]
fn hint_with_folder_works_in_shell() {
    let home = Home::with_commands(&["train"]);
    let folder = home.path().join("my stick");
    let exported = home.run(["command", "export", "my stick", "train"]).success();
    let line = "on the other machine: kf command import 'my stick'\n";
    assert!(exported.stderr.ends_with(line), "{}", exported.transcript());
    let other = closed_site(published());
    fs_err::rename(folder, other.path().join("my stick")).unwrap();
    let refused = other.run(["command", "import", "my stick", "train@>=0.1"]).code(8);
    let line = refused.stderr.lines().find_map(|line| line.strip_prefix("hint: ")).unwrap();
    let pasted = Ran::of(&output_of(&mut other.shell(line)), other.path()).success();
    assert_eq!(pasted.stdout, "Added train 0.1.0\n");
}

#[test]
fn exported_commands_are_imported_with_one_confirmation() {
    let home = Home::with_commands(&["hello", "logs", "run"]);
    let (_dir, folder) = stick();
    let path = folder.display().to_string();
    let ran = run(&home, &folder, &["command", "export", &path, "logs", "run", "hello"]);
    kf_snapshot!(ran, @"
    exit: 0
    ----- stdout -----
    Exported hello 0.1.0
    Exported logs 0.1.0
    Exported run 0.1.0
    ----- stderr -----
    16 files, [SIZE], valid until [DATE]
    on the other machine: kf command import [STICK]
    ");
    let other = closed_site(published());
    let refused = run(&other, &folder, &["command", "import", &path]);
    kf_snapshot!(refused, @"
    exit: 8
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    hello 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    hello requests no rights: no cluster, no network, no files, no secrets.
    logs 0.1.0 and run 0.1.0 by kubeflow
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
    In the namespace you use them in, together they may only:
      read                      training jobs, tuning experiments, notebooks,
                                workspaces, inference services, PyTorch jobs,
                                TensorFlow jobs, MPI jobs, XGBoost jobs, Paddle
                                jobs, JAX jobs, trials, Spark applications,
                                TensorBoards, job sets, jobs, pods, pod logs,
                                deployments, stateful sets, events and queued
                                workloads
      run commands in           pods (pods/exec), requested by run
    run may pass your terminal and stdin to programs in pods.
    Commands in a pod can use what the pod can: its service account, secrets and
    volumes.
    error: not a terminal: refusing to add logs and run without confirmation
    hint: kf command import [STICK] --accept [DIGEST]
    ");
    let words = registry::hinted(&other.run(["command", "import", &path]).code(8));
    kf_snapshot!(run(&other, &folder, &words.iter().map(String::as_str).collect::<Vec<_>>()), @"
    exit: 0
    ----- stdout -----
    Added logs 0.1.0
    Added run 0.1.0
    ----- stderr -----
    hello 0.1.0 is already added
    logs 0.1.0 and run 0.1.0 by kubeflow
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
    In the namespace you use them in, together they may only:
      read                      training jobs, tuning experiments, notebooks,
                                workspaces, inference services, PyTorch jobs,
                                TensorFlow jobs, MPI jobs, XGBoost jobs, Paddle
                                jobs, JAX jobs, trials, Spark applications,
                                TensorBoards, job sets, jobs, pods, pod logs,
                                deployments, stateful sets, events and queued
                                workloads
      run commands in           pods (pods/exec), requested by run
    run may pass your terminal and stdin to programs in pods.
    Commands in a pod can use what the pod can: its service account, secrets and
    volumes.
    ");
    assert_eq!(other.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
    kf_snapshot!(run(&other, &folder, &["command", "import", &path, "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is already added
    ");
    // The registry counts as refreshed.
    let listed = other.run(["doctor"]);
    assert!(listed.stdout.contains("✓ registry     kubeflow, valid for "), "{}", listed.transcript());
}

#[test]
fn command_that_was_not_exported_is_named() {
    let (_dir, folder) = export(&["hello"]);
    let path = folder.display().to_string();
    let other = closed_site(published());
    kf_snapshot!(run(&other, &folder, &["command", "import", &path, "train"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: train 0.1.0 is not in the export [STICK]
    hint: where the registry is reachable: kf command export DIR kubeflow/train@0.1.0
    ");
    kf_snapshot!(run(&other, &folder, &["command", "import", &path, "helo"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: command helo not found in registry kubeflow
    hint: did you mean hello? `kf command list --available` shows all
    ");
    // As an address of the registry, too.
    let mirrored = Home::empty();
    let (url, root) = (format!("file://{path}"), location(published()).1.display().to_string());
    mirrored.run(["registry", "add", "kubeflow", &url, "--root", &root]).success();
    mirrored.run(["command", "add", "hello"]).success();
    kf_snapshot!(run(&mirrored, &folder, &["command", "add", "whoami"]), @"
    exit: 7
    ----- stdout -----
    ----- stderr -----
    error: plugins/whoami/0.1.0/plugin.toml is signed by registry kubeflow, but missing from this copy of it
    ");
}

#[test]
fn export_needs_empty_folder_and_installed_commands() {
    let home = Home::with_commands(&["hello"]);
    let (_dir, folder) = stick();
    let path = folder.display().to_string();
    fs_err::create_dir(&folder).unwrap();
    fs_err::write(folder.join("thesis.txt"), "mine").unwrap();
    kf_snapshot!(run(&home, &folder, &["command", "export", &path]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: [STICK] is not empty
    ");
    assert_eq!(fs_err::read_dir(&folder).unwrap().count(), 1);
    fs_err::remove_file(folder.join("thesis.txt")).unwrap();
    kf_snapshot!(run(&home, &folder, &["command", "export", &path, "helo"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: command helo not found in registry kubeflow
    hint: did you mean hello? `kf command list --available` shows all
    ");
    kf_snapshot!(run(&home, &folder, &["command", "export", &path, "hello@7"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no version of hello matches ^7
    hint: kf command add kubeflow/hello@0.1.0
    ");
    assert_eq!(fs_err::read_dir(&folder).unwrap().count(), 0);
    kf_snapshot!(run(&Home::with_commands(&[]), &folder, &["command", "export", &path]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no command from registry kubeflow is installed
    hint: `kf command list --available` shows what can be exported
    ");
    kf_snapshot!(run(&Home::empty(), &folder, &["command", "export", &path]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no registry configured
    hint: kf registry add NAME URL --root root.json
    ");
}

#[test]
fn export_without_network_uses_last_state_and_store() {
    let out = tempfile::tempdir().unwrap();
    publish_hello("0.1.0", "", "", out.path());
    let home = Home::empty();
    set_up(&home, out.path());
    registry::add(&home, "hello");
    let root = fs_err::read(location(out.path()).1).unwrap();
    fs_err::remove_dir_all(out.path().join("published")).unwrap();
    let (_dir, folder) = stick();
    let path = folder.display().to_string();
    let ran = run(&home, &folder, &["command", "export", &path]);
    kf_snapshot!(ran.masked(&out.path().display().to_string(), "[REGISTRY]"), @"
    exit: 0
    ----- stdout -----
    Exported hello 0.1.0
    ----- stderr -----
    warning: exported the state of the last refresh: cannot reach registry kubeflow: timestamp.json not found
    9 files, [SIZE], valid until [DATE]
    on the other machine: kf command import [STICK]
    ");
    let other = Home::empty();
    let pinned = other.path().join("root.json");
    fs_err::write(&pinned, root).unwrap();
    let pinned = pinned.display().to_string();
    other.run(["registry", "add", "kubeflow", "file:///nowhere", "--root", &pinned]).success();
    other.run(["command", "import", &path]).success();
    assert_eq!(other.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
}

#[test]
fn older_export_is_refused() {
    let out = tempfile::tempdir().unwrap();
    publish_hello("0.1.0", "", "", out.path());
    let home = Home::empty();
    set_up(&home, out.path());
    registry::add(&home, "hello");
    let (dir, folder) = stick();
    let newer = dir.path().join("newer");
    home.run(["command", "export", &folder.display().to_string()]).success();
    publish_hello("0.2.0", "", "", out.path());
    home.run(["command", "upgrade", "hello"]).success();
    home.run(["command", "export", &newer.display().to_string()]).success();
    let other = closed_site(out.path());
    other.run(["command", "import", &newer.display().to_string()]).success();
    let before = other.state();
    let ran = run(&other, &folder, &["command", "import", &folder.display().to_string()]);
    kf_snapshot!(ran, @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify registry kubeflow: rollback detected for timestamp: it has version 1, but version 2 was verified before
    hint: use an address that is up to date, or wait until this one is
    ");
    assert_eq!(other.state(), before);
}

/// The first file below a folder whose name has this ending.
fn file_in(folder: &Path, ending: &str) -> PathBuf {
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in fs_err::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                return path;
            }
        }
    }
    panic!("no {ending}");
}

#[test]
fn tampered_export_is_refused_and_changes_nothing() {
    let (_dir, folder) = export(&["hello"]);
    let path = folder.display().to_string();
    for ending in ["plugin.wasm", "plugin.toml", "command.json", "timestamp.json", "plugins.json"] {
        let other = closed_site(published());
        let file = file_in(&folder, ending);
        let original = fs_err::read(&file).unwrap();
        let mut bytes = original.clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs_err::write(&file, bytes).unwrap();
        let before = other.state();
        let ran = other.run(["command", "import", &path]);
        assert_eq!(ran.code, Some(8), "{ending}: {}", ran.transcript());
        assert_eq!(other.state(), before, "{ending}");
        fs_err::write(&file, original).unwrap();
    }
    let other = closed_site(published());
    let wasm = file_in(&folder, "plugin.wasm");
    let aside = folder.join("aside");
    fs_err::rename(&wasm, &aside).unwrap();
    symlink(&aside, &wasm).unwrap();
    kf_snapshot!(run(&other, &folder, &["command", "import", &path, "hello"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: hello 0.1.0 is not in the export [STICK]
    hint: where the registry is reachable: kf command export DIR kubeflow/hello@0.1.0
    ");
    fs_err::rename(&aside, &wasm).unwrap();
    // A pipe would block, and a device never end.
    let timestamp = folder.join("metadata/timestamp.json");
    let aside = folder.join("timestamp");
    fs_err::rename(&timestamp, &aside).unwrap();
    for target in ["/dev/zero", "/nowhere"] {
        symlink(target, &timestamp).unwrap();
        is_refused(&other, &folder);
        fs_err::remove_file(&timestamp).unwrap();
    }
    assert!(std::process::Command::new("mkfifo").arg(&timestamp).status().unwrap().success());
    is_refused(&other, &folder);
    fs_err::remove_file(&timestamp).unwrap();
    fs_err::rename(&aside, &timestamp).unwrap();
    other.run(["command", "import", &path]).success();
}

#[track_caller]
fn is_refused(other: &Home, folder: &Path) {
    let ran = run(other, folder, &["command", "import", &folder.display().to_string()]).code(8);
    let words = "[STICK]/metadata/timestamp.json is not safe to use: it is not a regular file";
    assert!(ran.stderr.contains(words), "{}", ran.transcript());
}

#[test]
fn export_of_another_registry_is_refused() {
    let out = tempfile::tempdir().unwrap();
    publish_hello("0.1.0", "", "", out.path());
    let (_dir, folder) = export(&["hello"]);
    let path = folder.display().to_string();
    kf_snapshot!(run(&closed_site(out.path()), &folder, &["command", "import", &path]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify [STICK]: it has another root than registry kubeflow
    hint: kf registry add NAME file://[STICK] --root root.json
    ");
    kf_snapshot!(run(&Home::empty(), &folder, &["command", "import", &path]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: cannot verify [STICK]: no registry on this machine has its root
    hint: kf registry add NAME file://[STICK] --root root.json
    ");
    let missing = folder.join("nothing").display().to_string();
    kf_snapshot!(run(&closed_site(published()), &folder, &["command", "import", &missing]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: [STICK]/nothing is not an export: it has no metadata
    hint: make one with `kf command export DIR`
    ");
}
