//! `kf tune`: trials on a real node, and an experiment of a stand-in for Katib.

use kf_tests::cluster::{User, skip_without_node};
use serde_json::{Value, json};

use crate::common::team::Team;
use crate::common::terminal::Terminal;
use crate::common::{Home, Ran, until_true};

/// A random search of six trials, two at a time, over how fast the regression learns.
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
fn a_search_stopped_in_the_middle_goes_on_to_its_best_trial() {
    if skip_without_node("a_search_stopped_in_the_middle_goes_on_to_its_best_trial") {
        return;
    }
    let team = Team::with_node("tune");
    let home = team.home(User::DataScientist, &["tune"]);
    let terminal = Terminal::start(home.kf(TUNE));
    until_true("three trials have begun", || jobs(&team) >= 3);
    terminal.interrupt();
    let begun = jobs(&team);
    assert!(begun < 6, "{begun} trials were begun, two at a time");

    let ran = home.run(TUNE.iter().copied().chain(["-o", "json"])).success();
    let all = trials(&ran);
    assert_eq!(all.len(), 6, "{}", ran.transcript());
    assert!(all.iter().all(|trial| trial["state"] == "Succeeded"), "{}", ran.transcript());
    let loss = |trial: &Value| trial["objective"].as_f64().unwrap();
    let best: Vec<_> = all.iter().filter(|trial| trial["best"] == true).collect();
    assert_eq!(best.len(), 1, "{}", ran.transcript());
    assert!(all.iter().all(|trial| loss(best[0]) <= loss(trial)), "{}", ran.transcript());
    // What a trial is said to have come to is what its log says.
    let name = best[0]["name"].as_str().unwrap();
    let pod =
        team.admin(&["get", "pods", "-l", &format!("jobset.sigs.k8s.io/jobset-name={name}"), "-o", "name"]);
    let log = team.admin(&["logs", pod.trim()]);
    let last = log.lines().filter_map(|line| line.rsplit_once("loss=")).next_back().unwrap().1;
    assert_eq!(last.parse::<f64>().unwrap(), best[0]["metrics"]["loss"]["latest"].as_f64().unwrap(), "{log}");

    // It is over, and says the same to whoever looks, who may not begin it.
    let viewer = team.home(User::Viewer, &["tune"]);
    assert_eq!(trials(&viewer.run(["tune", "lr", "-o", "json"]).success()), all);
    let compared = viewer.run(["tune", "lr", "--compare", "1,2"]).success();
    assert!(compared.stdout.lines().next().unwrap().contains("TRIAL 1"), "{}", compared.transcript());
    let mut other = TUNE;
    other[1] = "mine";
    let refused = viewer.run_in_vain(other).code(4);
    assert!(refused.stderr.contains("your own rights"), "{}", refused.transcript());
    let mut other = TUNE;
    other[7] = "4";
    let refused = home.run_in_vain(other).code(1);
    assert!(refused.stderr.contains("--seed is 4 and was 3"), "{}", refused.transcript());
}

/// As much of Katib's Experiment and Trial as kf reads. Katib itself is not here.
fn stand_in_for_katib(team: &Team) {
    let definition = |kind: &str, plural: &str| {
        json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": format!("{plural}.kubeflow.org") },
            "spec": {
                "group": "kubeflow.org", "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural, "singular": kind.to_lowercase() },
                "versions": [{
                    "name": "v1beta1", "served": true, "storage": true, "subresources": { "status": {} },
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "x-kubernetes-preserve-unknown-fields": true,
                    } },
                }],
            },
        })
    };
    let role = |name: &str, of: &str, verbs: &[&str]| {
        json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole",
            "metadata": {
                "name": name,
                "labels": { format!("rbac.authorization.k8s.io/aggregate-to-{of}"): "true" },
            },
            "rules": [{ "apiGroups": ["kubeflow.org"], "resources": ["experiments", "trials"], "verbs": verbs }],
        })
    };
    let read = ["get", "list", "watch"];
    let write = ["get", "list", "watch", "create", "patch", "delete"];
    let objects = [
        definition("Experiment", "experiments"),
        definition("Trial", "trials"),
        role("kf-katib-view", "view", &read),
        role("kf-katib-edit", "edit", &write),
    ];
    let manifests: Vec<_> = objects.iter().map(Value::to_string).collect();
    team.apply(&manifests.join("\n---\n"));
    team.wait("condition=Established", &["crd/experiments.kubeflow.org", "crd/trials.kubeflow.org"]);
    team.wait_until_allowed("dana", "patch", "experiments.kubeflow.org");
    team.wait_until_allowed("vic", "list", "trials.kubeflow.org");
}

fn set_status(team: &Team, object: &str, status: &Value) {
    let patch = json!({ "status": status }).to_string();
    team.admin(&["patch", object, "--subresource=status", "--type=merge", "-p", &patch]);
}

/// Plays Katib's controller: two trials, the second the better, and the end.
fn play_katib(team: &Team) {
    until_true("the experiment exists", || {
        team.kubectl(User::Admin, &["get", "experiment.kubeflow.org/lr"]).status.success()
    });
    let done = json!([{ "type": "Running", "status": "False" }, { "type": "Succeeded", "status": "True" }]);
    for (name, lr, loss) in [("lr-aaa", "0.1", "0.5"), ("lr-bbb", "0.3", "0.1")] {
        let trial = json!({
            "apiVersion": "kubeflow.org/v1beta1", "kind": "Trial",
            "metadata": { "name": name, "labels": { "katib.kubeflow.org/experiment": "lr" } },
            "spec": { "parameterAssignments": [{ "name": "lr", "value": lr }] },
        });
        team.apply(&trial.to_string());
        let metrics = json!([{ "name": "loss", "latest": loss, "min": loss, "max": "1" }]);
        let status = json!({
            "conditions": done, "observation": { "metrics": metrics },
            "startTime": "2026-01-01T12:00:00Z", "completionTime": "2026-01-01T12:00:30Z",
        });
        set_status(team, &format!("trial.kubeflow.org/{name}"), &status);
    }
    set_status(team, "experiment.kubeflow.org/lr", &json!({ "conditions": done, "trials": 2 }));
}

fn experiment(home: &Home, more: &[&str]) -> Ran {
    let words = [
        "tune",
        "lr",
        "--param",
        "lr=0.1:0.5:log",
        "--objective",
        "loss",
        "--minimize",
        "--max-trials",
        "2",
        "--runtime",
        "kf-test",
        "-o",
        "json",
    ];
    home.run(words.iter().chain(more).chain(&["--", "train", "${lr}"]))
}

#[test]
fn an_experiment_is_made_and_followed_to_its_end() {
    let team = Team::new("katib");
    stand_in_for_katib(&team);
    let home = team.home(User::DataScientist, &["tune"]);
    let ran = std::thread::scope(|threads| {
        let kf = threads.spawn(|| experiment(&home, &[]));
        play_katib(&team);
        kf.join().unwrap()
    })
    .success();
    let all = trials(&ran);
    assert_eq!(all.iter().map(|trial| trial["name"].clone()).collect::<Vec<_>>(), ["lr-aaa", "lr-bbb"]);
    assert_eq!(all[1]["best"], true, "{}", ran.transcript());
    let command = "jsonpath={.spec.trialTemplate.trialSpec.spec.trainer.command}";
    let command = team.admin(&["get", "experiment.kubeflow.org/lr", "-o", command]);
    assert_eq!(command, r#"["train","${trialParameters.lr}"]"#);
    // Shown again to who may look, who may not begin one.
    let viewer = team.home(User::Viewer, &["tune"]);
    assert_eq!(trials(&viewer.run(["tune", "lr", "-o", "json"]).success()), all);
    assert_eq!(experiment(&viewer, &["--seed", "1"]).code, Some(4));
}

#[test]
fn hint_repeats_the_typed_line_with_one_flag_changed() {
    let team = Team::new("tune-line");
    let home = team.home(User::DataScientist, &["tune"]);
    let search = ["tune", "lr", "--engine=trainer", "--param", "lr=1,2", "--objective", "loss", "--minimize"];
    let more = ["--runtime", "nope", "--explain", "--", "train", "--lr=${lr}"];
    let words = [&["-n", team.name()][..], &search, &more].concat();
    let ran = home.run_in_vain(words).code(5);
    let hint = format!(
        "hint: kf -n {} {} --runtime kf-test -- train '--lr=${{lr}}'\n",
        team.name(),
        search.join(" ")
    );
    assert!(ran.stderr.ends_with(&hint), "{}", ran.transcript());
}
