//! What a person is told about the things in a namespace.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_status::Plugin;
use serde_json::{Value, json};

const TRAIN_JOB: &str = "trainer.kubeflow.org/TrainJob";

/// Trainer, batch and apps are served; notebooks and inference services are not.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs");
    host.serve("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets");
    host.serve("batch", "v1", "Job", "jobs");
    host.serve("apps", "v1", "Deployment", "deployments");
    host.serve("apps", "v1", "StatefulSet", "statefulsets");
    host
}

fn owned(object: Value, kind: &str, name: &str) -> Value {
    let mut object = Object::from(object);
    let owner = json!([{ "kind": kind, "name": name, "controller": true }]);
    object.set("/metadata/ownerReferences", owner);
    object.into_value()
}

fn train_job(name: &str, status: Value) -> Value {
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
        "metadata": { "name": name, "creationTimestamp": "2026-01-01T11:59:20Z" },
        "spec": { "trainer": { "numNodes": 2 } }, "status": status,
    })
}

fn pod(name: &str, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "creationTimestamp": "2026-01-01T11:59:30Z" },
        "spec": { "containers": [{ "name": "main" }] }, "status": status,
    })
}

fn running() -> Value {
    json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] })
}

fn unschedulable() -> Value {
    json!({ "phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: none.",
    }] })
}

fn crashing() -> Value {
    json!({ "phase": "Running", "containerStatuses": [{
        "name": "main", "restartCount": 4, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "message": "model.pkl: no such file" } },
    }] })
}

/// The job set, the job and the pods of a training job.
fn put_tree(host: &FakeHost, name: &str, pods: [Value; 2]) {
    host.put(owned(
        json!({ "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": { "name": name } }),
        "TrainJob",
        name,
    ));
    let job = format!("{name}-node-0");
    host.put(owned(
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": job } }),
        "JobSet",
        name,
    ));
    for (index, status) in pods.into_iter().enumerate() {
        host.put(owned(pod(&format!("{job}-{index}"), status), "Job", &job));
    }
}

fn deployment(name: &str, replicas: u32) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": { "replicas": replicas } })
}

/// KIND NAME STATE READY WHY of every row.
#[expect(clippy::indexing_slicing, reason = "every column has a cell in every row")]
fn table(host: &FakeHost, words: &[&str]) -> Vec<[String; 5]> {
    assert_eq!(host.run::<Plugin>(words), Ok(Exit::OK));
    let terminal = host.terminal();
    let columns = [0, 1, 2, 3, 5].map(|index| terminal.column(index));
    let row = |index: usize| columns.each_ref().map(|column| column[index].to_owned());
    (0..terminal.rows.len()).map(row).collect()
}

#[test]
fn a_training_job_is_one_line_with_its_pods_reason() {
    let host = cluster();
    host.put(train_job("bert", json!({ "conditions": [{ "type": "Suspended", "status": "False" }] })));
    put_tree(&host, "bert", [unschedulable(), unschedulable()]);
    let why = "2 pods: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu";
    assert_eq!(table(&host, &[]), [["trainjob", "bert", "Pending", "0/2", why]]);
}

#[test]
fn who_may_not_see_job_sets_still_sees_one_training_job() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("list", "jobset.x-k8s.io", "jobsets"));
    host.put(train_job("mnist", json!({})));
    put_tree(&host, "mnist", [running(), running()]);
    assert_eq!(table(&host, &[]), [["trainjob", "mnist", "Running", "2/2", ""]]);
    assert_eq!(host.terminal().notes, [""; 0]);

    let mut stray = Object::from(pod("stray", running()));
    stray.set("/metadata/labels", json!({ "jobset.sigs.k8s.io/jobset-name": "other" }));
    host.put(stray.into_value());
    table(&host, &[]);
    assert_eq!(host.terminal().notes, ["left out, for you may not list them here: job sets"]);
}

#[test]
fn a_job_whose_pods_are_done_is_not_pending_again() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    put_tree(&host, "mnist", [json!({ "phase": "Succeeded" }), json!({ "phase": "Succeeded" })]);
    assert_eq!(table(&host, &[]), [["trainjob", "mnist", "Running", "2/2", ""]]);
}

#[test]
fn a_training_job_that_runs_says_how_far_it_is() {
    let host = cluster();
    let status = json!({ "trainerStatus": { "progressPercentage": 30, "estimatedRemainingSeconds": 125 } });
    host.put(train_job("mnist", status));
    put_tree(&host, "mnist", [running(), running()]);
    assert_eq!(table(&host, &[]), [["trainjob", "mnist", "Running", "2/2", "30 % done, about 2m5s left"]]);
}

#[test]
fn only_a_condition_that_holds_counts() {
    let host = cluster();
    let held =
        json!({ "conditions": [{ "type": "Suspended", "status": "True", "message": "queued by Kueue" }] });
    host.put(train_job("queued", held));
    let done = json!({ "conditions": [
        { "type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T12:02:32Z" },
        { "type": "Suspended", "status": "False" },
    ] });
    host.put(train_job("done", done));
    assert_eq!(
        table(&host, &[]),
        [
            ["trainjob", "done", "Complete", "-", "took 3m12s"],
            ["trainjob", "queued", "Suspended", "0/2", "queued by Kueue"],
        ]
    );
}

#[test]
fn a_failed_job_says_what_its_pod_said() {
    let host = cluster();
    let failed = json!({ "conditions": [
        { "type": "Failed", "status": "True", "reason": "JobsFailed", "message": "jobset failed" },
    ] });
    host.put(train_job("mnist", failed));
    let dead = json!({ "phase": "Failed", "containerStatuses": [{
        "name": "main", "state": { "terminated": { "exitCode": 1, "message": "KeyError: 'label'" } },
    }] });
    put_tree(&host, "mnist", [running(), dead]);
    let rows = table(&host, &[]);
    assert_eq!(rows[0][2], "Failed");
    assert_eq!(rows[0][4], "exit 1: KeyError: 'label'");
}

#[test]
fn a_quota_that_stops_pods_is_found_in_the_events() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    host.put(owned(
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "mnist-node-0" } }),
        "TrainJob",
        "mnist",
    ));
    host.put(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e1" }, "type": "Warning",
        "involvedObject": { "kind": "Job", "name": "mnist-node-0" }, "reason": "FailedCreate",
        "message": "exceeded quota: compute, requested: requests.cpu=4",
    }));
    assert_eq!(table(&host, &[])[0][4], "exceeded quota: compute, requested: requests.cpu=4");
}

#[test]
fn a_deployment_is_degraded_when_some_of_it_crashes() {
    let host = cluster();
    host.put(deployment("web", 2));
    for (name, status) in [("web-5d4f-a", running()), ("web-5d4f-b", crashing())] {
        let mut pod = owned(pod(name, status), "ReplicaSet", "web-5d4f");
        pod["metadata"]["labels"] = json!({ "pod-template-hash": "5d4f" });
        host.put(pod);
    }
    host.put(deployment("idle", 0));
    assert_eq!(
        table(&host, &[]),
        [
            ["deployment", "idle", "Stopped", "0/0", ""],
            ["deployment", "web", "Degraded", "1/2", "crashes: exit 1: model.pkl: no such file, 4 restarts"],
        ]
    );
}

#[test]
fn bare_pods_and_pods_of_strangers_are_shown_last() {
    let host = cluster();
    host.put(pod("shell", running()));
    host.put(owned(pod("agent-x1", running()), "DaemonSet", "agent"));
    host.put(deployment("web", 0));
    let names: Vec<_> = table(&host, &[]).into_iter().map(|row| format!("{}/{}", row[0], row[1])).collect();
    assert_eq!(names, ["deployment/web", "daemonset/agent", "pod/shell"]);
}

#[test]
fn kinds_that_may_not_be_listed_are_noted_once() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("list", "batch", "jobs"));
    host.put(pod("shell", running()));
    assert_eq!(table(&host, &[]).len(), 1);
    assert_eq!(host.terminal().notes, ["left out, for you may not list them here: jobs"]);
}

#[test]
fn an_unreachable_cluster_is_no_empty_namespace() {
    let host = cluster();
    let down = Error::new(ErrorCode::Unreachable, "the API server does not answer");
    host.cluster(|cluster| cluster.fail("list", "Pod", down.clone()));
    assert_eq!(host.run::<Plugin>(&[]), Err(down));
}

#[test]
fn one_component_comes_with_its_pods_and_warnings() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    put_tree(&host, "mnist", [running(), unschedulable()]);
    host.put(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e1" }, "type": "Warning", "count": 3,
        "involvedObject": { "kind": "Pod", "name": "mnist-node-0-1" }, "reason": "FailedScheduling",
        "message": "no gpu", "lastTimestamp": "2026-01-01T11:59:50Z",
    }));
    assert_eq!(host.run::<Plugin>(&["trainjob/mnist"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout.clone();
    assert!(stdout.contains("trainjob  mnist  Degraded  1/2  40s"), "{stdout}");
    assert!(stdout.contains("mnist-node-0-1  Pending  0  30s"), "{stdout}");
    assert!(stdout.contains("10s  3  pod/mnist-node-0-1  FailedScheduling  no gpu"), "{stdout}");
}

#[test]
fn a_program_gets_everything_in_one_object() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    put_tree(&host, "mnist", [running(), running()]);
    host.format(Format::Json);
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    let json: Value = serde_json::from_str(&host.terminal().stdout).unwrap();
    assert_eq!(json["kind"], "trainjob");
    assert_eq!(json["state"], "Running");
    assert_eq!(json["created"], "2026-01-01T11:59:20Z");
    assert_eq!(json["pods"].as_array().unwrap().len(), 2);
    assert_eq!(json["warnings"], json!([]));
}

#[test]
fn a_name_nobody_has_is_not_found() {
    let error = cluster().run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error, Error::not_found("no `mnist` in team-a").hint("kf status"));
}

#[test]
fn a_name_several_have_asks_which() {
    let host = cluster();
    host.put(deployment("web", 1));
    host.put(pod("web", running()));
    let error = host.run::<Plugin>(&["web"]).unwrap_err();
    assert_eq!(error.message, "`web` can be deployment/web or pod/web");
    assert_eq!(table(&host, &["pod/web"])[0][2], "Running");
}

#[test]
fn an_empty_namespace_says_so() {
    let host = cluster();
    assert!(table(&host, &[]).is_empty());
    assert_eq!(host.terminal().notes, ["nothing runs in team-a"]);
}

#[test]
fn watching_shows_changes_and_in_a_pipe_nothing_else() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    host.at(Duration::from_secs(60), |cluster| {
        cluster.change(TRAIN_JOB, "mnist", |job| {
            let done = json!([{ "type": "Complete", "status": "True" }]);
            job.set("/status/conditions", done);
        });
    });
    assert_eq!(host.run::<Plugin>(&["--watch"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout.clone();
    let rows: Vec<_> = stdout.lines().filter(|line| line.starts_with("trainjob")).collect();
    assert_eq!(
        rows,
        ["trainjob  mnist  Pending  0/2  40s  no pods yet", "trainjob  mnist  Complete  -  40s"]
    );
}
