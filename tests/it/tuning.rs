//! `kf tune`: trials on a real node, and experiments with a fake of Katib.

use kf_tests::cluster::{Part, User, skip_without_node};
use serde_json::{Value, json};

use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Ran, until_true};

/// A random search of six trials, two at a time, over the learning rate.
const TUNE: [&str; 25] = [
    "tune",
    "lr",
    "--engine",
    "trainer",
    "--param",
    "lr=0.01:0.5",
    "--seed",
    "3",
    "--objective",
    "loss",
    "--minimize",
    "--max-trials",
    "6",
    "--parallel",
    "2",
    "--runtime",
    "kf-test",
    "--env",
    "LEARNING_RATE=${lr}",
    "--env",
    "EPOCHS=3",
    "--env",
    "EPOCH_SECONDS=0.3",
    "--env",
    "SEED=1",
];

fn trials(ran: &Ran) -> Vec<Value> {
    let value: Value =
        serde_json::from_str(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {}", ran.transcript()));
    value.as_array().unwrap().clone()
}

fn jobs(team: &Team) -> usize {
    team.admin(&["get", "trainjobs", "-o", "name"]).lines().count()
}

#[test]
fn interrupted_search_resumes() {
    if skip_without_node("interrupted_search_resumes") {
        return;
    }
    let team = Team::with_node("tune");
    let home = team.home(User::DataScientist, &["tune"]);
    let terminal = Terminal::start(home.kf(TUNE));
    until_true("three trials have started", || jobs(&team) >= 3);
    terminal.interrupt();
    let started = jobs(&team);
    assert!(started < 6, "{started} trials were started at once");

    let ran = home.run(TUNE.iter().copied().chain(["-o", "json"])).success();
    let all = trials(&ran);
    assert_eq!(all.len(), 6, "{}", ran.transcript());
    assert!(all.iter().all(|trial| trial["state"] == "Succeeded"), "{}", ran.transcript());
    let loss = |trial: &Value| trial["objective"].as_f64().unwrap();
    let best: Vec<_> = all.iter().filter(|trial| trial["best"] == true).collect();
    assert_eq!(best.len(), 1, "{}", ran.transcript());
    assert!(all.iter().all(|trial| loss(best[0]) <= loss(trial)), "{}", ran.transcript());
    // The reported result of a trial is the one in its log.
    let name = best[0]["name"].as_str().unwrap();
    let pod =
        team.admin(&["get", "pods", "-l", &format!("jobset.sigs.k8s.io/jobset-name={name}"), "-o", "name"]);
    let log = team.admin(&["logs", pod.trim()]);
    let last = log.lines().filter_map(|line| line.rsplit_once("loss=")).next_back().unwrap().1;
    assert_eq!(last.parse::<f64>().unwrap(), best[0]["metrics"]["loss"]["latest"].as_f64().unwrap(), "{log}");

    // A viewer sees the same results, but cannot start or change the experiment.
    let viewer = team.home(User::Viewer, &["tune"]);
    assert_eq!(trials(&viewer.run(["tune", "lr", "-o", "json"]).success()), all);
    let compared = viewer.run(["tune", "lr", "--compare", "1,2"]).success();
    assert!(compared.stdout.lines().next().unwrap().contains("TRIAL 1"), "{}", compared.transcript());
    let mut other = TUNE;
    other[1] = "mine";
    let refused = viewer.run_unchanged(other).code(4);
    assert!(refused.stderr.contains("your own rights"), "{}", refused.transcript());
    let mut other = TUNE;
    other[7] = "4";
    let refused = home.run_unchanged(other).code(1);
    assert!(refused.stderr.contains("--seed is 4, was 3"), "{}", refused.transcript());
}

/// A team with Katib's webhooks enabled.
fn team_with_katib(hint: &str) -> Team {
    let team = Team::with_parts(hint, &[Part::Katib]);
    let label = "katib.kubeflow.org/metrics-collector-injection=enabled";
    team.admin(&["label", "namespace", team.name(), label]);
    team.wait_until_allowed("dana", "patch", "experiments.kubeflow.org");
    team.wait_until_allowed("dana", "delete", "experiments.kubeflow.org");
    team
}

/// `kf tune` with these flags, and a command whose arguments need quoting.
fn tune<'a>(flags: &[&'a str], seconds: &'a str) -> Vec<&'a str> {
    let script = r#"printf '%s\n' "loss=$0" "$1"; sleep $2"#;
    let mut words = vec!["tune", "lr", "--objective", "loss", "--minimize", "--runtime", "kf-test"];
    words.extend(flags);
    words.extend(["--", "sh", "-c", script, "${lr}", "it's  here", seconds]);
    words
}

fn objects(team: &Team, kinds: &str) -> String {
    team.admin(&["get", kinds, "-o", "name"])
}

const OF_KATIB: &str = "experiments,suggestions,trials,trainjobs,deployments,services,pods";

#[test]
fn katib_trials_run_and_show_logs() {
    if skip_without_node("katib_trials_run_and_show_logs") {
        return;
    }
    let team = team_with_katib("katib-runs");
    let home = team.home(User::DataScientist, &["tune", "logs", "status"]);
    let flags = ["--param", "lr=0.1:0.5", "--max-trials", "2", "--parallel", "1", "-o", "json"];
    let ran = std::thread::scope(|threads| {
        let kf = threads.spawn(|| home.run(tune(&flags, "10")));
        let mut seen = String::new();
        until_true("the log of a trial is seen", || {
            seen = home.run(["logs", "experiment/lr"]).stdout;
            seen.contains("it's  here")
        });
        assert!(seen.contains("loss=0."), "{seen}");
        assert!(!seen.contains("the suggestion service"), "{seen}");
        let status = home.run(["status", "-o", "name"]).success();
        assert_eq!(status.stdout, "experiment/lr\n", "{}", status.transcript());
        kf.join().unwrap()
    })
    .success();
    let all = trials(&ran);
    assert_eq!(all.len(), 2, "{}", ran.transcript());
    assert!(all.iter().all(|trial| trial["state"] == "Succeeded"), "{}", ran.transcript());
    assert_eq!(all.iter().filter(|trial| trial["best"] == true).count(), 1, "{}", ran.transcript());
    // A viewer sees the results, but cannot start an experiment.
    team.wait_until_allowed("vic", "list", "trials.kubeflow.org");
    let viewer = team.home(User::Viewer, &["tune"]);
    assert_eq!(trials(&viewer.run(["tune", "lr", "-o", "json"]).success()), all);
    let mut other = tune(&flags, "10");
    other[1] = "mine";
    viewer.run_unchanged(other).code(4);

    // Katib has deleted the jobs of the trials.
    until_true("the trials' pods are gone", || objects(&team, "pods,trainjobs").is_empty());
    let logs = home.run_unchanged(["logs", "experiment/lr"]).code(5);
    assert!(logs.stderr.contains("Katib deletes the job of an ended trial"), "{}", logs.transcript());
    assert!(logs.stderr.ends_with("hint: kf status experiment/lr\n"), "{}", logs.transcript());
    home.run(["status", "experiment/lr"]).success();

    // The experiment cannot be extended.
    let more = ["--param", "lr=0.1:0.5", "--max-trials", "6", "--parallel", "1"];
    let refused = home.run_unchanged(tune(&more, "10")).code(1);
    assert!(refused.stderr.contains("its spec.resumePolicy is Never"), "{}", refused.transcript());
    assert!(
        refused.stderr.contains("\nhint: tune: kf tune lr-2 --objective loss"),
        "{}",
        refused.transcript()
    );
    assert_eq!(trials(&home.run(tune(&flags, "10")).success()), all, "the same command shows it again");
}

#[test]
fn max_trials_below_default_parallelism_is_accepted() {
    if skip_without_node("max_trials_below_default_parallelism_is_accepted") {
        return;
    }
    let team = team_with_katib("katib-one");
    let home = team.home(User::DataScientist, &["tune"]);
    // A dry run calls the webhook too.
    let ran = home.run(tune(&["--param", "lr=0.1", "--algorithm", "grid", "--dry-run"], "0")).success();
    assert!(ran.stderr.contains("would create experiment/lr"), "{}", ran.transcript());
    home.run(tune(&["--param", "lr=0.1:1", "--max-trials", "2", "--dry-run"], "0")).success();
    let long = "a".repeat(41);
    let mut words = tune(&["--param", "lr=0.1:1"], "0");
    words[1] = &long;
    let refused = home.run_unchanged(words).code(2);
    assert!(refused.stderr.contains("is too long: at most 39 characters"), "{}", refused.transcript());
    let file = "apiVersion: kubeflow.org/v1beta1\nkind: Experiment\nmetadata: {name: lr}\nspec: {maxTrialCount: 1}\n";
    let path = home.path().join("lr.yaml");
    fs_err::write(&path, file).unwrap();
    let refused = home.run_unchanged(["tune", "lr", path.to_str().unwrap()]).code(2);
    assert!(
        refused
            .stderr
            .contains("the cluster rejected the experiment: [spec.parallelTrialCount: Invalid value: 3"),
        "{}",
        refused.transcript()
    );
}

#[test]
fn running_katib_experiment_is_removed() {
    if skip_without_node("running_katib_experiment_is_removed") {
        return;
    }
    let team = team_with_katib("katib-remove");
    let home = team.home(User::DataScientist, &["tune", "remove", "status"]);
    let flags = ["--param", "lr=0.1:0.5", "--max-trials", "2", "--parallel", "2"];
    std::thread::scope(|threads| {
        let kf = threads.spawn(|| home.run(tune(&flags, "3000")));
        until_true("trials run", || objects(&team, "pods").lines().count() == 3);
        let ran = home.run(["remove", "lr", "--yes"]).success();
        assert_eq!(ran.stdout, "experiment/lr removed\n", "{}", ran.transcript());
        kf.join().unwrap()
    })
    .code(5);
    until_true("all of it is gone", || objects(&team, OF_KATIB).is_empty());
}

/// The reason why `kf remove` deletes in the background.
#[test]
fn experiment_deleted_in_foreground_is_recreated() {
    if skip_without_node("experiment_deleted_in_foreground_is_recreated") {
        return;
    }
    let team = team_with_katib("katib-remade");
    let home = team.home(User::DataScientist, &["tune", "remove", "status"]);
    // An experiment that never gets a suggestion, and reports why.
    let spec = json!({
        "objective": { "type": "minimize", "objectiveMetricName": "loss" },
        "algorithm": { "algorithmName": "random" },
        "parameters": [{ "name": "lr", "parameterType": "double", "feasibleSpace": { "min": "0.1", "max": "1" } }],
        "trialTemplate": {
            "primaryContainerName": "node", "trialParameters": [{ "name": "lr", "reference": "lr" }],
            "trialSpec": { "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "spec": {
                "runtimeRef": { "name": "kf-test" }, "trainer": { "command": ["train", "${trialParameters.lr}"] },
            } },
        },
    });
    let experiment = json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "spec": spec,
        "metadata": { "name": "lr", "annotations": { "kf.test/suggestion-image": "kf.test/nosuch:1" } },
    });
    team.apply(&experiment.to_string());
    let mut status = String::new();
    until_true("the experiment says what it waits for", || {
        status = home.run(["status"]).success().stdout;
        status.contains("waiting for suggestion service: cannot pull image kf.test/nosuch:1")
    });
    assert!(!status.contains("deployment"), "{status}");
    let refused = home.run_unchanged(["remove", "deployment/lr-random", "--yes"]).code(2);
    assert!(refused.stderr.ends_with("hint: kf remove experiment/lr\n"), "{}", refused.transcript());

    let uid = || team.admin(&["get", "deployments", "-o", "jsonpath={.items[*].metadata.uid}"]);
    let first = uid();
    // The garbage collector deletes a suggestion once its deployment is gone, but Katib recreates the deployment first.
    // The fake is not always fast enough, so a finalizer keeps the suggestion.
    let hold = |finalizers: &str| {
        let patch = format!(r#"{{"metadata": {{"finalizers": {finalizers}}}}}"#);
        team.admin(&["patch", "suggestion.kubeflow.org/lr", "--type=merge", "-p", &patch]);
    };
    hold(r#"["team.example/held"]"#);
    team.admin(&["delete", "experiment.kubeflow.org/lr", "--cascade=foreground", "--wait=false"]);
    until_true("the deployment was made again", || ![first.clone(), String::new()].contains(&uid()));
    assert!(objects(&team, "experiments").contains("/lr"), "the experiment still exists");
    let status = home.run(["status", "lr"]).success();
    hold("null");
    assert!(status.stdout.contains("Terminating"), "{}", status.transcript());
}

#[test]
fn experiment_without_katib_is_listed_and_removed() {
    if skip_without_node("experiment_without_katib_is_listed_and_removed") {
        return;
    }
    let team = Team::with_node("tune-own");
    let home = team.home(User::DataScientist, &["tune", "status", "logs", "remove"]);
    let flags = ["--engine", "trainer", "--param", "lr=0.1:0.5", "--max-trials", "2"];
    home.run(tune(&flags, "0")).success();
    let status = home.run(["status", "-o", "name"]).success();
    assert_eq!(status.stdout, "experiment/lr\n", "{}", status.transcript());
    let status = home.run(["status", "lr"]).success();
    assert!(status.stdout.contains("2 of 2 trials done; best loss=0."), "{}", status.transcript());
    let logs = home.run(["logs", "lr"]).success();
    assert_eq!(logs.stdout.matches("it's  here").count(), 2, "{}", logs.transcript());
    assert!(logs.stdout.contains("[lr-1/node-0] loss=0."), "{}", logs.transcript());
    let ran = home.run(["remove", "lr"]).success();
    assert_eq!(ran.stdout, "experiment/lr removed\n", "{}", ran.transcript());
    assert_eq!(objects(&team, "trainjobs,pods"), "");
    home.run_unchanged(["remove", "lr"]).code(5);
}

#[test]
fn hint_repeats_command_line_with_one_flag_changed() {
    let team = Team::new("tune-line");
    let home = team.home(User::DataScientist, &["tune"]);
    let search = ["tune", "lr", "--engine=trainer", "--param", "lr=1,2", "--objective", "loss", "--minimize"];
    let more = ["--runtime", "nope", "--explain", "--", "train", "--lr=${lr}"];
    let words = [&["-n", team.name()][..], &search, &more].concat();
    let ran = home.run_unchanged(words).code(5);
    let hint = format!(
        "hint: kf -n {} {} --runtime kf-test -- train '--lr=${{lr}}'\n",
        team.name(),
        search.join(" ")
    );
    assert!(ran.stderr.ends_with(&hint), "{}", ran.transcript());
}
