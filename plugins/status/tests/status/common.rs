//! Fixtures, and the table that is printed.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_status::Plugin;
use serde_json::{Value, json};

pub const TRAIN_JOB: &str = "trainer.kubeflow.org/TrainJob";

/// Trainer, batch and apps are served; notebooks and inference services are not.
pub fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs");
    host.serve("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets");
    host.serve("batch", "v1", "Job", "jobs");
    host.serve("apps", "v1", "Deployment", "deployments");
    host.serve("apps", "v1", "StatefulSet", "statefulsets");
    host
}

pub fn owned(object: Value, kind: &str, name: &str) -> Value {
    let mut object = Object::from(object);
    let owner = json!([{ "kind": kind, "name": name, "controller": true }]);
    object.set("/metadata/ownerReferences", owner);
    object.into_value()
}

pub fn train_job(name: &str, status: Value) -> Value {
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
        "metadata": { "name": name, "creationTimestamp": "2026-01-01T11:59:20Z" },
        "spec": { "trainer": { "numNodes": 2 } }, "status": status,
    })
}

pub fn pod(name: &str, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": name, "creationTimestamp": "2026-01-01T11:59:30Z" },
        "spec": { "containers": [{ "name": "main" }] }, "status": status,
    })
}

pub fn running() -> Value {
    json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] })
}

pub fn unschedulable() -> Value {
    json!({ "phase": "Pending", "conditions": [{
        "type": "PodScheduled", "status": "False", "reason": "Unschedulable",
        "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. preemption: none.",
    }] })
}

pub fn crashing() -> Value {
    json!({ "phase": "Running", "containerStatuses": [{
        "name": "main", "restartCount": 4, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
        "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "message": "model.pkl: no such file" } },
    }] })
}

/// The job set, the job and the pods of a training job.
pub fn put_tree(host: &FakeHost, name: &str, pods: [Value; 2]) {
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

pub fn deployment(name: &str, replicas: u32) -> Value {
    json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": name }, "spec": { "replicas": replicas } })
}

/// KIND NAME STATE READY WHY of every row.
#[expect(clippy::indexing_slicing, reason = "every column has a cell in every row")]
pub fn table(host: &FakeHost, words: &[&str]) -> Vec<[String; 5]> {
    assert_eq!(host.run::<Plugin>(words), Ok(Exit::OK));
    let terminal = host.terminal();
    let columns = [0, 1, 2, 3, 5].map(|index| terminal.column(index));
    let row = |index: usize| columns.each_ref().map(|column| column[index].to_owned());
    (0..terminal.rows.len()).map(row).collect()
}
