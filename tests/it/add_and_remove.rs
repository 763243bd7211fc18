//! Adding, upgrading, replacing and removing commands.

use crate::common::registry::{self, build, published, set_up};
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran};
use crate::kf_snapshot;

fn fresh() -> Home {
    let home = Home::empty();
    set_up(&home, published());
    home
}

#[test]
fn command_without_rights_is_added_without_asking() {
    let home = fresh();
    kf_snapshot!(home.run(["command", "add", "hello"]), @"
    exit: 0
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    hello 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    hello requests no rights: no cluster, no network, no files, no secrets.
    ");
    kf_snapshot!(home.run(["hello", "Ada"]), @"
    exit: 0
    ----- stdout -----
    hello Ada
    ----- stderr -----
    ");
}

#[test]
fn add_without_terminal_is_refused() {
    let home = fresh();
    kf_snapshot!(home.run(["command", "add", "train"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    train 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
    In the namespace you use it in, and elsewhere where noted, train may only:
      read                      pods, pod logs, training runtimes, cluster training
                                runtimes, volumes and events
      change                    the finalizers of config maps
                                (configmaps/finalizers)
      create, change and delete
                                config maps (configmaps)
      create, change and watch  training jobs, PyTorch jobs, TensorFlow jobs, MPI
                                jobs, XGBoost jobs, Paddle jobs and JAX jobs
      create and delete         jobs (jobs.batch)
      run commands in           pods (pods/exec)
    It may read the file that you pass as --file, -f, word 1 (*.yaml, *.yml, *.json)
    and word 2, and read everything below the directory that you pass as --from-dir.
    What it creates or changes runs containers: through them it can use every secret
    and service account of the namespace.
    error: not a terminal: refusing to add train without confirmation
    hint: kf command add kubeflow/train@0.1.0 --accept [DIGEST]
    ");
    assert_eq!(home.run(["train", "x"]).code, Some(5));
}

#[test]
fn yes_flag_does_not_accept_rights() {
    let home = fresh();
    let ran = home.run(["command", "add", "train", "--yes"]).code(8);
    assert!(ran.stderr.contains("`--yes` does not accept new rights"), "{}", ran.transcript());
}

#[test]
fn hint_of_refused_add_adds_command() {
    let home = fresh();
    let hint = registry::hinted(&home.run(["command", "add", "train"]).code(8));
    home.run(&hint).success();
    home.run(["train", "--help"]).success();
}

#[test]
fn add_on_terminal_shows_rights_and_asks() {
    let home = fresh();
    let mut terminal = Terminal::start(home.kf(["command", "add", "train"]));
    terminal.expect("training jobs");
    terminal.expect("[y/N]");
    terminal.type_text("y\n");
    let (status, screen) = terminal.finish();
    assert!(status.success(), "{}", String::from_utf8_lossy(&screen));
    home.run(["train", "--help"]).success();
}

#[test]
fn empty_answer_declines_add() {
    let home = fresh();
    let mut terminal = Terminal::start(home.kf(["command", "add", "train"]));
    terminal.expect("[y/N]");
    terminal.type_text("\n");
    let (status, _) = terminal.finish();
    assert_eq!(status.code(), Some(8));
    assert_eq!(home.run(["train", "--help"]).code, Some(5));
}

#[test]
fn add_selects_requested_version() {
    let home = fresh();
    kf_snapshot!(home.run_unchanged(["command", "add", "hello@9"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no version of hello matches ^9
    hint: kf command add kubeflow/hello@0.1.0
    ");
    kf_snapshot!(home.run_unchanged(["command", "add", "hello@latest"]), @r#"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid version `latest`: neither a version like 1.2.3 nor a requirement like ^1.2
    "#);
    home.run(["command", "add", "hello@0.1"]).success();
    kf_snapshot!(home.run_unchanged(["command", "add", "hello@=0.1.0"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is already added
    ");
}

#[test]
fn unknown_name_gets_suggestion() {
    let home = fresh();
    kf_snapshot!(home.run_unchanged(["command", "add", "helo"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: command helo not found in registry kubeflow
    hint: did you mean hello? `kf command list --available` shows all
    ");
    kf_snapshot!(Home::empty().run_unchanged(["command", "add", "hello"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: no registry configured
    hint: kf registry add NAME URL --root root.json
    ");
}

#[test]
fn add_of_several_reports_each_result() {
    let home = fresh();
    kf_snapshot!(home.run(["command", "add", "hello", "train"]).without_rights(), @"
    exit: 8
    ----- stdout -----
    Added hello 0.1.0
    ----- stderr -----
    hello 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    hello requests no rights: no cluster, no network, no files, no secrets.
    train 0.1.0 by kubeflow ([SIZE], sha256 [DIGEST])
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
    In the namespace you use it in, and elsewhere where noted, train may only:
      [RIGHTS]
    It may read the file that you pass as --file, -f, word 1 (*.yaml, *.yml, *.json)
    and word 2, and read everything below the directory that you pass as --from-dir.
    What it creates or changes runs containers: through them it can use every secret
    and service account of the namespace.
    error: not a terminal: refusing to add train without confirmation
    hint: kf command add kubeflow/train@0.1.0 --accept [DIGEST]
    ");
    home.run(["hello"]).success();
    assert_eq!(home.run(["train", "--help"]).code, Some(5));
}

#[test]
fn add_of_several_shows_combined_rights() {
    let home = fresh();
    let refused = home.run(["command", "add", "logs", "run", "logs"]);
    kf_snapshot!(refused.clone(), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
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
    hint: kf command add kubeflow/logs@0.1.0 kubeflow/run@0.1.0 --accept [DIGEST]
    ");
    assert_eq!(home.run(["logs", "--help"]).code, Some(5));
    // The digest for both accepts neither one alone nor both and a third.
    let words = registry::hinted(&refused);
    let digest = words.last().unwrap();
    for others in [&["logs"][..], &["logs", "run", "train"]] {
        home.run_unchanged([&["command", "add"], others, &["--accept", digest]].concat()).code(8);
    }
    home.run(&words).success();
    for name in ["logs", "run"] {
        home.run([name, "--help"]).success();
    }
}

#[test]
fn one_answer_covers_all_commands_shown() {
    let home = fresh();
    let answered = |answer: &str| {
        let mut terminal = Terminal::start(home.kf(["command", "add", "logs", "whoami", "hello"]));
        terminal.expect("Add logs and whoami? [y/N]");
        terminal.type_text(answer);
        let (status, screen) = terminal.finish();
        let raw = String::from_utf8_lossy(&screen).into_owned();
        assert_eq!(raw.matches("[y/N]").count(), 1, "{raw}");
        (status.code(), raw)
    };
    let (code, raw) = answered("n\n");
    assert_eq!(code, Some(8), "{raw}");
    // A command without rights needs no consent.
    assert!(home.run(["command", "list"]).success().row("hello").contains("Say hello"));
    assert_eq!(home.run(["logs", "--help"]).code, Some(5));
    let (code, raw) = answered("y\n");
    assert_eq!(code, Some(0), "{raw}");
    // Only one progress line is shown at a time, never in the middle of another line.
    let (_, compiling) = raw.split_once("compiling").unwrap_or_default();
    assert!(!compiling.contains("refreshing"), "{raw}");
    let shown = crate::common::terminal::shown(raw.as_bytes());
    for line in ["Added logs 0.1.0", "Added whoami 0.1.0"] {
        assert!(shown.lines().any(|shown| shown == line), "{shown}");
    }
}

#[test]
fn command_named_twice_is_added_once() {
    let home = fresh();
    assert_eq!(home.run(["command", "add", "hello", "hello"]).success().stdout, "Added hello 0.1.0\n");
    let ran = home.run(["command", "add", "whoami", "whoami@0.1.0"]).code(2);
    assert_eq!(ran.stderr, "error: whoami is specified more than once: whoami and whoami@0.1.0\n");
    // With one invalid name, nothing is added.
    home.run(["command", "remove", "hello"]).success();
    home.run(["command", "add", "hello", "helo"]).code(5);
    assert_eq!(home.run(["hello"]).code, Some(5));
}

#[test]
fn describe_works_before_add() {
    let home = fresh();
    let described = home.run(["command", "describe", "run"]).success();
    for line in [
        "Command    run 0.1.0",
        "Installed  no: kf command add run",
        "  run commands in           pods (pods/exec)",
    ] {
        assert!(described.stdout.lines().any(|shown| shown == line), "{line}: {}", described.transcript());
    }
    let of_version = home.run(["command", "describe", "kubeflow/run@0.1.0", "-o", "json"]).success();
    let of_version: serde_json::Value = serde_json::from_str(&of_version.stdout).unwrap();
    assert_eq!(
        (of_version["version"].as_str(), &of_version["installed"]),
        (Some("0.1.0"), &serde_json::Value::Null)
    );
    assert!(!home.path().join(".local/share/kf/receipts").exists(), "describe added the command");
    let ran = home.run(["command", "describe", "rum"]).code(5);
    assert!(ran.stderr.contains("did you mean run?"), "{}", ran.transcript());
}

#[test]
fn empty_list_hints_next_command() {
    kf_snapshot!(Home::empty().run(["command", "list", "--available"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    no registry is set up
    hint: kf registry add NAME URL --root root.json
    ");
    assert_eq!(Home::empty().run(["command", "list", "-a", "-o", "json"]).success().stdout, "[]\n");
    kf_snapshot!(Home::empty().run(["command", "list"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    no commands added
    hint: kf registry add NAME URL --root root.json
    ");
    kf_snapshot!(fresh().run(["command", "list"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    no commands added
    hint: kf command list --available
    ");
    let ran = Home::empty().run(["status"]).code(5);
    assert!(ran.stderr.ends_with("kf registry add NAME URL --root root.json\n"), "{}", ran.transcript());
}

#[test]
fn remove_keeps_other_commands() {
    let home = Home::with_commands(&["hello", "whoami"]);
    kf_snapshot!(home.run(["command", "remove", "hello"]), @"
    exit: 0
    ----- stdout -----
    Removed hello
    ----- stderr -----
    ");
    assert_eq!(home.run(["hello"]).code, Some(5));
    home.run(["whoami", "--help"]).success();
    assert_eq!(home.run(["command", "remove", "hello"]).code, Some(5));
}

#[test]
fn restore_undoes_replace() {
    let home = Home::with_commands(&["hello", "whoami"]);
    let before = home.state();
    kf_snapshot!(home.run(["command", "replace", "whoami", "--with", "hello"]), @"
    exit: 0
    ----- stdout -----
    Replaced whoami with hello 0.1.0 (kubeflow)
    ----- stderr -----
    undo with `kf command replace whoami --restore`
    ");
    assert_eq!(home.run(["whoami", "Ada"]).success().stdout, "hello Ada\n");
    kf_snapshot!(home.run(["command", "list"]), @"
    exit: 0
    ----- stdout -----
    NAME    VERSION  SOURCE    ABOUT
    hello   0.1.0    kubeflow  Say hello
    whoami  0.1.0    kubeflow  replaced by hello
    ----- stderr -----
    ");
    // A command that replaces another cannot be removed.
    kf_snapshot!(home.run_unchanged(["command", "remove", "hello"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot remove hello: it replaces whoami
    hint: kf command replace whoami --restore
    ");
    kf_snapshot!(home.run(["command", "replace", "whoami", "--restore"]), @"
    exit: 0
    ----- stdout -----
    Restored whoami
    ----- stderr -----
    ");
    assert_eq!(home.state(), before);
}

#[test]
fn reserved_command_cannot_be_replaced() {
    let home = Home::with_commands(&["hello"]);
    for name in ["command", "registry", "completion", "login"] {
        let ran = home.run_unchanged(["command", "replace", name, "--with", "hello"]);
        assert_eq!(ran.code, Some(2), "{name}: {}", ran.transcript());
    }
}

#[test]
fn broken_receipt_does_not_affect_other_commands() {
    let home = Home::with_commands(&["hello", "train", "whoami"]);
    let receipts = home.path().join(".local/share/kf/receipts");
    fs_err::write(receipts.join("train.json"), "{").unwrap();
    fs_err::write(receipts.join("Not A Name.json"), "{}").unwrap();
    let help = home.run(["--help"]).success().stdout;
    assert!(help.contains("hello") && help.contains("whoami"), "{help}");
    assert_eq!(home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
    kf_snapshot!(home.run_unchanged(["train", "mnist"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: invalid receipt of train: EOF while parsing an object at line 1 column 1
    hint: kf command remove train && kf command add train
    ");
    kf_snapshot!(home.run_unchanged(["command", "list"]), @"
    exit: 0
    ----- stdout -----
    NAME    VERSION  SOURCE    ABOUT
    hello   0.1.0    kubeflow  Say hello
    train   -        -         invalid receipt of train: EOF while parsing an object at line 1 column 1
    whoami  0.1.0    kubeflow  Show your user, groups and role
    ----- stderr -----
    ");
    // Following the hint repairs it.
    home.run(["command", "remove", "train"]).success();
    registry::add(&home, "train");
    home.run(["train", "--help"]).success();
}

#[test]
fn name_in_two_registries_is_ambiguous() {
    let home = fresh();
    let out = tempfile::tempdir().unwrap();
    build(&registry::index(), &registry::only("hello", out.path()), out.path());
    let (url, root) = registry::location(out.path());
    home.run(["registry", "add", "lab", &url, "--root", &root.display().to_string()]).success();
    kf_snapshot!(home.run_unchanged(["command", "add", "hello"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: hello exists in several registries: kubeflow, lab
    hint: name the registry: kubeflow/hello
    ");
    let refused = home.run_unchanged(["command", "add", "hello@0.1.0"]).code(2);
    assert!(
        refused.stderr.ends_with("hint: name the registry: kubeflow/hello@0.1.0\n"),
        "{}",
        refused.transcript()
    );
    let row = home.run(["command", "list", "--available"]).success().row("hello");
    assert!(row.ends_with(": kf command add lab/hello"), "{row}");
    let described = home.run(["command", "describe", "lab/hello@0.1.0"]).success();
    assert!(
        described.stdout.contains("Installed  no: kf command add lab/hello@0.1.0\n"),
        "{}",
        described.transcript()
    );
    home.run(["command", "add", "lab/hello"]).success();
    // The name now belongs to that registry.
    kf_snapshot!(home.run_unchanged(["command", "add", "kubeflow/hello"]), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    error: hello was added from registry lab: remove it first to change its registry
    hint: kf command remove hello
    ");
    assert_eq!(home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
    kf_snapshot!(home.run(["registry", "remove", "lab"]), @"
    exit: 0
    ----- stdout -----
    Removed registry lab
    ----- stderr -----
    ");
    assert_eq!(home.run(["hello", "Ada"]).success().stdout, "hello Ada\n");
}

#[test]
fn registry_cannot_publish_reserved_name() {
    let work = tempfile::tempdir().unwrap();
    let index = work.path().join("index");
    registry::copy(&registry::index(), &index);
    for (file, from, to) in [
        ("authors/kubeflow.toml", "\"hello\"", "\"registry\""),
        ("plugins/hello.toml", "name = \"hello\"", "name = \"registry\""),
    ] {
        let text = fs_err::read_to_string(index.join(file)).unwrap();
        fs_err::write(index.join(file), text.replace(from, to)).unwrap();
    }
    fs_err::rename(index.join("plugins/hello.toml"), index.join("plugins/registry.toml")).unwrap();
    let ran = registry::try_build(&index, &registry::only("hello", work.path()), work.path());
    kf_snapshot!(ran.masked(&work.path().display().to_string(), "[WORK]"), @r#"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: cannot read [WORK]/index/authors/kubeflow.toml: TOML parse error at line 4, column 11: invalid command name `registry`: reserved by kf
    "#);
    assert!(!work.path().join("published").exists());
}

const READ_PODS: &str = r#"
[[permissions.kubernetes]]
apiGroups = [""]
resources = ["pods"]
verbs = ["list"]
"#;

#[test]
fn upgrade_asks_only_for_new_rights() {
    let out = tempfile::tempdir().unwrap();
    build(&registry::index(), &registry::only("hello", out.path()), out.path());
    let home = Home::empty();
    set_up(&home, out.path());
    home.run(["command", "add", "hello"]).success();
    kf_snapshot!(home.run(["command", "upgrade", "hello"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.1.0 is up to date
    ");

    registry::publish_hello("0.2.0", "", "", out.path());
    kf_snapshot!(home.run(["command", "upgrade"]), @"
    exit: 0
    ----- stdout -----
    NAME   VERSION  NEWEST  SOURCE
    hello  0.1.0    0.2.0   kubeflow
    ----- stderr -----
    upgrade one with `kf command upgrade NAME`, or all with `kf command upgrade --all`
    ");
    kf_snapshot!(home.run(["command", "upgrade", "--all"]), @"
    exit: 0
    ----- stdout -----
    Upgraded hello to 0.2.0
    ----- stderr -----
    hello 0.1.0 → 0.2.0 by kubeflow ([SIZE], sha256 [DIGEST])
    ");

    kf_snapshot!(home.run(["command", "upgrade"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    all commands are up to date
    ");

    registry::publish_hello("0.3.0", READ_PODS, "", out.path());
    kf_snapshot!(home.run(["command", "upgrade", "hello", "--dry-run"]), @"
    exit: 0
    ----- stdout -----
    ----- stderr -----
    hello 0.2.0 → 0.3.0 by kubeflow ([SIZE], sha256 [DIGEST])
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
      + read                      pods
    Nothing was changed.
    ");
    let refused: Ran = home.run_unchanged(["command", "upgrade", "hello", "--yes"]);
    kf_snapshot!(refused.clone(), @"
    exit: 8
    ----- stdout -----
    ----- stderr -----
    hello 0.2.0 → 0.3.0 by kubeflow ([SIZE], sha256 [DIGEST])
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
      + read                      pods
    error: `--yes` does not accept new rights: refusing to upgrade hello and let it read pods
    hint: kf command add kubeflow/hello@0.3.0 --accept [DIGEST]
    ");
    home.run(registry::hinted(&refused)).success();
    assert!(home.run(["command", "list"]).success().stdout.contains("0.3.0"));
}

#[test]
fn command_above_ceiling_is_not_published() {
    let work = tempfile::tempdir().unwrap();
    let artifacts = registry::only("hello", work.path());
    let manifest = artifacts.join("hello/plugin.toml");
    let text = fs_err::read_to_string(&manifest).unwrap();
    fs_err::write(&manifest, text + READ_PODS).unwrap();
    let ran = registry::try_build(&registry::index(), &artifacts, work.path()).code(8);
    assert!(ran.stderr.contains("exceeds the registry's ceiling"), "{}", ran.transcript());
    assert!(!work.path().join("published/metadata/timestamp.json").exists());
}

#[test]
fn list_shows_source_of_added_commands() {
    let home = Home::with_commands(&["hello", "train"]);
    kf_snapshot!(home.run(["command", "list"]), @"
    exit: 0
    ----- stdout -----
    NAME   VERSION  SOURCE    ABOUT
    hello  0.1.0    kubeflow  Say hello
    train  0.1.0    kubeflow  Train a model from a file or a runtime
    ----- stderr -----
    ");
}

#[test]
fn list_available_shows_how_to_add() {
    let home = Home::with_commands(&["hello"]);
    let listed = home.run(["command", "list", "--available"]).success();
    assert_eq!(listed.row("NAME"), "NAME VERSION SOURCE STATUS ABOUT");
    assert_eq!(listed.row("hello"), "hello 0.1.0 kubeflow ready Say hello");
    let hint =
        "train 0.1.0 kubeflow not installed Train a model from a file or a runtime: kf command add train";
    assert_eq!(listed.row("train"), hint);
    // All commands of the registry are listed.
    let offered = fs_err::read_dir(registry::artifacts()).unwrap().count();
    assert_eq!(listed.stdout.lines().count(), offered + 1);
}

#[test]
fn list_and_describe_print_json() {
    let home = Home::with_commands(&["hello", "train"]);
    let json = |arguments: &[&str]| -> serde_json::Value {
        serde_json::from_str(&home.run(arguments).success().stdout).unwrap()
    };
    let listed = json(&["command", "list", "-o", "json"]);
    assert_eq!(listed[0]["name"], "hello");
    assert_eq!(listed[0]["installed"], true);
    let available = json(&["command", "list", "--available", "-o", "json"]);
    let train = available.as_array().unwrap().iter().find(|row| row["name"] == "train").unwrap();
    assert_eq!(train["here"], "unknown");
    assert!(train["why"].as_str().unwrap().starts_with("no kubeconfig"), "{train}");
    let logs = available.as_array().unwrap().iter().find(|row| row["name"] == "logs").unwrap();
    assert_eq!(logs["installed"], false);
    let described = json(&["command", "describe", "train", "-o", "json"]);
    assert_eq!(described["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(described["owner"], "kubeflow");
    assert!(described["rights"][0]["rule"].as_str().unwrap().contains("trainjobs"), "{described}");
    let names = home.run(["command", "list", "-o", "name"]).success().stdout;
    assert_eq!(names, "command/hello\ncommand/train\n");
}

#[test]
fn describe_shows_signer_and_rules() {
    let home = Home::with_commands(&["train"]);
    kf_snapshot!(home.run(["command", "describe", "train"]).without_rights(), @"
    exit: 0
    ----- stdout -----
    Command    train 0.1.0
    About      Train a model from a file or a runtime
    Usage      kf train [OPTIONS] [NAME] [FILE] [-- [COMMAND]...]
    Registry   kubeflow, snapshot 1
    Signed by  kubeflow ([DIGEST])
    Digest     sha256 [DIGEST]
    Installed  [DATE]

    In the namespace you use it in, and elsewhere where noted, train may only:
      [RIGHTS]
    It may read the file that you pass as --file, -f, word 1 (*.yaml, *.yml, *.json)
    and word 2, and read everything below the directory that you pass as --from-dir.
    What it creates or changes runs containers: through them it can use every secret
    and service account of the namespace.
    ----- stderr -----
    Your rights were not checked: no kubeconfig: [HOME]/.kube/config does not exist
    ");
}
