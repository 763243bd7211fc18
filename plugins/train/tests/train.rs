//! What `kf train` does to a cluster, and what it says.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_train::Plugin;
use serde_json::{Value, json};

const KIND: &str = "trainer.kubeflow.org/TrainJob";
const GROUP: &str = "trainer.kubeflow.org";

fn runtime(name: &str, labels: Value) -> Value {
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "ClusterTrainingRuntime",
        "metadata": { "name": name, "labels": labels },
    })
}

/// A cluster with the runtimes `torch` and `mpi`.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.change_context(|context| context.command = "train".into());
    host.serve(GROUP, "v1alpha1", "TrainJob", "trainjobs");
    host.serve(GROUP, "v1alpha1", "TrainingRuntime", "trainingruntimes");
    host.serve_cluster(GROUP, "v1alpha1", "ClusterTrainingRuntime", "clustertrainingruntimes");
    host.put(runtime("mpi", json!({})));
    host.put(runtime("torch", json!({})));
    host
}

#[expect(clippy::unwrap_used, reason = "a job that is not there fails the test")]
fn job(host: &FakeHost) -> Object {
    host.cluster(|cluster| cluster.object(KIND, "mnist")).unwrap()
}

fn writes(host: &FakeHost) -> Vec<(&'static str, bool)> {
    host.cluster(|cluster| cluster.writes().iter().map(|write| (write.verb, write.dry_run)).collect())
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The controller ends the job after a minute.
fn ends(host: &FakeHost, kind: &'static str, message: &'static str) {
    host.at(seconds(60), move |cluster| {
        cluster.change(KIND, "mnist", |job| {
            job.set("/metadata/creationTimestamp", "2026-01-01T12:00:00Z");
            job.set(
                "/status/conditions",
                json!([{ "type": kind, "status": "True", "message": message,
                         "lastTransitionTime": "2026-01-01T12:01:00Z" }]),
            );
        });
    });
}

fn pod(rank: u32, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": format!("mnist-node-0-{rank}"), "labels": {
            "jobset.sigs.k8s.io/jobset-name": "mnist",
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "batch.kubernetes.io/job-completion-index": rank.to_string(),
        } },
        "spec": { "containers": [{ "name": "node" }] }, "status": status,
    })
}

#[test]
fn flags_alone_make_a_job_and_the_server_checks_it_first() {
    let host = cluster();
    let words = [
        "mnist",
        "--runtime",
        "torch",
        "--nodes",
        "2",
        "--image",
        "train:1",
        "-e",
        "LR=0.1",
        "--",
        "python",
        "t.py",
    ];
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    assert_eq!(writes(&host), [("apply", true), ("apply", false)]);
    let expected = json!({
        "runtimeRef": { "apiGroup": GROUP, "kind": "ClusterTrainingRuntime", "name": "torch" },
        "trainer": {
            "numNodes": 2, "image": "train:1", "command": ["python", "t.py"],
            "env": [{ "name": "LR", "value": "0.1" }],
        },
    });
    assert_eq!(job(&host).at("/spec"), Some(&expected));
    assert_eq!(host.terminal().stdout, "trainjob/mnist created (runtime torch, 2 nodes)\n");
}

#[test]
fn a_file_is_read_and_flags_change_it() {
    let host = cluster();
    host.file(
        "mnist.yaml",
        "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\nspec:\n  runtimeRef: {name: torch}\n  trainer: {numNodes: 4}\n",
    );
    host.format(Format::Json);
    assert_eq!(
        host.run::<Plugin>(&["mnist", "mnist.yaml", "--set", "spec.trainer.numProcPerNode=8"]),
        Ok(Exit::OK)
    );
    let job = job(&host);
    assert_eq!(job.int("/spec/trainer/numNodes"), Some(4));
    assert_eq!(job.int("/spec/trainer/numProcPerNode"), Some(8));
    let report: Value = serde_json::from_str(&host.terminal().stdout).unwrap();
    assert_eq!(report, json!({ "name": "mnist", "change": "created", "runtime": "torch", "nodes": 4 }));
}

#[test]
fn a_runtime_that_does_not_exist_is_answered_with_those_that_do() {
    let host = cluster();
    host.put(runtime("old", json!({ "trainer.kubeflow.org/support": "deprecated" })));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "tarch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "no training runtime `tarch`; there are mpi, torch");
    assert_eq!(error.hint.as_deref(), Some("kf train mnist --runtime mpi"));
    assert!(writes(&host).is_empty());
}

#[test]
fn without_a_runtime_the_only_one_will_do_and_several_will_not() {
    let host = cluster();
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error.message, "no runtime is named; there are mpi, torch");
    host.cluster(|cluster| cluster.remove("trainer.kubeflow.org/ClusterTrainingRuntime", "mpi"));
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    assert_eq!(job(&host).str("/spec/runtimeRef/name"), Some("torch"));
}

#[test]
fn a_runtime_of_the_namespace_is_found_too() {
    let host = cluster();
    host.put(json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainingRuntime", "metadata": { "name": "ours" },
    }));
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "ours"]), Ok(Exit::OK));
    assert_eq!(job(&host).str("/spec/runtimeRef/kind"), Some("TrainingRuntime"));
}

#[test]
fn who_may_not_see_runtimes_may_still_name_one() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.deny("*", GROUP, "clustertrainingruntimes");
        cluster.deny("*", GROUP, "trainingruntimes");
    });
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch"]), Ok(Exit::OK));
}

#[test]
fn who_may_not_create_jobs_is_told_before_anything_is_stored() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("create", GROUP, "trainjobs"));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert_eq!(error.message, "you may not create trainjobs.trainer.kubeflow.org in team-a");
    assert_eq!(
        writes(&host),
        [("apply", true)],
        "the server is asked, so that kf can say which layer refuses"
    );
}

#[test]
fn a_cluster_without_trainer_says_so() {
    let error = FakeHost::new("team-a").run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.hint.as_deref(), Some("ask your admin to install Kubeflow Trainer"));
}

#[test]
fn a_refused_job_is_one_line_and_nothing_is_created() {
    let host = cluster();
    let refusal = "admission webhook \"v\" denied the request: spec.trainer.numProcPerNode: must be positive";
    host.cluster(|cluster| cluster.fail("patch", "TrainJob", Error::invalid(refusal)));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(
        error.message,
        "the cluster refuses the training job: spec.trainer.numProcPerNode: must be positive"
    );
    assert!(host.cluster(|cluster| cluster.object(KIND, "mnist")).is_none());
}

#[test]
fn a_dry_run_changes_nothing_and_waits_for_nothing() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK));
    assert_eq!(writes(&host), [("apply", true)]);
}

#[test]
fn a_job_keeps_its_runtime() {
    let host = cluster();
    host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap();
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch"]), Ok(Exit::OK));
    assert!(host.terminal().stdout.ends_with("trainjob/mnist unchanged (runtime torch)\n"));
    let error = host.run::<Plugin>(&["mnist", "--runtime", "mpi"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.message, "training job mnist runs with the runtime torch, that cannot become mpi");
}

#[test]
fn a_change_that_would_not_reach_the_pods_is_refused() {
    let host = cluster();
    host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap();
    let more = ["mnist", "--runtime", "torch", "--nodes", "2"];
    let error = host.run::<Plugin>(&more).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(error.hint.as_deref(), Some("kf train mnist-2 --runtime torch --nodes 2"));
    assert_eq!(job(&host).int("/spec/trainer/numNodes"), None);

    host.cluster(|cluster| cluster.change(KIND, "mnist", |job| job.set("/spec/suspend", true)));
    assert_eq!(host.run::<Plugin>(&more), Ok(Exit::OK), "a job that is held has no pods yet");
}

#[test]
fn a_job_that_has_ended_needs_a_new_name() {
    let host = cluster();
    host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap();
    host.cluster(|cluster| {
        cluster.change(KIND, "mnist", |job| {
            job.set("/status/conditions", json!([{ "type": "Complete", "status": "True" }]));
        });
    });
    let error = host.run::<Plugin>(&["mnist", "--runtime", "torch"]).unwrap_err();
    assert_eq!(error.message, "training job mnist exists and is complete; it will not run again");
}

#[test]
fn waiting_ends_with_the_job() {
    let host = cluster();
    ends(&host, "Complete", "");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::OK));
    let notes = host.terminal().notes.clone();
    assert_eq!(notes, ["trainjob/mnist created (runtime torch)", "mnist complete after 60s"]);
    assert_eq!(host.terminal().stdout, "", "stdout is for data");
}

#[test]
fn a_failed_job_shows_the_last_lines_of_the_pod_that_failed() {
    let host = cluster();
    host.at(seconds(30), |cluster| {
        cluster.put(pod(0, json!({ "phase": "Running" })));
        let dead = json!({ "phase": "Failed", "containerStatuses": [{ "name": "node",
            "state": { "terminated": { "exitCode": 1, "finishedAt": "2026-01-01T12:00:50Z" } } }] });
        cluster.put(pod(1, dead));
        cluster.log("mnist-node-0-1", "node", "epoch=1\nKeyError: 'label'\n");
    });
    ends(&host, "Failed", "jobset failed");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--wait"]), Ok(Exit::FAILED));
    let notes = host.terminal().notes.clone();
    assert_eq!(
        notes[1..],
        [
            "warning: mnist failed after 60s: jobset failed",
            "node-1 ended with exit 1",
            "[node-1] epoch=1",
            "[node-1] KeyError: 'label'",
        ]
    );
}

#[test]
fn logs_of_all_ranks_come_with_the_rank() {
    let host = cluster();
    host.at(seconds(30), |cluster| {
        for rank in [0, 1] {
            let name = format!("mnist-node-0-{rank}");
            cluster.log(&name, "node", "epoch=1\n");
            cluster.end_log(&name, "node");
            cluster.put(pod(
                rank,
                json!({ "phase": "Running",
                "containerStatuses": [{ "name": "node", "state": { "running": {} } }] }),
            ));
        }
    });
    ends(&host, "Complete", "");
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "torch", "--nodes", "2", "--logs"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout.clone();
    let mut lines: Vec<_> = stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[node-0] epoch=1", "[node-1] epoch=1"]);
}

#[test]
fn a_deprecated_runtime_is_warned_about() {
    let host = cluster();
    host.put(runtime("old", json!({ "trainer.kubeflow.org/support": "deprecated" })));
    assert_eq!(host.run::<Plugin>(&["mnist", "--runtime", "old"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes, ["warning: the runtime old is deprecated"]);
}

#[test]
fn only_the_named_file_is_read() {
    let error = cluster().run::<Plugin>(&["mnist", "secret.yaml"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden);
}
