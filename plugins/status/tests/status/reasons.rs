//! The reason why a workload is not running, by kind.

use kf_plugin_sdk::prelude::*;
use serde_json::{Value, json};

use crate::common::*;

#[test]
fn running_train_job_shows_progress() {
    let host = cluster();
    let status = json!({ "trainerStatus": { "progressPercentage": 30, "estimatedRemainingSeconds": 125 } });
    host.put(train_job("mnist", status));
    put_tree(&host, "mnist", [running(), running()]);
    assert_eq!(table(&host, &[]), [["trainjob", "mnist", "Running", "2/2", "30% done, about 2m5s left"]]);
}

#[test]
fn failed_job_shows_message_of_its_pod() {
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
fn quota_refusal_is_found_in_events() {
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
fn crash_shows_last_log_line() {
    let host = cluster();
    let mut status = Object::from(crashing());
    status.set(
        "/containerStatuses",
        json!([{
            "name": "main", "restartCount": 4, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 1, "reason": "Error" } },
        }]),
    );
    host.put(pod("worker", status.into_value()));
    host.cluster(|cluster| {
        cluster.previous_log("worker", "main", "Traceback\nModuleNotFoundError: No module named 'torch'\n\n");
    });
    let why = "crashes: exit 1, 4 restarts; last log line: ModuleNotFoundError: No module named 'torch'";
    assert_eq!(table(&host, &[])[0][4], why);

    host.cluster(|cluster| cluster.deny("get", "", "pods/log"));
    assert_eq!(table(&host, &[])[0][4], "crashes: exit 1, 4 restarts", "the log is optional");
}

#[test]
fn pending_volume_claim_shows_reason() {
    let host = cluster();
    host.serve("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    let waits = |message: &str| {
        json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
                "reason": "Unschedulable", "message": message }] })
    };
    let missing = "0/1 nodes are available: persistentvolumeclaim \"data\" not found. not found";
    host.put(pod("missing", waits(missing)));
    let mut unbound = Object::from(pod(
        "unbound",
        waits(
            "0/1 nodes are available: pod has unbound immediate \
                                                         PersistentVolumeClaims. preemption: none",
        ),
    ));
    unbound.set("/spec/volumes", json!([{ "name": "d", "persistentVolumeClaim": { "claimName": "disk" } }]));
    host.put(unbound.into_value());
    host.put(json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "disk" },
                     "spec": { "storageClassName": "fast" }, "status": { "phase": "Pending" } }));
    let rows = table(&host, &[]);
    assert_eq!(rows[0][4], "volume claim data does not exist");
    assert_eq!(
        rows[1][4],
        "waiting for volume: disk; claim disk is pending: storage class fast has not provisioned a volume"
    );
}

#[test]
fn queued_job_shows_position() {
    let host = cluster();
    host.serve("kueue.x-k8s.io", "v1beta1", "Workload", "workloads");
    let mut job = Object::from(train_job("bert", json!({})));
    job.set("/spec/suspend", true);
    job.set("/metadata/uid", "uid-bert");
    host.put(job.into_value());
    host.put(json!({
        "apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "Workload",
        "metadata": { "name": "trainjob-bert", "ownerReferences": [
            { "kind": "TrainJob", "name": "bert", "uid": "uid-bert", "controller": true } ] },
        "spec": { "queueName": "team" },
        "status": { "conditions": [{ "type": "QuotaReserved", "status": "False",
                                     "message": "insufficient unused quota for cpu" }] },
    }));
    let why = "1st of 1 in queue team: insufficient unused quota for cpu";
    assert_eq!(table(&host, &[]), [["trainjob", "bert", "Queued", "0/2", why]]);
    // The position in the cluster queue comes from the visibility API.
    host.serve("visibility.kueue.x-k8s.io", "v1beta1", "LocalQueue", "localqueues");
    host.cluster(|cluster| {
        let pending =
            json!({ "items": [{ "metadata": { "name": "trainjob-bert" }, "positionInClusterQueue": 4 }] });
        cluster.put_subresource("visibility.kueue.x-k8s.io/LocalQueue", "team", "pendingworkloads", pending);
    });
    let place = "; 5th in the cluster queue, shared across namespaces";
    assert_eq!(table(&host, &[])[0][4], format!("{why}{place}"));
    // Without permission to read Kueue's workloads, the queue is still shown.
    host.cluster(|cluster| {
        cluster.deny("list", "kueue.x-k8s.io", "workloads");
        cluster.change(TRAIN_JOB, "bert", |job| {
            job.set("/metadata/labels", json!({ "kueue.x-k8s.io/queue-name": "team" }));
        });
    });
    assert_eq!(table(&host, &[])[0][2..], ["Suspended", "0/2", "waiting in queue team"]);
    assert_eq!(host.terminal().notes, [""; 0]);
}

fn with_labels(object: Value, labels: Value) -> Value {
    let mut object = Object::from(object);
    object.set("/metadata/labels", labels);
    object.into_value()
}

fn revision(name: &str, hash: &str, minute: u32, status: Value) -> Value {
    let mut pod = Object::from(owned(pod(name, status), "ReplicaSet", &format!("iris-predictor-{hash}")));
    pod.set("/metadata/creationTimestamp", format!("2026-01-01T11:{minute:02}:00Z"));
    let labels = json!({ "pod-template-hash": hash, "serving.kserve.io/inferenceservice": "iris" });
    with_labels(pod.into_value(), labels)
}

#[test]
fn ready_service_shows_failing_new_revision() {
    let host = cluster();
    host.serve("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices");
    host.put(json!({
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": { "name": "iris" },
        "status": { "url": "http://iris.example.com",
                    "conditions": [{ "type": "Ready", "status": "True" }, { "type": "Stopped", "status": "False" }] },
    }));
    let predictor = deployment("iris-predictor", 1);
    host.put(with_labels(predictor, json!({ "serving.kserve.io/inferenceservice": "iris" })));
    host.put(revision("iris-old", "aaa", 50, running()));
    assert_eq!(
        table(&host, &[]),
        [["inferenceservice", "iris", "Running", "1/1", "http://iris.example.com"]]
    );

    let starting =
        json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }] });
    host.put(revision("iris-new", "bbb", 55, starting));
    let why = "rolling out new revision, 0 of 1 new pods ready";
    assert_eq!(table(&host, &[]), [["inferenceservice", "iris", "Running", "1/1", why]]);

    host.put(revision("iris-new", "bbb", 55, crashing()));
    let why = "new revision fails to start, old one still serving: crashes: exit 1: model.pkl: no such file, 4 restarts";
    assert_eq!(table(&host, &[]), [["inferenceservice", "iris", "Degraded", "1/1", why]]);
}

fn notebook(name: &str) -> Value {
    json!({ "apiVersion": "kubeflow.org/v1", "kind": "Notebook",
            "metadata": { "name": name, "uid": format!("uid-{name}") },
            "status": { "conditions": [], "containerState": {}, "readyReplicas": 0 } })
}

fn stateful_set(name: &str) -> Value {
    let set = json!({ "apiVersion": "apps/v1", "kind": "StatefulSet",
                      "metadata": { "name": name, "uid": format!("set-{name}") },
                      "spec": { "replicas": 1 }, "status": { "updateRevision": "two" } });
    owned(set, "Notebook", name)
}

#[test]
fn notebook_state_is_determined_by_annotation_pod_and_events() {
    let host = cluster();
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    let mut stopped = Object::from(notebook("a-stopped"));
    stopped.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": "2026-01-01T10:00:00Z" }));
    host.put(stopped.into_value());
    let mut stopping = Object::from(notebook("b-stopping"));
    stopping.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": "" }));
    host.put(stopping.into_value());
    host.put(stateful_set("b-stopping"));
    host.put(owned(pod("b-stopping-0", running()), "StatefulSet", "b-stopping"));
    host.put(notebook("c-quota"));
    host.put(stateful_set("c-quota"));
    host.put(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e1" }, "type": "Warning",
        "involvedObject": { "kind": "StatefulSet", "name": "c-quota", "uid": "set-c-quota" },
        "reason": "FailedCreate", "message": "create Pod c-quota-0 in StatefulSet c-quota failed error: pods \
            \"c-quota-0\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0",
    }));
    host.put(notebook("d.dotted"));
    host.put(notebook("e-stuck"));
    host.put(stateful_set("e-stuck"));
    let stuck = owned(pod("e-stuck-0", crashing()), "StatefulSet", "e-stuck");
    host.put(with_labels(stuck, json!({ "controller-revision-hash": "one" })));
    let quota = "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0";
    let stuck = "crashes: exit 1: model.pkl: no such file, 4 restarts; changed since its pod started, stop \
                 and start it to apply the change";
    assert_eq!(
        table(&host, &[]),
        [
            ["notebook", "a-stopped", "Stopped", "0/0", "stopped at 2026-01-01T10:00:00Z"],
            ["notebook", "b-stopping", "Terminating", "0/0", "stopping, 1 pod remaining"],
            ["notebook", "c-quota", "Pending", "0/1", quota],
            ["notebook", "d.dotted", "Pending", "0/1", "no objects created by its controller yet"],
            ["notebook", "e-stuck", "Failed", "0/1", stuck],
        ]
    );
}

#[test]
fn pod_of_deleted_notebook_is_not_counted() {
    let host = cluster();
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.put(notebook("desk"));
    host.put(stateful_set("desk"));
    let mut old = Object::from(pod("desk-0", running()));
    let owner = json!([{ "kind": "StatefulSet", "name": "desk", "uid": "set-before", "controller": true }]);
    old.set("/metadata/ownerReferences", owner);
    host.put(old.into_value());
    let why = "waiting for the pod of a deleted desk to terminate";
    assert_eq!(table(&host, &[]), [["notebook", "desk", "Pending", "0/1", why]]);
}

#[test]
fn workspace_with_temporary_error_is_not_failed() {
    let host = cluster();
    host.serve("kubeflow.org", "v1beta1", "Workspace", "workspaces");
    let workspace = |name: &str, message: &str| {
        json!({ "apiVersion": "kubeflow.org/v1beta1", "kind": "Workspace", "metadata": { "name": name },
                "spec": { "paused": false }, "status": { "state": "Error", "stateMessage": message } })
    };
    host.put(workspace("lost", "Workspace references unknown WorkspaceKind: nosuch"));
    host.put(workspace("starts", "Workspace Pod has warning event: Readiness probe failed: refused"));
    let set =
        json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "ws-starts-x" } });
    host.put(owned(set, "Workspace", "starts"));
    let starting =
        json!({ "phase": "Running", "containerStatuses": [{ "name": "main", "restartCount": 0 }] });
    host.put(owned(pod("ws-starts-x-0", starting), "StatefulSet", "ws-starts-x"));
    assert_eq!(
        table(&host, &[]),
        [
            ["workspace", "lost", "Failed", "0/1", "references unknown WorkspaceKind: nosuch"],
            ["workspace", "starts", "Pending", "0/1", "not ready yet"],
        ]
    );
}

#[test]
fn experiment_shows_trial_counts_and_best_trial() {
    let host = cluster();
    host.serve("kubeflow.org", "v1beta1", "Experiment", "experiments");
    host.put(json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": { "name": "sweep" },
        "spec": { "maxTrialCount": 12, "objective": { "type": "maximize", "objectiveMetricName": "accuracy" } },
        "status": {
            "conditions": [{ "type": "Running", "status": "True" }],
            "trialsSucceeded": 7, "trialsRunning": 2, "trialsFailed": 1,
            "currentOptimalTrial": {
                "observation": { "metrics": [{ "name": "accuracy", "max": "0.94", "latest": "0.91" }] },
                "parameterAssignments": [{ "name": "lr", "value": "0.01" }],
            },
        },
    }));
    let why = "7 of 12 trials done, 2 running, 1 failed; best accuracy=0.94 (lr=0.01)";
    assert_eq!(table(&host, &[]), [["experiment", "sweep", "Running", "7/12", why]]);
}

#[test]
fn training_operator_job_is_supported() {
    let host = cluster();
    host.serve("kubeflow.org", "v1", "PyTorchJob", "pytorchjobs");
    host.put(json!({
        "apiVersion": "kubeflow.org/v1", "kind": "PyTorchJob", "metadata": { "name": "old" },
        "spec": { "pytorchReplicaSpecs": { "Master": { "replicas": 1 }, "Worker": { "replicas": 3 } } },
        "status": { "conditions": [{ "type": "Created", "status": "True" }, { "type": "Running", "status": "True" }] },
    }));
    for role in ["old-master-0", "old-worker-0"] {
        host.put(owned(pod(role, running()), "PyTorchJob", "old"));
    }
    assert_eq!(table(&host, &[]), [["pytorchjob", "old", "Running", "2/4", ""]]);
}

#[test]
fn webhook_refusal_is_quoted() {
    let host = cluster();
    host.put(deployment("web", 1));
    host.put(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e1" }, "type": "Warning",
        "involvedObject": { "kind": "ReplicaSet", "name": "web-5d4f" }, "reason": "FailedCreate",
        "message": "Error creating: admission webhook \"images.example.org\" denied the request: not signed",
    }));
    let why = "admission webhook \"images.example.org\" denied the request: not signed";
    assert_eq!(table(&host, &[]), [["deployment", "web", "Pending", "0/1", why]]);
}

#[test]
fn unschedulable_pod_shows_its_gpu_request() {
    let host = cluster();
    let mut pod = Object::from(pod("big", unschedulable()));
    pod.set(
        "/spec/containers",
        json!([{ "name": "main", "resources": { "requests": { "nvidia.com/gpu": "8" } } }]),
    );
    host.put(pod.into_value());
    let why = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu; requests 8 nvidia.com/gpu";
    assert_eq!(table(&host, &[])[0][4], why);
}
