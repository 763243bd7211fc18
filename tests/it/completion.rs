//! Completion of names from the cluster, called as the script of `kf completion bash` does.

use kf_tests::cluster::User;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::bash::Bash;
use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran, attacks, output_of, servers, until, until_true, wait_for_exit};

const PODS: &str = "
---
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {schedulerName: nobody, containers: [{name: main, image: 'kf.test/none'}]}
";

fn jobs(names: &[&str]) -> String {
    let job = |name: &&str| {
        format!(
            "
---
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {{name: {name}}}
spec: {{suspend: true, runtimeRef: {{name: kf-test}}}}
"
        )
    };
    names.iter().map(job).collect()
}

/// The time limit in seconds for completions that are expected.
const LONG: &str = "300";
/// The time limit in seconds where the cluster never responds.
const SHORT: &str = "1";

/// The script's call to complete the last word.
fn call(home: &Home, words: &[&str], limit: &str) -> std::process::Command {
    let mut command = home.kf(["--"].iter().chain(words));
    command
        .env("KF_COMPLETE_TIMEOUT", limit)
        .env("KF_COMPLETE", "bash")
        .env("_CLAP_COMPLETE_INDEX", (words.len() - 1).to_string())
        .env("_CLAP_COMPLETE_COMP_TYPE", "9")
        .env("_CLAP_COMPLETE_SPACE", "false")
        .env("_CLAP_IFS", "\u{b}");
    command
}

/// The completions; asserts an empty stderr.
#[track_caller]
fn offered(home: &Home, words: &[&str]) -> Vec<String> {
    offered_within(home, words, LONG)
}

/// The completions where the cluster does not respond.
#[track_caller]
fn offered_in_time(home: &Home, words: &[&str]) -> Vec<String> {
    offered_within(home, words, SHORT)
}

#[track_caller]
fn offered_within(home: &Home, words: &[&str], limit: &str) -> Vec<String> {
    let ran = Ran::of(&output_of(&mut call(home, words, limit)), home.path()).success();
    assert_eq!(ran.stderr, "", "{words:?}");
    ran.stdout.split('\u{b}').filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// The completions at the end of a line as bash passes it: split at `=` and `:`. Of each candidate bash expects the
/// last part.
#[track_caller]
fn offered_in_bash(home: &Home, line: &str) -> Vec<String> {
    let is_break = |letter: char| ['=', ':'].contains(&letter);
    let mut words = vec![String::new()];
    for letter in line.chars() {
        let last = words.last_mut().unwrap();
        match letter {
            ' ' => words.push(String::new()),
            _ if last.is_empty() || last.chars().all(is_break) == is_break(letter) => last.push(letter),
            _ => words.push(letter.to_string()),
        }
    }
    let part = words.last().filter(|word| !word.chars().all(is_break)).cloned().unwrap_or_default();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut call = call(home, &words, LONG);
    call.env("_KF_COMPLETE_LINE", line).env("_KF_COMPLETE_BEFORE", line).env("_KF_COMPLETE_PART", part);
    let ran = Ran::of(&output_of(&mut call), home.path()).success();
    assert_eq!(ran.stderr, "", "{line}");
    ran.stdout.split('\u{b}').filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

const NOTHING: [&str; 0] = [];

#[test]
fn built_in_commands_are_offered() {
    let home = Home::with_built_in();
    assert_eq!(offered(&home, &["kf", "he"]), ["hello"]);
    assert_eq!(offered(&home, &["kf", "command", "remove", "t"]), ["train"]);
}

#[test]
fn objects_of_the_namespace_are_offered() {
    let team = Team::new("offered");
    team.apply(&(jobs(&["mnist", "moons", "iris"]) + PODS));
    let home = team.home(User::DataScientist, &["logs", "train", "run", "remove"]);
    assert_eq!(offered(&home, &["kf", "logs", "m"]), ["mnist", "moons"]);
    assert_eq!(offered(&home, &["kf", "logs", "trainjob/i"]), ["trainjob/iris"]);
    assert_eq!(offered(&home, &["kf", "logs", "--rank", "0", "mn"]), ["mnist"]);
    assert_eq!(offered(&home, &["kf", "remove", "w"]), ["web"]);
    // The host completes objects of a kind; the command itself completes runtimes, which have two kinds.
    assert_eq!(offered(&home, &["kf", "run", "web", "--pod", "w"]), ["web"]);
    assert_eq!(offered(&home, &["kf", "train", "new", "--runtime", "kf-t"]), ["kf-test"]);
    assert_eq!(offered(&home, &["kf", "train", "mo"]), ["moons"]);
    // The calls are in the audit log.
    let log = fs_err::read_to_string(home.path().join(".local/state/kf/audit.jsonl")).unwrap();
    assert!(log.lines().any(|line| line.contains("trainjobs") && line.contains("\"list\"")), "{log}");
    // Completing a flag sends no request.
    let lines = log.lines().count();
    assert_eq!(offered(&home, &["kf", "logs", "mnist", "--fol"]), ["--follow"]);
    assert_eq!(offered(&home, &["kf", "tra"]), ["train"]);
    let log = fs_err::read_to_string(home.path().join(".local/state/kf/audit.jsonl")).unwrap();
    assert_eq!(log.lines().count(), lines, "{log}");
}

#[test]
fn global_flags_apply_to_completion() {
    let (team, other) = (Team::new("own-flags"), Team::new("own-flags-other"));
    team.apply(&jobs(&["here"]));
    other.apply(&jobs(&["there"]));
    let home = team.home(User::Admin, &["logs"]);
    assert_eq!(offered(&home, &["kf", "logs", "the"]), NOTHING);
    let elsewhere = other.name();
    assert_eq!(offered(&home, &["kf", "-n", elsewhere, "logs", "the"]), ["there"]);
    assert_eq!(offered_in_bash(&home, &format!("kf logs --namespace={elsewhere} the")), ["there"]);
    let kubeconfig = other.kubeconfig(User::DataScientist).display().to_string();
    assert_eq!(offered(&home, &["kf", "logs", "--kubeconfig", &kubeconfig, "the"]), ["there"]);
    assert_eq!(offered(&home, &["kf", "--kubeconfig", "/nowhere", "logs", "he"]), NOTHING);
    assert_eq!(offered(&home, &["kf", "--context", "nowhere", "logs", "he"]), NOTHING);
    // Namespaces are offered to users who can list them.
    let begun = &elsewhere[..elsewhere.len() - 1];
    assert_eq!(offered(&home, &["kf", "logs", "-n", begun]), [elsewhere]);
    assert_eq!(offered_in_bash(&home, &format!("kf --namespace={begun}")), [elsewhere]);
}

#[test]
fn names_are_offered_after_words_with_break_characters() {
    let team = Team::new("broken-words");
    team.apply(&jobs(&["mnist"]));
    let home = team.home(User::DataScientist, &["logs", "train"]);
    let mut bash = Bash::start(&home);
    bash.completes(
        "kf train new --env A=1 --env B=x:y --runtime kf-t",
        &["kf", "train", "new", "--env", "A=1", "--env", "B=x:y", "--runtime", "kf-test"],
    );
    bash.completes(
        "kf train new --env A= --runtime=kf-t",
        &["kf", "train", "new", "--env", "A=", "--runtime=kf-test"],
    );
    let namespace = team.name();
    bash.completes(
        &format!("kf -n '{namespace}' logs trainjob/m"),
        &["kf", "-n", namespace, "logs", "trainjob/mnist"],
    );
}

/// A home with a kubeconfig whose contexts are named as cloud providers do, without a cluster.
fn home_with_contexts(commands: &[&str]) -> Home {
    let home = Home::with_commands(commands);
    let contexts =
        ["arn:aws:eks:eu-west-1:111:cluster/prod", "arn:aws:eks:eu-west-1:111:cluster/lab", "kind-kf"];
    let context = |name: &&str| format!("- {{name: '{name}', context: {{cluster: there, user: me}}}}\n");
    let entries: String = contexts.iter().map(context).collect();
    fs_err::create_dir_all(home.path().join(".kube")).unwrap();
    fs_err::write(
        home.path().join(".kube/config"),
        format!(
            "contexts:\n{entries}clusters: [{{name: there, cluster: {{server: 'https://127.0.0.1:1'}}}}]\n"
        ),
    )
    .unwrap();
    home
}

#[test]
fn kubeconfig_contexts_are_offered() {
    let home = home_with_contexts(&["logs"]);
    let all = ["arn:aws:eks:eu-west-1:111:cluster/prod", "arn:aws:eks:eu-west-1:111:cluster/lab", "kind-kf"];
    assert_eq!(offered(&home, &["kf", "--context", ""]), all);
    assert_eq!(offered(&home, &["kf", "logs", "--context", "ki"]), ["kind-kf"]);
    assert_eq!(offered(&home, &["kf", "--context=ki"]), ["--context=kind-kf"]);
    let other = home.path().join("other");
    fs_err::write(&other, "contexts: [{name: elsewhere, context: {cluster: x}}]").unwrap();
    let other = other.display().to_string();
    assert_eq!(offered(&home, &["kf", "--kubeconfig", &other, "--context", ""]), ["elsewhere"]);
    assert_eq!(offered(&home, &["kf", "--kubeconfig", "/nowhere", "--context", "ki"]), NOTHING);
}

#[test]
fn context_with_break_characters_is_completed() {
    let home = home_with_contexts(&["train"]);
    let mut bash = Bash::start(&home);
    let prod = "arn:aws:eks:eu-west-1:111:cluster/prod";
    bash.completes("kf --context arn:aws:eks:eu-west-1:111:cluster/p", &["kf", "--context", prod]);
    // The common prefix.
    let both = "arn:aws:eks:eu-west-1:111:cluster/";
    bash.completes("kf --context arn:", &["kf", "--context", both]);
    bash.completes("kf --context=arn:aws:eks:eu-west-1:111:cluster/p", &["kf", &format!("--context={prod}")]);
    bash.completes("kf --context \"arn:aws:eks:eu-west-1:111:cluster/p", &["kf", "--context", prod]);
    bash.completes("kf train m --env A=1 -o js", &["kf", "train", "m", "--env", "A=1", "-o", "json"]);
    bash.completes("kf train m --env A=x:y --runt", &["kf", "train", "m", "--env", "A=x:y", "--runtime"]);
    bash.completes("kf --output=js", &["kf", "--output=json"]);
}

#[test]
fn flags_are_offered_after_dash_or_without_other_candidates() {
    let home = Home::with_commands(&["hello", "whoami"]);
    let is_flag = |word: &String| word.starts_with('-');
    for line in
        [&["kf", ""][..], &["kf", "command", ""], &["kf", "command", "describe", ""], &["kf", "-o", ""]]
    {
        let found = offered(&home, line);
        assert!(!found.is_empty() && !found.iter().any(is_flag), "{line:?}: {found:?}");
    }
    for line in [&["kf", "-"][..], &["kf", "hello", "--"], &["kf", "whoami", ""]] {
        let found = offered(&home, line);
        assert!(!found.is_empty() && found.iter().all(is_flag), "{line:?}: {found:?}");
    }
    // Also where no name was found.
    fs_err::create_dir_all(home.path().join(".kube")).unwrap();
    assert_eq!(offered_in_bash(&home, "kf --context "), NOTHING);
}

#[test]
fn user_without_rights_is_offered_nothing() {
    let team = Team::new("unseen");
    team.apply(&(jobs(&["mnist"]) + PODS));
    let home = team.home(User::NoRights, &["logs", "train", "run"]);
    assert_eq!(offered(&home, &["kf", "logs", "m"]), NOTHING);
    assert_eq!(offered(&home, &["kf", "run", "web", "--pod", "w"]), NOTHING);
    assert_eq!(offered(&home, &["kf", "train", "m"]), NOTHING);
    assert_eq!(offered(&home, &["kf", "-n", "ns"]), NOTHING);
}

#[test]
fn blocked_command_is_not_run_for_completion() {
    let team = Team::new("blocked-completion");
    team.apply(&(jobs(&["mnist"]) + PODS));
    let home = team.home(User::DataScientist, &["logs", "run"]);
    assert_eq!(offered(&home, &["kf", "logs", "m"]), ["mnist"]);
    for command in ["logs", "run"] {
        let path = home.path().join(format!(".local/share/kf/receipts/{command}.json"));
        let mut receipt: serde_json::Value = serde_json::from_slice(&fs_err::read(&path).unwrap()).unwrap();
        receipt["blocked"] = "it was stolen".into();
        fs_err::write(&path, receipt.to_string()).unwrap();
    }
    assert_eq!(offered(&home, &["kf", "logs", "m"]), NOTHING);
    assert_eq!(offered(&home, &["kf", "run", "web", "--pod", "w"]), NOTHING);
}

fn kubeconfig(home: &Home, server: &str, user: &str) {
    let text = format!(
        "apiVersion: v1
kind: Config
current-context: there
contexts: [{{name: there, context: {{cluster: there, user: me}}}}]
clusters: [{{name: there, cluster: {{server: '{server}'}}}}]
users: [{{name: me, user: {{{user}}}}}]
"
    );
    fs_err::create_dir_all(home.path().join(".kube")).unwrap();
    fs_err::write(home.path().join(".kube/config"), text).unwrap();
}

#[test]
fn completion_without_cluster_is_silent() {
    let home = Home::with_commands(&["logs", "run"]);
    let lines = [&["kf", "logs", "m"][..], &["kf", "run", "web", "--pod", "w"], &["kf", "-n", "t"]];
    for line in lines {
        assert_eq!(offered(&home, line), NOTHING, "without a kubeconfig");
    }
    for server in [format!("https://{}", servers::closed()), format!("http://{}", servers::silent())] {
        kubeconfig(&home, &server, "token: secret");
        for line in lines {
            assert_eq!(offered_in_time(&home, line), NOTHING, "{server}");
        }
    }
    // The completion timeout applies whatever `--request-timeout` is.
    assert_eq!(offered_in_time(&home, &["kf", "logs", "--request-timeout", "0", "m"]), NOTHING);
}

#[test]
fn credential_plugin_is_not_interactive_during_completion() {
    let home = Home::with_commands(&["logs"]);
    let started = home.path().join("started");
    let plugin = |mode: &str, then: &str| {
        let script = format!("echo $KUBERNETES_EXEC_INFO >{}; {then}", started.display());
        let exec = format!(
            "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: {mode}, command: sh, args: ['-c', '{script}']}}"
        );
        kubeconfig(&home, &format!("https://{}", servers::closed()), &exec);
    };
    for (mode, starts) in [("Always", false), ("IfAvailable", true)] {
        plugin(mode, "echo Password: >&2; read password; exit 1");
        let (status, screen) = Terminal::start(call(&home, &["kf", "logs", "m"], LONG)).finish();
        assert!(status.success());
        assert_eq!(String::from_utf8_lossy(&screen), "", "{mode}");
        assert_eq!(started.exists(), starts, "{mode}");
    }
    let info = fs_err::read_to_string(&started).unwrap();
    assert!(info.contains("\"interactive\":false"), "{info}");
    plugin("Never", "exec sleep 1000");
    assert_eq!(offered_in_time(&home, &["kf", "logs", "m"]), NOTHING);
}

/// Whether a process exists and is not a zombie.
fn is_running(process: &str) -> bool {
    let stat = fs_err::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
    stat.rsplit_once(')').is_some_and(|(_, state)| !state.trim_start().starts_with(['Z', 'X']))
}

#[test]
fn credential_plugin_is_killed_with_completion() {
    let home = Home::with_commands(&["logs"]);
    let started = home.path().join("started");
    // The plugin and a child process of it.
    let script = format!("sleep 1000 & echo $$ $! >{0}.new; mv {0}.new {0}; wait", started.display());
    let exec = format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, interactiveMode: Never, command: sh, args: ['-c', '{script}']}}"
    );
    kubeconfig(&home, &format!("https://{}", servers::closed()), &exec);
    let processes = || until(|| fs_err::read_to_string(&started).map_err(|error| error.to_string()));
    let ended = |processes: &str| {
        for process in processes.split_whitespace() {
            until_true("the plugin has ended", || !is_running(process));
        }
    };

    // On a busy machine the timeout may expire before the plugin has started.
    let processes_in_time = until(|| {
        assert_eq!(offered_in_time(&home, &["kf", "logs", "m"]), NOTHING);
        fs_err::read_to_string(&started).map_err(|error| error.to_string())
    });
    ended(&processes_in_time);

    for signal in [Signal::SIGINT, Signal::SIGTERM] {
        fs_err::remove_file(&started).unwrap();
        let mut shell = call(&home, &["kf", "logs", "m"], LONG).spawn().unwrap();
        let processes = processes();
        assert!(processes.split_whitespace().all(is_running), "{processes}");
        kill(Pid::from_raw(shell.id().try_into().unwrap()), signal).unwrap();
        // The exit code is that of the signal or of a completion without the plugin, whichever is first.
        wait_for_exit(&mut shell);
        ended(&processes);
    }
}

#[test]
fn completion_cannot_change_the_cluster() {
    let team = Team::new("implant");
    team.apply(PODS);
    let home = attacks::home(&["complete-writes"]).kubeconfig(&team.kubeconfig(User::DataScientist));
    let before = team.versions();
    for line in [&["kf", "complete-writes", ""][..], &["kf", "complete-writes", "c"]] {
        let found = offered(&home, line);
        assert!(found.iter().all(|word| word.starts_with('-')), "only flags are offered: {found:?}");
    }
    assert_eq!(team.versions(), before);
    // Running the command uses the right.
    home.run(["complete-writes"]).success();
    assert_ne!(team.versions(), before);
}

#[test]
fn untrusted_candidates_are_filtered() {
    let home = attacks::home(&["complete-injects", "complete-prints", "complete-spins"]);
    let without_flags = |offered: Vec<String>| -> Vec<String> {
        offered.into_iter().filter(|word| !word.starts_with('-')).collect()
    };
    let words = |line: &[&str]| without_flags(offered(&home, line));
    assert_eq!(words(&["kf", "complete-injects", ""]), ["xylophone"]);
    assert_eq!(words(&["kf", "complete-injects", "x"]), ["xylophone"]);
    assert_eq!(words(&["kf", "complete-injects", "y"]), NOTHING);
    assert!(!offered(&home, &["kf", "complete-injects", "--y"]).contains(&"--yes".to_owned()));
    assert_eq!(words(&["kf", "complete-prints", "r"]), NOTHING);
    assert_eq!(without_flags(offered_in_time(&home, &["kf", "complete-spins", "x"])), NOTHING);
}

#[test]
fn command_names_are_offered_as_arguments() {
    let home = Home::with_commands(&["hello", "logs"]);
    for verb in ["remove", "upgrade", "replace", "describe"] {
        assert_eq!(offered(&home, &["kf", "command", verb, "he"]), ["hello"], "{verb}");
    }
    for verb in ["remove", "upgrade", "replace"] {
        assert_eq!(offered(&home, &["kf", "command", verb, "tr"]), NOTHING, "{verb}");
    }
    assert_eq!(
        offered(&home, &["kf", "command", "describe", "tra"]),
        ["train"],
        "describe accepts commands that are not added"
    );
    assert_eq!(offered(&home, &["kf", "command", "add", "tra"]), ["train"]);
    assert_eq!(offered(&home, &["kf", "command", "add", "he"]), NOTHING, "hello is added already");
    assert_eq!(offered(&home, &["kf", "command", "replace", "logs", "--with", "he"]), ["hello"]);
    assert_eq!(offered(&home, &["kf", "registry", "remove", "ku"]), ["kubeflow"]);
    home.run(["command", "replace", "greet", "--with", "hello"]).success();
    assert_eq!(offered(&home, &["kf", "gre"]), ["greet"]);
    assert_eq!(offered(&home, &["kf", "greet", "--lo"]), ["--loud"]);
}

#[test]
fn files_are_offered_for_file_arguments() {
    let home = Home::with_commands(&["train"]);
    fs_err::write(home.path().join("job.yaml"), "").unwrap();
    fs_err::create_dir_all(home.path().join("jobs")).unwrap();
    assert_eq!(offered(&home, &["kf", "train", "mnist", "job"]), ["job.yaml", "jobs/"]);
    assert_eq!(offered(&home, &["kf", "train", "mnist", "--from-dir", "job"]), ["jobs/"]);
}

#[test]
fn command_cannot_choose_offered_files() {
    let home = attacks::home(&["complete-paths"]);
    fs_err::write(home.path().join("job.yaml"), "").unwrap();
    fs_err::create_dir(home.path().join(".kube")).unwrap();
    fs_err::write(home.path().join(".kube/config"), "").unwrap();
    assert_eq!(offered(&home, &["kf", "complete-paths", "job"]), ["job.yaml"]);
    assert_eq!(offered(&home, &["kf", "complete-paths", ".k"]), [".kube/"]);
}
