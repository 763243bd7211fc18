//! A TensorBoard of the user's own.
//!
//! It is a Job because Kubernetes then ends and removes it without anybody's help: after
//! `activeDeadlineSeconds` it is stopped, after `ttlSecondsAfterFinished` it is gone. kf cannot act once it was
//! stopped by Ctrl-C, so `--rm` is a lease: the deadline is near, and kf puts it off while somebody looks.

use std::time::Duration;

use kf_plugin_sdk::border::{DeleteOptions, Propagation};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::outcome;
use serde_json::json;

use crate::Tensorboard;
use crate::board::{Board, name};
use crate::logs::{Logs, Place};

/// The image Kubeflow's own controller uses, in a newer version; TensorBoard comes with TensorFlow.
const DEFAULT_IMAGE: &str = "tensorflow/tensorflow:2.19.0";
pub(crate) const PORT: u16 = 6006;
/// How long one with `--rm` stays after kf has stopped putting its end off.
pub(crate) const LEASE: Duration = Duration::from_secs(600);
/// How often its end is put off.
pub(crate) const RENEW: Duration = Duration::from_secs(240);
/// Keeps what it shows of the logs.
const LOGS: &str = "kf-cli.dev/logs";
pub(crate) const LABELS: &str = "app.kubernetes.io/name=tensorboard,app.kubernetes.io/managed-by=kf";
/// An earlier one that has just ended may take so long to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// What it shows, if it is one of these.
pub(crate) fn shows(job: &Object) -> Option<&str> {
    job.annotation(LOGS)
}

pub(crate) fn find_or_make(kf: &Kf, wanted: &Tensorboard, place: &Place) -> Result<Board> {
    let jobs = kf.api("batch/Job");
    let (name, logs) = (name(place), place.logs.to_string());
    if let Some(job) = jobs.find(&name)? {
        let has_ended = outcome(&job).is_some() || job.str("/metadata/deletionTimestamp").is_some();
        if !has_ended && shows(&job) == Some(logs.as_str()) {
            let board = Board::of(job, &logs, true)?;
            if wanted.rm && !kf.context().dry_run {
                renew(kf, &board)?;
            }
            return Ok(board);
        }
        if shows(&job).is_none() {
            let text = format!("job {name} exists and is no TensorBoard");
            return Err(Error::new(ErrorCode::Conflict, text).hint(format!("kf status job/{name}")));
        }
        remove(kf, &name)?;
        if !kf.context().dry_run {
            wait_until_gone(kf, &name)?;
        }
    }
    Board::of(jobs.create(&job(wanted, place, &name))?, &logs, false)
}

fn job(wanted: &Tensorboard, place: &Place, name: &str) -> Object {
    let lasts = if wanted.rm { LEASE } else { wanted.lasts.0 };
    let directory = match &place.logs {
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
        // As the policy "restricted" wants it, and with the user that owns files in Kubeflow's notebooks.
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
    if let Logs::Claim { claim, .. } = &place.logs {
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
    if let Some(node) = &place.node {
        let term = json!({ "matchFields": [{ "key": "metadata.name", "operator": "In", "values": [node] }] });
        let preferred = json!([{ "weight": 100, "preference": term }]);
        pod.set("/affinity/nodeAffinity/preferredDuringSchedulingIgnoredDuringExecution", preferred);
    }
    Object::from(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": name, "labels": labels, "annotations": { LOGS: place.logs.to_string() } },
        "spec": {
            "backoffLimit": 5,
            "activeDeadlineSeconds": lasts.as_secs(),
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

/// Puts the end off by another lease.
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

fn wait_until_gone(kf: &Kf, name: &str) -> Result<()> {
    let progress = kf.progress(&format!("waiting for the earlier {name} to be gone"));
    let begun = kf.now();
    while kf.api("batch/Job").find(name)?.is_some() {
        if begun.age(kf.now()) >= GONE_WITHIN {
            return Err(Error::timed_out(format!("the earlier job {name} is still being removed")));
        }
        kf.sleep(Duration::from_millis(500));
    }
    drop(progress);
    Ok(())
}
