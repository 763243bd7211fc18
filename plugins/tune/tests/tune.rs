//! Tests of `kf tune`.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::{FakeCluster, FakeHost};
use kf_plugin_tune::Plugin;
use serde_json::{Value, json};

const GROUP: &str = "trainer.kubeflow.org";
const KIND: &str = "trainer.kubeflow.org/TrainJob";

/// A cluster with Trainer and one runtime.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve(GROUP, "v1alpha1", "TrainJob", "trainjobs");
    host.serve(GROUP, "v1alpha1", "TrainingRuntime", "trainingruntimes");
    host.serve_cluster(GROUP, "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes");
    host.put(json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "ClusterTrainingRuntime",
        "metadata": { "name": "torch" },
    }));
    host
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The arguments of an experiment with four trials, two at a time, and more flags.
fn words<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let mut words = vec![
        "lr",
        "--param",
        "lr=0.1,0.2,0.3,0.4",
        "--algorithm",
        "grid",
        "--objective",
        "loss",
        "--minimize",
        "--runtime",
        "torch",
        "--parallel",
        "2",
    ];
    words.extend(more);
    words.extend(["--", "train", "--lr=${lr}"]);
    words
}

/// A trial's pod prints this log, and its job ends with this condition.
fn ends(cluster: &mut FakeCluster, number: u32, kind: &str, log: &str) {
    let name = format!("lr-{number}");
    let pod = format!("{name}-node-0-0");
    cluster.put(json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": pod, "labels": {
            "jobset.sigs.k8s.io/jobset-name": name,
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "batch.kubernetes.io/job-completion-index": "0",
        } },
        "spec": { "containers": [{ "name": "node" }] }, "status": { "phase": "Succeeded" },
    }));
    cluster.log(&pod, "node", log);
    cluster.end_log(&pod, "node");
    let kind = kind.to_owned();
    cluster.change(KIND, &name, |job| {
        job.set("/metadata/creationTimestamp", "2026-01-01T12:00:00Z");
        let condition = json!([{
            "type": kind, "status": "True", "message": if kind == "Failed" { "exit 3" } else { "" },
            "lastTransitionTime": "2026-01-01T12:01:00Z",
        }]);
        job.set("/status/conditions", condition);
    });
}

/// A trial succeeds with this loss after this many seconds.
fn at(host: &FakeHost, after: u64, number: u32, loss: f64) {
    host.at(seconds(after), move |cluster| {
        ends(cluster, number, "Complete", &format!("epoch=1 loss=9\nepoch=2 loss={loss}\n"));
    });
}

fn all_four(host: &FakeHost) {
    for (after, number, loss) in [(10, 1, 0.5), (20, 2, 0.3), (30, 3, 0.1), (40, 4, 0.2)] {
        at(host, after, number, loss);
    }
}

#[expect(clippy::unwrap_used, reason = "what cannot be listed fails the test")]
fn jobs(host: &FakeHost) -> Vec<String> {
    host.kf().api(KIND).list().unwrap().iter().map(|job| job.name().to_owned()).collect()
}

#[test]
fn trials_run_in_parallel_and_best_is_reported() {
    let host = cluster();
    host.at(seconds(5), |cluster| {
        assert!(cluster.object(KIND, "lr-2").is_some());
        assert!(cluster.object(KIND, "lr-3").is_none(), "two at a time");
    });
    all_four(&host);
    assert_eq!(host.run::<Plugin>(&words(&["--queue", "team"])), Ok(Exit::OK));
    let terminal = host.terminal();
    assert_eq!(terminal.column(0), ["1", "2", "3", "4"]);
    assert_eq!(terminal.column(2), ["0.5", "0.3", "0.1 (best)", "0.2"]);
    assert_eq!(terminal.column(3), ["0.1", "0.2", "0.3", "0.4"]);
    assert_eq!(terminal.notes, ["best of 4: trial 3, loss=0.1 with lr=0.3"]);
    assert_eq!(terminal.rows[0].name, "trainjob/lr-1");
    let job = host.cluster(|cluster| cluster.object(KIND, "lr-2")).unwrap();
    assert_eq!(job.at("/spec/trainer/command"), Some(&json!(["train", "--lr=0.2"])));
    assert_eq!(job.label("kueue.x-k8s.io/queue-name"), Some("team"));
    assert_eq!(job.label("kf-cli.dev/experiment"), Some("lr"));
}

#[test]
fn json_output_has_results() {
    let host = cluster();
    all_four(&host);
    host.format(Format::Json);
    host.run::<Plugin>(&words(&[])).unwrap();
    let trials: Value = serde_json::from_str(&host.terminal().stdout).unwrap();
    assert_eq!(trials[2]["best"], true);
    assert_eq!(trials[2]["objective"], 0.1);
    assert_eq!(trials[2]["parameters"], json!({ "lr": "0.3" }));
    assert_eq!(trials[2]["metrics"]["loss"], json!({ "latest": 0.1, "min": 0.1, "max": 9.0 }));
    assert_eq!((&trials[0]["seconds"], &trials[0]["state"]), (&json!(60), &json!("Succeeded")));
}

#[test]
fn same_command_resumes_experiment() {
    let host = cluster();
    // The first run is stopped when nothing more happens: two trials are left running.
    at(&host, 10, 1, 0.5);
    let stopped = host.run::<Plugin>(&words(&[])).unwrap_err();
    assert_eq!(stopped.code, ErrorCode::TimedOut);
    assert_eq!(jobs(&host), ["lr-1", "lr-2", "lr-3"]);
    // One ended meanwhile.
    host.cluster(|cluster| ends(cluster, 2, "Complete", "loss=0.3\n"));
    let later = host.start().age(host.kf().now()).as_secs();
    at(&host, later + 1, 3, 0.1);
    at(&host, later + 20, 4, 0.2);
    let made_before = host.cluster(|cluster| cluster.object(KIND, "lr-1")).unwrap();
    assert_eq!(host.run::<Plugin>(&words(&[])), Ok(Exit::OK));
    assert_eq!(host.terminal().column(2), ["0.5", "0.3", "0.1 (best)", "0.2"]);
    let now = host.cluster(|cluster| cluster.object(KIND, "lr-1")).unwrap();
    assert_eq!(now, made_before, "a measured trial is not measured again");
    // And a third run has nothing to do.
    assert_eq!(host.run::<Plugin>(&words(&[])), Ok(Exit::OK));
}

#[test]
fn different_definition_is_refused_with_differences() {
    let host = cluster();
    all_four(&host);
    host.run::<Plugin>(&words(&[])).unwrap();
    let mut other = words(&["--seed", "2", "--image", "train:2", "--engine", "trainer"]);
    other[2] = "lr=0.1,0.2,0.3,0.5";
    let error = host.run::<Plugin>(&other).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(
        error.message,
        "experiment lr exists with a different definition: --image is train:2, was none; \
         --param lr is 0.1,0.2,0.3,0.5, was 0.1,0.2,0.3,0.4"
    );
    let line = other.join(" ").replace("lr --param", "lr-2 --param").replace("--lr=${lr}", "'--lr=${lr}'");
    assert_eq!(error.hint, Some(format!("kf tune {line}")));
    let error = host.run::<Plugin>(&words(&["--cpu", "2"])).unwrap_err();
    assert_eq!(error.message, "experiment lr exists with a different definition: other fields of its job");
    // The limits are not part of the definition.
    assert_eq!(host.run::<Plugin>(&words(&["--max-failed", "9", "--goal", "0.0001"])), Ok(Exit::OK));
}

#[test]
fn too_many_failed_trials_end_experiment() {
    let fails = |host: &FakeHost, after, number, kind: &'static str, log: &'static str| {
        host.at(seconds(after), move |cluster| ends(cluster, number, kind, log));
    };
    let host = cluster();
    fails(&host, 10, 1, "Failed", "loss=0.0001\n");
    fails(&host, 20, 2, "Complete", "no metric\n");
    at(&host, 30, 3, 0.1);
    at(&host, 40, 4, 0.2);
    assert_eq!(host.run::<Plugin>(&words(&["--max-failed", "2"])), Ok(Exit::OK));
    assert_eq!(host.terminal().column(1), ["Failed", "NoMetric", "Succeeded", "Succeeded"]);
    assert_eq!(host.terminal().column(6), ["exit 3", "printed no loss=…", "", ""]);
    assert_eq!(host.terminal().notes, ["best of 4: trial 3, loss=0.1 with lr=0.3"]);

    let host = cluster();
    fails(&host, 10, 1, "Failed", "");
    fails(&host, 20, 2, "Failed", "");
    let error = Error::failed("too many trials failed: 2").hint("kf logs trainjob/lr-2");
    assert_eq!(host.run::<Plugin>(&words(&["--max-failed", "1"])), Err(error));
    assert_eq!(host.terminal().notes, ["warning: no trial reported its loss"]);
    assert_eq!(jobs(&host).len(), 3, "no further trial is started");
}

#[test]
fn experiment_without_reported_metric_fails() {
    let host = cluster();
    for number in 1..=4 {
        host.at(seconds(u64::from(number) * 10), move |cluster| {
            ends(cluster, number, "Complete", "epoch=1 accuracy=0.9\n");
        });
    }
    let error = Err(Error::failed("no trial reported its loss"));
    // All trials may fail, so every trial is run.
    assert_eq!(host.run::<Plugin>(&words(&["--max-failed", "4"])), error);
    assert_eq!(jobs(&host), ["lr-1", "lr-2", "lr-3", "lr-4"]);
    assert_eq!(host.terminal().column(1), ["NoMetric"; 4]);
    assert_eq!(host.terminal().notes, [""; 0], "the error is printed once");
    // A later --watch reports the same.
    assert_eq!(host.run::<Plugin>(&["lr", "--watch"]), error);
    // One value is enough.
    host.cluster(|cluster| cluster.remove(KIND, "lr-4"));
    let later = host.start().age(host.kf().now()).as_secs();
    at(&host, later + 10, 4, 0.2);
    assert_eq!(host.run::<Plugin>(&words(&["--max-failed", "4"])), Ok(Exit::OK));
    assert_eq!(host.terminal().notes, ["best of 4: trial 4, loss=0.2 with lr=0.4"]);
}

#[test]
fn katib_experiment_without_reported_metric_fails() {
    let host = with_katib();
    host.file("lr.yaml", FILE);
    simulate_katib(&host);
    for (after, name) in [(11, "lr-aaa"), (21, "lr-bbb")] {
        host.at(seconds(after), move |cluster| {
            cluster.change("kubeflow.org/Trial", name, |trial| {
                let unavailable = json!([{ "type": "MetricsUnavailable", "status": "True" }]);
                trial.set("/status/conditions", unavailable);
                trial.set("/status/observation", json!({ "metrics": [] }));
            });
        });
    }
    let error = Error::failed("no trial reported its loss");
    assert_eq!(host.run::<Plugin>(&["lr", "lr.yaml"]), Err(error));
}

#[test]
fn reached_goal_ends_experiment() {
    let host = cluster();
    at(&host, 10, 1, 0.05);
    at(&host, 20, 2, 0.3);
    assert_eq!(host.run::<Plugin>(&words(&["--goal", "0.05"])), Ok(Exit::OK));
    assert_eq!(jobs(&host), ["lr-1", "lr-2"]);
}

#[test]
fn take_selects_value_of_trial() {
    let host = cluster();
    for number in 1..=4 {
        host.at(seconds(u64::from(number) * 10), move |cluster| {
            ends(cluster, number, "Complete", &format!("loss=0.1\nloss={}\n", 5 - number));
        });
    }
    host.run::<Plugin>(&words(&["--take", "latest"])).unwrap();
    assert_eq!(host.terminal().column(2), ["4", "3", "2", "1 (best)"]);
}

#[test]
fn dry_run_shows_planned_trials() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&words(&[])), Ok(Exit::OK));
    assert!(jobs(&host).is_empty());
    assert_eq!(host.terminal().column(1), ["Planned"; 4]);
    assert_eq!(host.terminal().column(3), ["0.1", "0.2", "0.3", "0.4"]);
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    host.format(Format::Json);
    assert_eq!(host.run::<Plugin>(&words(&[])), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "", "kf prints the document");
}

#[test]
fn flags_without_effect_are_refused() {
    let host = cluster();
    for flags in [["--max-trials", "20"], ["--gpu", "1"], ["--goal", "0.2"]] {
        let error = host.run::<Plugin>(&[&["lr"], flags.as_slice()].concat()).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        let expected = format!("{} has no effect without --param", flags[0]);
        assert_eq!(error.message, expected);
    }
}

#[test]
fn watch_ends_with_experiment() {
    let host = cluster();
    all_four(&host);
    assert_eq!(host.run::<Plugin>(&words(&["--goal", "0.45"])), Ok(Exit::OK));
    assert!(jobs(&host).len() < 4, "the goal was reached before all trials ran");
    assert_eq!(host.run::<Plugin>(&["lr", "--watch"]), Ok(Exit::OK));

    let host = cluster();
    host.at(seconds(10), |cluster| {
        ends(cluster, 1, "Failed", "");
        ends(cluster, 2, "Failed", "");
    });
    let error = Err(Error::failed("too many trials failed: 2").hint("kf logs trainjob/lr-2"));
    assert_eq!(host.run::<Plugin>(&words(&["--max-failed", "1"])), error);
    assert_eq!(host.run::<Plugin>(&["lr", "--watch"]), error);
}

#[test]
fn finished_experiment_is_shown_and_compared() {
    let host = cluster();
    all_four(&host);
    host.run::<Plugin>(&words(&[])).unwrap();
    assert_eq!(host.run::<Plugin>(&["lr"]), Ok(Exit::OK));
    assert_eq!(host.terminal().column(2), ["0.5", "0.3", "0.1 (best)", "0.2"]);

    assert_eq!(host.run::<Plugin>(&["lr", "--compare", "1,3"]), Ok(Exit::OK));
    let terminal = host.terminal().clone();
    assert_eq!(
        terminal.column(0),
        ["state", "loss (min)", "lr", "epoch (latest)", "loss (latest)", "took", "why"]
    );
    assert_eq!(terminal.column(1), ["Succeeded", "0.5", "0.1", "2", "0.5", "60s", ""]);
    assert_eq!(terminal.column(2), ["Succeeded", "0.1 (best)", "0.3", "2", "0.1", "60s", ""]);
    let error = host.run::<Plugin>(&["lr", "--compare", "1,7"]).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::NotFound, "no trial 7"));

    let error = host.run::<Plugin>(&["other"]).unwrap_err();
    assert_eq!(
        (error.code, error.message.as_str()),
        (ErrorCode::NotFound, "no experiment `other` in team-a")
    );
}

#[test]
fn terminal_shows_chart() {
    let host = cluster();
    host.change_context(|context| context.interactive = true);
    all_four(&host);
    assert_eq!(host.run::<Plugin>(&words(&["--watch"])), Ok(Exit::OK));
    let bars = host.terminal().column(3).into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(bars, ["████████████████████", "██████████", "▏", "█████"]);
    let host = cluster();
    host.change_context(|context| context.interactive = true);
    all_four(&host);
    host.run::<Plugin>(&words(&[])).unwrap();
    let terminal = host.terminal();
    assert!(terminal.notes.contains(&"trial 2: loss=0.3 with lr=0.2".to_owned()), "{:?}", terminal.notes);
    let last = terminal.progress.last().unwrap();
    assert_eq!(last, "4 of 4 trials done, 0 running, best loss=0.1 (trial 3), █▄▁▃");
}

#[test]
fn missing_flags_are_reported() {
    let refused = |words: &[&str]| cluster().run::<Plugin>(words).unwrap_err().message;
    assert_eq!(refused(&["lr", "--objective", "loss"]), "no parameters given");
    assert_eq!(refused(&["lr", "--param", "a=1,2"]), "no objective given");
    let neither = refused(&["lr", "--param", "a=1,2", "--objective", "loss"]);
    assert_eq!(neither, "no direction given for loss");
    let unused = words(&["--param", "b=1,2"]);
    assert_eq!(refused(&unused), "--param b is not used in the trials");
    assert_eq!(refused(&words(&["--param", "lr=1,2"])), "--param lr is given twice");
    assert_eq!(
        refused(&words(&["--compare", "1"])),
        "--compare shows an existing experiment, and these flags define one"
    );
    let mut long = words(&[]);
    let name = "a".repeat(47);
    long[0] = &name;
    assert!(refused(&long).contains("too long: at most 46 characters"), "{}", refused(&long));
    assert!(refused(&words(&["--engine", "katib"])).contains("Katib is not installed"));
    let wide =
        ["lr", "--param", "a=1:5000", "--algorithm", "grid", "--objective", "x", "--minimize", "--", "${a}"];
    assert_eq!(refused(&wide), "more than 1000 trials");
}

#[test]
fn unrelated_job_is_not_used_as_trial() {
    let host = cluster();
    host.put(json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": { "name": "lr-1" },
    }));
    let error = host.run::<Plugin>(&words(&[])).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.message, "training job lr-1 exists and is not a trial of lr");
}

#[test]
fn missing_create_permission_is_reported_before_any_write() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("create", GROUP, "trainjobs"));
    assert_eq!(host.run::<Plugin>(&words(&[])).unwrap_err().code, ErrorCode::Forbidden);
    assert!(jobs(&host).is_empty());
}

#[test]
fn trials_share_code() {
    let host = cluster();
    host.serve("", "v1", "ConfigMap", "configmaps");
    host.file("src/train.py", "print(1)\n");
    all_four(&host);
    assert_eq!(host.run::<Plugin>(&words(&["--from-dir", "src"])), Ok(Exit::OK));
    let maps = host.cluster(|cluster| cluster.objects("ConfigMap"));
    assert_eq!(maps.len(), 1);
    let owners: Vec<_> =
        maps[0].list("/metadata/ownerReferences").iter().map(|owner| owner["name"].clone()).collect();
    assert_eq!(owners, ["lr-1", "lr-2", "lr-3", "lr-4"]);
}

#[test]
fn code_is_deleted_if_first_trial_is_refused() {
    let host = cluster();
    host.serve("", "v1", "ConfigMap", "configmaps");
    host.file("src/train.py", "print(1)\n");
    host.cluster(|cluster| cluster.fail("create", "TrainJob", Error::invalid("no jobs today")));
    let error = host.run::<Plugin>(&words(&["--from-dir", "src"])).unwrap_err();
    assert!(error.message.ends_with("no jobs today"), "{error}");
    assert_eq!(host.cluster(|cluster| cluster.objects("ConfigMap")), []);
    // Running trials need it.
    host.cluster(|cluster| cluster.recover("create", "TrainJob"));
    host.at(seconds(5), |cluster| cluster.fail("create", "TrainJob", Error::invalid("no more jobs today")));
    at(&host, 10, 1, 0.5);
    let error = host.run::<Plugin>(&words(&["--from-dir", "src"])).unwrap_err();
    assert!(error.message.ends_with("no more jobs today"), "{error}");
    assert_eq!(host.cluster(|cluster| cluster.objects("ConfigMap")).len(), 1);
}

// ---- Katib ----

const EXPERIMENT: &str = "kubeflow.org/Experiment";

fn with_katib() -> FakeHost {
    let host = cluster();
    host.serve("kubeflow.org", "v1beta1", "Experiment", "experiments");
    host.serve("kubeflow.org", "v1beta1", "Trial", "trials");
    host
}

/// Katib's controller runs two trials and ends the experiment.
fn simulate_katib(host: &FakeHost) {
    for (after, name, lr, loss) in [(10, "lr-aaa", "0.1", "0.5"), (20, "lr-bbb", "0.3", "0.1")] {
        host.at(seconds(after), move |cluster| {
            cluster.put(json!({
                "apiVersion": "kubeflow.org/v1beta1", "kind": "Trial",
                "metadata": {
                    "name": name, "labels": { "katib.kubeflow.org/experiment": "lr" },
                    "creationTimestamp": format!("2026-01-01T12:00:{after}Z"),
                },
                "spec": { "parameterAssignments": [{ "name": "lr", "value": lr }] },
                "status": {
                    "conditions": [{ "type": "Running", "status": "False" }, { "type": "Succeeded", "status": "True" }],
                    "observation": { "metrics": [{ "name": "loss", "latest": loss, "min": loss, "max": "9" }] },
                    "startTime": "2026-01-01T12:00:00Z", "completionTime": "2026-01-01T12:00:30Z",
                },
            }));
        });
    }
    host.at(seconds(30), |cluster| {
        cluster.change(EXPERIMENT, "lr", |experiment| {
            experiment.set("/status/conditions", json!([{ "type": "Succeeded", "status": "True" }]));
        });
    });
}

#[test]
fn katib_runs_experiment_from_flags() {
    let host = with_katib();
    simulate_katib(&host);
    let words = [
        "lr",
        "--param",
        "lr=0.1:0.5:log",
        "--param",
        "opt=adam,sgd",
        "--objective",
        "loss",
        "--minimize",
        "--seed",
        "7",
        "--max-trials",
        "2",
        "--goal",
        "0.01",
        "--runtime",
        "torch",
        "--",
        "train",
        "${lr}",
        "${opt}",
    ];
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    let experiment = host.cluster(|cluster| cluster.object(EXPERIMENT, "lr")).unwrap();
    let spec = |pointer: &str| experiment.at(&format!("/spec/{pointer}")).cloned().unwrap_or_default();
    assert_eq!(experiment.str("/apiVersion"), Some("kubeflow.org/v1beta1"));
    assert_eq!(
        spec("objective"),
        json!({ "type": "minimize", "objectiveMetricName": "loss", "goal": 0.01,
                "metricStrategies": [{ "name": "loss", "value": "min" }] })
    );
    assert_eq!(
        spec("parameters/0"),
        json!({ "name": "lr", "parameterType": "double",
                "feasibleSpace": { "min": "0.1", "max": "0.5", "distribution": "logUniform" } })
    );
    assert_eq!(spec("parameters/1/feasibleSpace"), json!({ "list": ["adam", "sgd"] }));
    assert_eq!(spec("algorithm/algorithmSettings"), json!([{ "name": "random_state", "value": "7" }]));
    assert_eq!(spec("maxTrialCount"), 2);
    let command = json!(["sh", "-c", "train '${trialParameters.lr}' '${trialParameters.opt}'"]);
    assert_eq!(spec("trialTemplate/trialSpec/spec/trainer/command"), command);
    let terminal = host.terminal();
    assert_eq!(terminal.column(0), ["1", "2"]);
    assert_eq!(terminal.column(2), ["0.5", "0.1 (best)"]);
    assert_eq!(terminal.rows[1].name, "trial/lr-bbb");
}

const FILE: &str = "apiVersion: kubeflow.org/v1beta1\nkind: Experiment\nmetadata: {name: lr}\nspec:\n  objective: {type: minimize, objectiveMetricName: loss}\n  parameters: [{name: lr}]\n  maxTrialCount: 2\n";

#[test]
fn experiment_file_is_created_followed_and_shown() {
    let host = with_katib();
    host.file("lr.yaml", FILE);
    simulate_katib(&host);
    assert_eq!(host.run::<Plugin>(&["lr", "lr.yaml", "--parallel", "1"]), Ok(Exit::OK));
    let experiment = host.cluster(|cluster| cluster.object(EXPERIMENT, "lr")).unwrap();
    assert_eq!(experiment.int("/spec/parallelTrialCount"), Some(1));
    assert_eq!(host.terminal().notes, ["best of 2: trial 2, loss=0.1 with lr=0.3"]);
    assert_eq!(host.run::<Plugin>(&["lr"]), Ok(Exit::OK));
    assert_eq!(host.terminal().column(3), ["0.1", "0.3"]);
    host.file("lr.yaml", &FILE.replace("minimize", "maximize"));
    let error = host.run::<Plugin>(&["lr", "lr.yaml"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.message, "experiment lr exists with a different spec: spec.objective");
}

#[test]
fn experiment_file_without_katib_is_refused() {
    let host = cluster();
    host.file("lr.yaml", FILE);
    let error = host.run::<Plugin>(&["lr", "lr.yaml"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "Katib is not installed on this cluster, and an Experiment needs it");
}

#[test]
fn train_job_file_is_template() {
    let host = cluster();
    host.file(
        "job.yaml",
        "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nspec:\n  runtimeRef: {name: torch}\n  trainer:\n    env: [{name: LR, value: '${lr}'}]\n",
    );
    all_four(&host);
    let words = [
        "lr",
        "job.yaml",
        "--param",
        "lr=0.1,0.2,0.3,0.4",
        "--algorithm",
        "grid",
        "--objective",
        "loss",
        "--minimize",
    ];
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    let job = host.cluster(|cluster| cluster.object(KIND, "lr-4")).unwrap();
    assert_eq!(job.str("/spec/trainer/env/0/value"), Some("0.4"));
}

/// The experiment that these arguments create.
#[expect(clippy::unwrap_used, reason = "a missing experiment fails the test")]
fn katib_experiment(words: &[&str]) -> Object {
    let host = with_katib();
    simulate_katib(&host);
    assert_eq!(host.run::<Plugin>(words), Ok(Exit::OK));
    host.cluster(|cluster| cluster.object(EXPERIMENT, "lr")).unwrap()
}

#[test]
fn katib_counts_are_capped_at_trials() {
    let fixed = |more: &[&'static str]| {
        let mut words = vec!["lr", "--objective", "loss", "--minimize", "--runtime", "torch"];
        words.extend(more);
        words.extend(["--", "train", "${lr}"]);
        let experiment = katib_experiment(&words);
        let count = |field: &str| experiment.int(&format!("/spec/{field}"));
        [count("maxTrialCount"), count("parallelTrialCount"), count("maxFailedTrialCount")]
            .map(Option::unwrap)
    };
    assert_eq!(fixed(&["--param", "lr=0.1", "--algorithm", "grid"]), [1, 1, 1]);
    assert_eq!(fixed(&["--param", "lr=0.1:1", "--max-trials", "2"]), [2, 2, 2]);
    assert_eq!(fixed(&["--param", "lr=0.1:1", "--max-trials", "2", "--parallel", "9"]), [2, 2, 2]);
    assert_eq!(fixed(&["--param", "lr=0.1:1", "--max-trials", "9", "--parallel", "4"]), [9, 4, 3]);
    assert_eq!(fixed(&["--param", "lr=0.1:1", "--max-trials", "9", "--max-failed", "1"]), [9, 3, 1]);
}

#[test]
fn max_trials_caps_counts_of_experiment_file() {
    let host = with_katib();
    let counts = |file: &str, words: &[&str]| {
        host.file("lr.yaml", file);
        host.change_context(|context| context.dry_run = false);
        host.cluster(|cluster| cluster.remove(EXPERIMENT, "lr"));
        simulate_katib(&host);
        let words = [&["lr", "lr.yaml"], words].concat();
        assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
        let made = host.cluster(|cluster| cluster.object(EXPERIMENT, "lr")).unwrap();
        [made.int("/spec/parallelTrialCount"), made.int("/spec/maxFailedTrialCount")]
    };
    let wide = format!("{FILE}  parallelTrialCount: 5\n  maxFailedTrialCount: 4\n");
    assert_eq!(counts(&wide, &["--max-trials", "2"]), [Some(2), Some(2)]);
    // Katib's default is larger.
    assert_eq!(counts(FILE, &["--max-trials", "2"]), [Some(2), None]);
    assert_eq!(counts(FILE, &["--max-trials", "4"]), [None, None]);
    assert_eq!(counts(&wide, &[]), [Some(5), Some(4)], "the file's values are kept");
}

/// A search over one parameter, which is the only argument of the command.
fn search<'a>(name: &'a str, parameter: &'a str, word: &'a str) -> Vec<&'a str> {
    let flags = ["--objective", "loss", "--minimize", "--runtime", "torch"];
    [&[name, "--param", parameter][..], &flags, &["--", "t", word]].concat()
}

#[test]
fn name_too_long_for_katib_is_refused_before_any_write() {
    let host = with_katib();
    let name = "a".repeat(41);
    let error = host.run::<Plugin>(&search(&name, "lr=1,2", "${lr}")).unwrap_err();
    assert_eq!(error.code, ErrorCode::Invalid);
    assert!(error.message.contains("too long: at most 39 characters"), "{}", error.message);
    host.file("lr.yaml", &FILE.replace("name: lr}\nspec", &format!("name: {name}}}\nspec")));
    let error = host.run::<Plugin>(&[&name, "lr.yaml"]).unwrap_err();
    assert!(error.message.contains("too long: at most 40 characters"), "{}", error.message);
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
}

#[test]
fn ended_katib_experiment_that_cannot_resume_is_refused() {
    let words = |more: &[&'static str]| {
        let mut words =
            vec!["lr", "--param", "lr=0.1:1", "--objective", "loss", "--minimize", "--runtime", "torch"];
        words.extend(more);
        words.extend(["--", "train", "${lr}"]);
        words
    };
    let host = with_katib();
    simulate_katib(&host);
    assert_eq!(host.run::<Plugin>(&words(&["--max-trials", "2"])), Ok(Exit::OK));
    let writes = host.cluster(|cluster| cluster.writes().len());
    // The same command shows it again.
    assert_eq!(host.run::<Plugin>(&words(&["--max-trials", "2"])), Ok(Exit::OK));
    let error = host.run::<Plugin>(&words(&["--max-trials", "6"])).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    let message = "experiment lr has ended and Katib cannot resume it: its spec.resumePolicy is Never";
    assert_eq!(error.message, message);
    assert!(error.hint.as_deref().unwrap().starts_with("kf tune lr-2 --param "), "{:?}", error.hint);
    assert!(host.cluster(|cluster| cluster.writes().len()) > writes);
    // An experiment that keeps its suggestion service is resumed.
    host.cluster(|cluster| {
        cluster.change(EXPERIMENT, "lr", |it| it.set("/spec/resumePolicy", "LongRunning"))
    });
    assert_eq!(host.run::<Plugin>(&words(&["--max-trials", "6"])), Ok(Exit::OK));
    for (reason, kind, why) in [
        ("ExperimentGoalReached", "Succeeded", "it has reached its goal"),
        ("ExperimentFailed", "Failed", "it has failed"),
    ] {
        host.cluster(|cluster| {
            cluster.change(EXPERIMENT, "lr", |it| {
                it.set("/status/conditions", json!([{ "type": kind, "status": "True", "reason": reason }]));
            });
        });
        let error = host.run::<Plugin>(&words(&["--max-trials", "7"])).unwrap_err();
        assert!(error.message.ends_with(why), "{}", error.message);
    }
}

#[test]
fn katib_refusal_names_experiment() {
    let host = with_katib();
    let refused = |text: &str| {
        let denied = format!(
            "admission webhook \"validator.experiment.katib.kubeflow.org\" denied the request: {text}"
        );
        host.cluster(|cluster| cluster.fail("patch", "Experiment", Error::invalid(denied)));
        host.file("lr.yaml", FILE);
        host.run::<Plugin>(&["lr", "lr.yaml"]).unwrap_err()
    };
    let error = refused("spec.maxTrialCount: Invalid value: 2: must be greater than status.trials count");
    let message = "the cluster rejected the experiment: spec.maxTrialCount: Invalid value: 2: must be greater than \
                   status.trials count";
    assert_eq!(error.message, message);
}

#[test]
fn values_that_katib_breaks_suggest_trainer_engine() {
    for value in ["it's", "a\"b", r"c\d"] {
        let choices = format!("opt=plain,{value}");
        let host = with_katib();
        let error = host.run::<Plugin>(&search("lr", &choices, "${opt}")).unwrap_err();
        assert_eq!(error.code, ErrorCode::Unsupported, "{value}: {}", error.message);
        assert!(error.hint.as_deref().unwrap().contains(" --engine trainer "), "{:?}", error.hint);
        assert!(host.cluster(|cluster| cluster.writes().is_empty()));
    }
}

#[test]
fn experiment_of_kf_is_found_as_workload() {
    use kf_plugin_sdk::workloads::{State, Workload};

    let host = cluster();
    all_four(&host);
    assert_eq!(host.run::<Plugin>(&words(&[])), Ok(Exit::OK));
    let component = Workload::find(&host.kf(), "lr").unwrap();
    assert_eq!(component.to_string(), "experiment/lr");
    let verdict = component.verdict(&host.kf()).unwrap();
    assert_eq!((verdict.state, verdict.ready, verdict.wanted), (State::Complete, 4, 4));
    assert_eq!(verdict.why.as_deref(), Some("4 of 4 trials done; best loss=0.1 (lr=0.3)"));
    assert_eq!(component.pods(&host.kf()).unwrap().len(), 4);
}

#[test]
fn removed_experiment_is_not_restarted() {
    let host = cluster();
    // One by one, as `kf remove` deletes them.
    for (after, number) in [(10, 1), (11, 2)] {
        host.at(seconds(after), move |cluster| cluster.remove(KIND, &format!("lr-{number}")));
    }
    let error = host.run::<Plugin>(&words(&[])).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "experiment lr was removed before it ended");
    assert_eq!(jobs(&host), [""; 0]);
}

#[test]
fn deleted_trial_is_recreated() {
    let host = cluster();
    host.at(seconds(10), |cluster| cluster.remove(KIND, "lr-1"));
    host.at(seconds(30), |cluster| assert!(cluster.object(KIND, "lr-1").is_some()));
    for (after, number, loss) in [(40, 1, 0.5), (50, 2, 0.3), (60, 3, 0.1), (70, 4, 0.2)] {
        at(&host, after, number, loss);
    }
    assert_eq!(host.run::<Plugin>(&words(&[])), Ok(Exit::OK));
    assert_eq!(host.terminal().column(0), ["1", "2", "3", "4"]);
}
