//! kf's files: in a read-only home, with another kf running, and written by a newer kf.

use std::path::Path;

use crate::common::Home;
use crate::common::mounts::{run_read_only, skip_without_namespaces};
use crate::common::registry::{hinted, published, set_up};
use crate::common::servers::kubeconfig_for;
use crate::common::terminal::Terminal;
use crate::kf_snapshot;

#[test]
fn read_only_home_runs_commands_and_refuses_changes() {
    if skip_without_namespaces("read_only_home_runs_commands_and_refuses_changes") {
        return;
    }
    let home = Home::with_commands(&["hello", "whoami"]);
    let hint = hinted(&{
        let probe = Home::empty();
        set_up(&probe, published());
        probe.run(["command", "add", "logs"]).code(8)
    });
    // Added commands run.
    assert_eq!(run_read_only(&home, &["hello", "Ada"]).success().stdout, "hello Ada\n");
    run_read_only(&home, &["command", "list"]).success();
    let words: Vec<&str> = hint.iter().map(String::as_str).collect();
    kf_snapshot!(run_read_only(&home, &words), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: cannot write to [HOME]/.local/share/kf/registries/kubeflow/state.lock: Read-only file system (os error 30)
    hint: set KF_HOME to a folder that you own
    ");
    kf_snapshot!(run_read_only(&home, &["command", "remove", "hello"]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: cannot write to [HOME]/.local/share/kf/locks/hello.lock: Read-only file system (os error 30)
    hint: set KF_HOME to a folder that you own
    ");
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    kf_snapshot!(run_read_only(&home, &["whoami", "--kubeconfig", &kubeconfig]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: cannot open the audit log: cannot write to [HOME]/.local/state/kf: Read-only file system (os error 30)
    hint: set KF_AUDIT_LOG to a writable file
    ");
    let doctor = run_read_only(&home, &["doctor"]).code(1);
    for line in ["✗ home", ".local/state/kf is not writable", "hint: set KF_HOME to a folder that you own"]
    {
        assert!(doctor.stdout.contains(line), "{line} is not in {}", doctor.transcript());
    }
}

#[test]
fn concurrent_add_of_same_command_is_refused() {
    let home = Home::empty();
    set_up(&home, published());
    let mut first = Terminal::start(home.kf(["command", "add", "train"]));
    first.expect("[y/N]");
    let second = home.run_unchanged(["command", "add", "train"]);
    kf_snapshot!(second.masked(&first.process_id().to_string(), "[PID]"), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: another kf (process [PID]) is changing train
    hint: wait for it to finish, then try again
    ");
    // Other names are not locked.
    home.run(["command", "add", "hello"]).success();
    first.type_text("y\n");
    let (status, screen) = first.finish();
    assert!(status.success(), "{}", String::from_utf8_lossy(&screen));
    home.run(["train", "--help"]).success();
}

/// Raises the format version of a file.
fn raise_format(file: &Path) {
    let text = fs_err::read_to_string(file).unwrap();
    let newer = text.replacen("\"format\": 3", "\"format\": 4", 1);
    assert_ne!(newer, text);
    fs_err::write(file, newer).unwrap();
}

#[test]
fn receipt_of_newer_kf_is_kept_and_reported() {
    let home = Home::with_commands(&["hello", "whoami"]);
    raise_format(&home.path().join(".local/share/kf/receipts/hello.json"));
    kf_snapshot!(home.run_unchanged(["hello"]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: [HOME]/.local/share/kf/receipts/hello.json was written by a newer kf: format 4, this kf supports 3
    hint: upgrade kf
    ");
    for change in [["command", "add", "hello"], ["command", "remove", "hello"]] {
        let ran = home.run_unchanged(change).code(1);
        assert!(ran.stderr.contains("written by a newer kf"), "{}", ran.transcript());
    }
    // Other commands are not affected.
    home.run(["whoami", "--help"]).success();
    kf_snapshot!(home.run_unchanged(["command", "list"]), @"
    exit: 0
    ----- stdout -----
    NAME    VERSION  SOURCE    ABOUT
    hello   -        -         [HOME]/.local/share/kf/receipts/hello.json was written by a newer kf: format 4, this kf supports 3
    whoami  0.1.0    kubeflow  Show your user, groups and role
    ----- stderr -----
    ");
}

#[test]
fn store_of_newer_kf_is_refused() {
    let home = Home::with_commands(&["whoami"]);
    let format = home.path().join(".local/share/kf/store/format");
    let text = fs_err::read_to_string(&format).unwrap();
    fs_err::write(&format, text.replace('1', "2")).unwrap();
    kf_snapshot!(home.run_unchanged(["command", "add", "hello", "--yes"]), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    hello requests no rights: no cluster, no network, no files, no secrets.
    error: [HOME]/.local/share/kf/store/format was written by a newer kf: format 2, this kf supports 1
    hint: upgrade kf
    ");
}
