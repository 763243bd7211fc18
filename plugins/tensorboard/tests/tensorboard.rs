//! `kf tensorboard`: changes in the cluster, and output.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_tensorboard::Plugin;
use serde_json::{Value, json};

const JOB: &str = "batch/Job";
const BOARD: &str = "tensorboard.kubeflow.org/Tensorboard";

/// A cluster with a training job `mnist` that writes to a claim, and without TensorBoards.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("batch", "v1", "Job", "jobs");
    host.serve("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    host.serve("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs");
    host.serve("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets");
    host.put(json!({ "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": { "name": "mnist" } }));
    host.put(job_set("/data/runs"));
    host.put(
        json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "datasets" } }),
    );
    host.on_http(|_| Ok(kf_plugin_sdk::HttpResponse { status: 200, headers: Vec::new(), body: Vec::new() }));
    host
}

fn with_boards() -> FakeHost {
    let host = cluster();
    host.serve("tensorboard.kubeflow.org", "v1alpha1", "Tensorboard", "tensorboards");
    host
}

fn job_set(log_dir: &str) -> Value {
    let pod = json!({
        "containers": [{
            "name": "node", "env": [{ "name": "LOG_DIR", "value": log_dir }],
            "volumeMounts": [{ "name": "data", "mountPath": "/data" }],
        }],
        "volumes": [{ "name": "data", "persistentVolumeClaim": { "claimName": "datasets" } }],
    });
    json!({
        "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": { "name": "mnist", "ownerReferences": [{ "kind": "TrainJob", "name": "mnist", "controller": true }] },
        "spec": { "replicatedJobs": [{ "name": "node", "template": { "spec": { "template": { "spec": pod } } } }] },
    })
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

/// The only job.
#[expect(clippy::unwrap_used, reason = "a job that was not made fails the test")]
fn made(host: &FakeHost) -> Object {
    let mut jobs = host.kf().api(JOB).list().unwrap();
    assert_eq!(jobs.len(), 1, "{jobs:?}");
    jobs.pop().unwrap()
}

/// Its pod is created after a second and deleted at the end.
fn runs(host: &FakeHost, end: u64, label: &'static str) {
    host.at(seconds(1), move |cluster| {
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "board-0", "uid": "pod-1", "labels": { label: NAME } },
            "spec": { "containers": [{ "name": "tensorboard" }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        }));
    });
    host.at(seconds(end), |cluster| cluster.remove("Pod", "board-0"));
}

/// The name for the job `mnist` with its logs in pvc://datasets/runs.
const NAME: &str = "tensorboard-mnist-f2cf0c84";

#[test]
fn job_mounts_logs_read_only_and_has_deadline() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    let job = host.cluster(|cluster| Object::from(cluster.writes()[0].body.clone()));
    assert_eq!(job.int("/spec/activeDeadlineSeconds"), Some(8 * 3600));
    assert_eq!(job.int("/spec/ttlSecondsAfterFinished"), Some(60));
    assert_eq!(job.annotation("kf-cli.dev/logs"), Some("pvc://datasets/runs"));
    let pod = |pointer: &str| job.at(&format!("/spec/template/spec{pointer}")).cloned().unwrap_or_default();
    assert_eq!(
        pod("/volumes"),
        json!([{ "name": "logs", "persistentVolumeClaim": { "claimName": "datasets", "readOnly": true } }])
    );
    assert_eq!(
        pod("/containers/0/volumeMounts"),
        json!([{ "name": "logs", "mountPath": "/logs", "readOnly": true }])
    );
    assert_eq!(pod("/containers/0/args"), json!(["--bind_all", "--logdir=/logs/runs", "--port=6006"]));
    assert_eq!(pod("/automountServiceAccountToken"), json!(false));
    assert_eq!(pod("/securityContext/runAsNonRoot"), json!(true));
}

#[test]
fn page_is_opened_and_cleanup_is_noted() {
    let host = cluster();
    host.change_context(|context| context.interactive = true);
    runs(&host, 60, "batch.kubernetes.io/job-name");
    host.at(seconds(59), |cluster| {
        cluster.change(JOB, NAME, |job| {
            job.set("/status/conditions", json!([{ "type": "Failed", "status": "True" }]))
        });
    });
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    assert_eq!(made(&host).name(), NAME);
    assert_eq!(host.opened_pages(), ["http://localhost:40001/"]);
    let notes = host.terminal().notes.clone();
    assert_eq!(
        notes,
        [
            format!("job/{NAME} created for pvc://datasets/runs"),
            format!("job/{NAME} is at http://localhost:40001/"),
            format!("Ctrl-C leaves job/{NAME} running for up to 8h; remove it with `kf remove job/{NAME}`"),
            format!("job/{NAME} has ended"),
        ]
    );
}

#[test]
fn rm_renews_lease_while_running() {
    let host = cluster();
    runs(&host, 600, "batch.kubernetes.io/job-name");
    host.at(seconds(599), |cluster| {
        cluster.change(JOB, NAME, |job| {
            job.set("/status/conditions", json!([{ "type": "Failed", "status": "True" }]))
        });
    });
    assert_eq!(host.run::<Plugin>(&["mnist", "--rm"]), Ok(Exit::OK));
    let writes: Vec<_> = host.cluster(|cluster| {
        cluster
            .writes()
            .iter()
            .map(|write| (write.verb, write.body.pointer("/spec/activeDeadlineSeconds").cloned()))
            .collect()
    });
    assert_eq!(writes.first(), Some(&("create", Some(json!(600)))));
    let renewed: Vec<_> = writes.iter().filter(|(verb, _)| *verb == "patch").collect();
    assert_eq!(renewed.len(), 2, "every four minutes: {writes:?}");
    assert_eq!(writes.last(), Some(&("delete", None)));
    assert!(host.kf().api(JOB).list().unwrap_or_default().is_empty());
    let notes = host.terminal().notes.join("\n");
    assert!(notes.contains(&format!("after Ctrl-C job/{NAME} is removed within 10m")), "{notes}");
}

#[test]
fn existing_job_is_reused() {
    let host = cluster();
    host.put(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": NAME, "annotations": { "kf-cli.dev/logs": "pvc://datasets/runs" } },
    }));
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
    // Another job of that name is not touched.
    host.put(
        json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": NAME, "annotations": {} } }),
    );
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error.message, format!("job {NAME} already exists and is not a TensorBoard"));
}

#[test]
fn served_kind_is_used() {
    let host = with_boards();
    host.change_context(|context| context.interactive = true);
    runs(&host, 60, "app");
    host.at(seconds(59), |cluster| cluster.remove(BOARD, NAME));
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    let board = host.cluster(|cluster| cluster.writes()[0].clone());
    assert_eq!(board.object.kind.kind, "Tensorboard");
    assert_eq!(board.body.pointer("/spec/logspath"), Some(&json!("pvc://datasets/runs")));
    assert_eq!(host.opened_pages().len(), 1);
    // A Tensorboard object cannot end by itself.
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&["mnist", "--rm"]), Ok(Exit::OK));
    assert_eq!(host.cluster(|cluster| cluster.writes()[1].object.kind.kind.clone()), "Job");
}

#[test]
fn missing_logs_are_reported_with_hint() {
    let host = cluster();
    let refused = |words: &[&str]| host.run::<Plugin>(words).unwrap_err();
    let nothing = refused(&[]);
    assert_eq!(nothing.code, ErrorCode::Invalid);
    assert_eq!(refused(&["nosuch"]).code, ErrorCode::NotFound);
    assert_eq!(refused(&["--logs", "/tmp/x"]).code, ErrorCode::Invalid);
    assert_eq!(refused(&["--logs", "pvc://nosuch/x"]).message, "no claim `nosuch` in team-a");
    assert_eq!(refused(&["mnist", "--for", "10s"]).message, "--for must be at least 1m");
    host.put(job_set("/tmp/logs"));
    let error = refused(&["mnist", "--rm"]);
    assert_eq!(
        error.message,
        "trainjob/mnist writes its logs to /tmp/logs, which is not on a volume claim and is lost with its pod"
    );
    assert_eq!(error.hint.as_deref(), Some("kf tensorboard --rm --logs pvc://CLAIM/PATH"));
    host.put(job_set(""));
    assert!(refused(&["mnist"]).message.starts_with("cannot find the logs of trainjob/mnist"));
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
}

#[test]
fn failed_start_reports_reason() {
    let host = cluster();
    host.at(seconds(1), |cluster| {
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "board-0", "labels": { "batch.kubernetes.io/job-name": NAME } },
            "status": { "phase": "Pending", "containerStatuses": [{ "name": "tensorboard", "image": "nosuch:1",
                "state": { "waiting": { "reason": "ErrImagePull", "message": "not found" } } }] },
        }));
    });
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Failed);
    assert_eq!(
        error.message,
        format!("job/{NAME} failed to start: cannot pull image nosuch:1: image not found")
    );
}

#[test]
fn list_shows_jobs_and_tensorboards_with_logs() {
    let host = with_boards();
    host.put(json!({
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": { "name": NAME, "annotations": { "kf-cli.dev/logs": "pvc://datasets/runs" }, "labels": {
            "app.kubernetes.io/name": "tensorboard", "app.kubernetes.io/managed-by": "kf" } },
    }));
    host.put(json!({
        "apiVersion": "tensorboard.kubeflow.org/v1alpha1", "kind": "Tensorboard",
        "metadata": { "name": "old" }, "spec": { "logspath": "s3://bucket/x" },
    }));
    assert_eq!(host.run::<Plugin>(&["--list"]), Ok(Exit::OK));
    assert_eq!(host.terminal().column(0), [NAME, "old"]);
    assert_eq!(host.terminal().column(3), ["pvc://datasets/runs", "s3://bucket/x"]);
}

#[test]
fn list_watch_follows_changes() {
    let host = with_boards();
    let board = |name: &str| {
        json!({
            "apiVersion": "tensorboard.kubeflow.org/v1alpha1", "kind": "Tensorboard",
            "metadata": { "name": name }, "spec": { "logspath": "s3://bucket/x" },
        })
    };
    host.put(board("old"));
    host.at(Duration::from_secs(12), move |cluster| {
        cluster.put(board("new"));
    });
    assert_eq!(host.run::<Plugin>(&["--list", "--watch"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout.clone();
    let names: Vec<_> = stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["NAME", "old", "NAME", "new", "old"], "{stdout}");
    assert_eq!(host.run::<Plugin>(&["--watch"]).unwrap_err().code, ErrorCode::Invalid);
}

#[test]
fn viewer_is_forbidden() {
    for host in [cluster(), with_boards()] {
        host.cluster(|cluster| {
            cluster.deny("create", "batch", "jobs");
            cluster.deny("create", "tensorboard.kubeflow.org", "tensorboards");
        });
        let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden, "{}", error.message);
    }
}
