//! A TensorBoard as a Job.
//!
//! Kubernetes stops a Job after `activeDeadlineSeconds` and deletes it after `ttlSecondsAfterFinished`. kf cannot clean
//! up after Ctrl-C, so `--rm` is a lease: the deadline is short, and kf extends it while it runs.

use std::time::Duration;

use kf_plugin_sdk::abi::{DeleteOptions, Propagation};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::outcome;
use serde_json::json;

use crate::Tensorboard;
use crate::board::{Board, name};
use crate::logs::{LogLocation, Logs};

/// The image that Kubeflow's controller uses, in a newer version; TensorBoard is part of TensorFlow.
const DEFAULT_IMAGE: &str = "tensorflow/tensorflow:2.19.0";
pub(crate) const PORT: u16 = 6006;
/// How long a job with `--rm` stays after the last renewal.
pub(crate) const LEASE: Duration = Duration::from_secs(600);
/// How often the lease is renewed.
pub(crate) const RENEW_INTERVAL: Duration = Duration::from_secs(240);
/// The annotation with the location of its logs.
const LOGS_ANNOTATION: &str = "kf-cli.dev/logs";
pub(crate) const LABELS: &str = "app.kubernetes.io/name=tensorboard,app.kubernetes.io/managed-by=kf";
/// How long to wait for the deletion of a previous job.
const DELETE_TIMEOUT: Duration = Duration::from_secs(60);

/// The location of the logs of a job, if it is a TensorBoard.
pub(crate) fn log_location(job: &Object) -> Option<&str> {
    job.annotation(LOGS_ANNOTATION)
}

pub(crate) fn find_or_create(kf: &Kf, wanted: &Tensorboard, location: &LogLocation) -> Result<Board> {
    let jobs = kf.api("batch/Job");
    let (name, logs) = (name(location), location.logs.to_string());
    if let Some(job) = jobs.find(&name)? {
        let has_ended = outcome(&job).is_some() || job.str("/metadata/deletionTimestamp").is_some();
        if !has_ended && log_location(&job) == Some(logs.as_str()) {
            let board = Board::of(job, &logs, true)?;
            if wanted.rm && !kf.context().dry_run {
                renew(kf, &board)?;
            }
            return Ok(board);
        }
        if log_location(&job).is_none() {
            let text = format!("job {name} already exists and is not a TensorBoard");
            return Err(Error::new(ErrorCode::Conflict, text).hint(format!("kf status job/{name}")));
        }
        remove(kf, &name)?;
        if !kf.context().dry_run {
            wait_until_deleted(kf, &name)?;
        }
    }
    Board::of(jobs.create(&job(wanted, location, &name))?, &logs, false)
}

fn job(wanted: &Tensorboard, location: &LogLocation, name: &str) -> Object {
    let lifetime = if wanted.rm { LEASE } else { wanted.lifetime.0 };
    let directory = match &location.logs {
        Logs::Claim { path, .. } => format!("/logs/{path}"),
        Logs::Bucket(uri) => uri.clone(),
    };
    let labels = json!({
        "app.kubernetes.io/name": "tensorboard", "app.kubernetes.io/managed-by": "kf",
    });
    let mut pod = Object::from(json!({
        "restartPolicy": "OnFailure",
        "automountServiceAccountToken": wanted.service_account.is_some(),
        "terminationGracePeriodSeconds": 5,
        // As the policy "restricted" requires, and with the user that owns files in Kubeflow's notebooks.
        "securityContext": {
            "runAsNonRoot": true, "runAsUser": 1000, "runAsGroup": 100,
            "seccompProfile": { "type": "RuntimeDefault" },
        },
        "containers": [{
            "name": "tensorboard",
            "image": wanted.image.as_deref().unwrap_or(DEFAULT_IMAGE),
            "command": ["tensorboard"],
            "args": ["--bind_all", format!("--logdir={directory}"), format!("--port={PORT}")],
            "ports": [{ "name": "http", "containerPort": PORT }],
            "readinessProbe": { "httpGet": { "path": "/", "port": PORT }, "periodSeconds": 1 },
            "resources": {
                "requests": { "cpu": "100m", "memory": "256Mi" },
                "limits": { "cpu": "1", "memory": "2Gi" },
            },
            "securityContext": { "allowPrivilegeEscalation": false, "capabilities": { "drop": ["ALL"] } },
        }],
    }));
    if let Logs::Claim { claim, .. } = &location.logs {
        let source = json!({ "claimName": claim, "readOnly": true });
        pod.set("/volumes", json!([{ "name": "logs", "persistentVolumeClaim": source }]));
        set_in_container(
            &mut pod,
            "volumeMounts",
            json!([{ "name": "logs", "mountPath": "/logs", "readOnly": true }]),
        );
    }
    if let Some(account) = &wanted.service_account {
        pod.set("/serviceAccountName", account.as_str());
    }
    if let Some(node) = &location.node {
        let term = json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] });
        let preferred = json!([{ "weight": 100, "preference": term }]);
        pod.set("/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution", preferred);
    }
    Object::from(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "labels": labels, "annotations": { LOGS_ANNOTATION: location.logs.to_string() } },
        "spec": {
            "backoffLimit": 5,
            "activeDeadlineSeconds": lifetime.as_secs(),
            "ttlSecondsAfterFinished": 60,
            "template": { "metadata": { "labels": labels }, "spec": pod.into_value() },
        },
    }))
}

fn set_in_container(pod: &mut Object, field: &str, value: serde_json::Value) {
    let mut containers = pod.list("/containers").to_vec();
    if let Some(container) = containers.first_mut().and_then(serde_json::Value::as_object_mut) {
        container.insert(field.to_owned(), value);
    }
    pod.set("/containers", containers);
}

/// Extends the deadline by another lease.
pub(crate) fn renew(kf: &Kf, board: &Board) -> Result<()> {
    let object = &board.component.object;
    let started = object.time("/status/startTime").or(object.created()).unwrap_or_else(|| kf.now());
    let deadline = started.age(kf.now()) + LEASE;
    let patch = json!({ "spec": { "activeDeadlineSeconds": deadline.as_secs() } });
    kf.api("batch/Job").merge(&board.component.name, &patch).map(drop)
}

pub(crate) fn remove(kf: &Kf, name: &str) -> Result<()> {
    let background = DeleteOptions { propagation: Propagation::Background, ..DeleteOptions::default() };
    kf.api("batch/Job").delete_with(name, &background).optional().map(drop)
}

fn wait_until_deleted(kf: &Kf, name: &str) -> Result<()> {
    let progress = kf.progress(&format!("waiting for the previous {name} to be deleted"));
    let started = kf.now();
    while kf.api("batch/Job").find(name)?.is_some() {
        if started.age(kf.now()) >= DELETE_TIMEOUT {
            return Err(Error::timed_out(format!("the previous job {name} is still being deleted")));
        }
        kf.sleep(Duration::from_millis(500));
    }
    drop(progress);
    Ok(())
}
