//! What a person sees of a workload's logs, from before its pods exist until after its end.

use std::time::Duration;

use kf_plugin_logs::Plugin;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::{FakeCluster, FakeHost};
use serde_json::{Value, json};

fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs");
    host.serve("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets");
    host.serve("batch", "v1", "Job", "jobs");
    host
}

fn train_job(nodes: u32) -> Value {
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
        "metadata": { "name": "mnist", "creationTimestamp": "2026-01-01T12:00:00Z" },
        "spec": { "trainer": { "numNodes": nodes } },
    })
}

fn pod(rank: u32, container: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": format!("mnist-node-0-{rank}"), "uid": format!("pod-{rank}"),
            "labels": {
                "jobset.sigs.k8s.io/jobset-name": "mnist",
                "jobset.sigs.k8s.io/replicatedjob-name": "node",
                "jobset.sigs.k8s.io/job-index": "0",
                "batch.kubernetes.io/job-completion-index": rank.to_string(),
            },
        },
        "spec": { "containers": [{ "name": "node" }] },
        "status": { "phase": "Running", "containerStatuses": [container] },
    })
}

fn running() -> Value {
    json!({ "name": "node", "restartCount": 0, "state": { "running": {} } })
}

fn end(cluster: &mut FakeCluster, kind: &str) {
    cluster.change("trainer.kubeflow.org/TrainJob", "mnist", |job| {
        job.set(
            "/status/conditions",
            json!([{ "type": kind, "status": "True", "reason": "JobsEnded",
                     "lastTransitionTime": "2026-01-01T12:03:12Z" }]),
        );
    });
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

#[test]
fn waits_for_pods_then_follows_every_rank_to_the_end() {
    let host = cluster();
    host.put(train_job(2));
    host.at(seconds(20), |cluster| {
        cluster.put(pod(
            0,
            json!({ "name": "node", "restartCount": 0, "image": "train:1",
            "state": { "waiting": { "reason": "ErrImagePull", "message": "not found" } } }),
        ));
    });
    host.at(seconds(40), |cluster| {
        for rank in [0, 1] {
            cluster.log(&format!("mnist-node-0-{rank}"), "node", "epoch=1\n");
            cluster.put(pod(rank, running()));
        }
    });
    host.at(seconds(60), |cluster| {
        for rank in [0, 1] {
            cluster.log(&format!("mnist-node-0-{rank}"), "node", "epoch=2\n");
            cluster.end_log(&format!("mnist-node-0-{rank}"), "node");
        }
    });
    host.at(seconds(61), |cluster| end(cluster, "Complete"));

    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]), Ok(Exit::OK));
    let terminal = host.terminal();
    let mut lines: Vec<_> = terminal.stdout.lines().collect();
    lines.sort_unstable();
    assert_eq!(lines, ["[node-0] epoch=1", "[node-0] epoch=2", "[node-1] epoch=1", "[node-1] epoch=2"]);
    assert_eq!(terminal.notes, ["mnist complete after 3m12s"]);
    let waits = &terminal.progress;
    assert_eq!(waits[0], "waiting for pods of mnist");
    assert_eq!(waits[1], "waiting for pods of mnist: image train:1 cannot be pulled: there is no such image");
}

#[test]
fn a_failed_job_is_the_exit_code() {
    let host = cluster();
    host.put(train_job(1));
    host.put(pod(0, running()));
    host.cluster(|cluster| {
        cluster.log("mnist-node-0-0", "node", "no data\n");
        cluster.end_log("mnist-node-0-0", "node");
        end(cluster, "Failed");
    });
    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]), Ok(Exit::FAILED));
    assert_eq!(host.terminal().stdout, "no data\n", "one rank needs no prefix");
    assert_eq!(host.terminal().notes, ["warning: mnist failed after 3m12s: JobsEnded"]);
}

#[test]
fn a_restart_is_told_and_followed() {
    let host = cluster();
    host.put(train_job(1));
    host.put(pod(0, running()));
    host.cluster(|cluster| cluster.log("mnist-node-0-0", "node", "first\n"));
    host.at(seconds(10), |cluster| cluster.end_log("mnist-node-0-0", "node"));
    host.at(seconds(20), |cluster| {
        cluster.put(pod(
            0,
            json!({ "name": "node", "restartCount": 1, "state": { "running": {} },
            "lastState": { "terminated": { "exitCode": 1, "reason": "Error" } } }),
        ));
    });
    host.at(seconds(30), |cluster| end(cluster, "Complete"));
    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes[0], "node-0 restarted (exit 1); its new logs follow");
}

#[test]
fn without_follow_prints_what_is_there() {
    let host = cluster();
    host.put(train_job(2));
    for rank in [1, 0] {
        host.put(pod(rank, running()));
        host.cluster(|cluster| cluster.log(&format!("mnist-node-0-{rank}"), "node", "one\ntwo\n"));
    }
    assert_eq!(host.run::<Plugin>(&["mnist", "--tail", "1"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "[node-0] two\n[node-1] two\n", "in order of rank");
}

#[test]
fn one_rank_alone_has_no_prefix() {
    let host = cluster();
    host.put(train_job(2));
    for rank in [0, 1] {
        host.put(pod(rank, running()));
        host.cluster(|cluster| cluster.log(&format!("mnist-node-0-{rank}"), "node", &format!("{rank}\n")));
    }
    assert_eq!(host.run::<Plugin>(&["mnist", "--rank", "1"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "1\n");
}

#[test]
fn pods_that_are_gone_are_named_as_such() {
    let host = cluster();
    host.put(train_job(1));
    host.cluster(|cluster| end(cluster, "Complete"));
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "mnist has ended and its pods are gone, their logs with them");
}

#[test]
fn a_rank_that_does_not_exist_is_named() {
    let host = cluster();
    host.put(train_job(1));
    host.put(pod(0, running()));
    host.cluster(|cluster| end(cluster, "Complete"));
    let error = host.run::<Plugin>(&["mnist", "--rank", "7"]).unwrap_err();
    assert_eq!(error, Error::invalid("mnist has no rank 7, it has only rank 0"));
}

#[test]
fn a_name_of_two_things_asks_which() {
    let host = cluster();
    host.put(train_job(1));
    host.put(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "mnist" } }));
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error.message, "`mnist` can be trainjob/mnist or job/mnist");
    assert_eq!(error.code, ErrorCode::Invalid);
}

#[test]
fn the_job_set_of_a_training_job_is_no_second_meaning() {
    let host = cluster();
    host.put(train_job(1));
    host.put(json!({ "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "metadata": {
        "name": "mnist",
        "ownerReferences": [{ "kind": "TrainJob", "name": "mnist", "controller": true }],
    } }));
    host.cluster(|cluster| end(cluster, "Complete"));
    assert_eq!(host.run::<Plugin>(&["mnist"]).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn nothing_of_that_name_points_to_status() {
    let error = cluster().run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error, Error::not_found("no job or pod `mnist` in team-a").hint("kf status"));
}

#[test]
fn who_may_not_see_job_sets_is_not_told_about_them() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("*", "jobset.x-k8s.io", "jobsets"));
    assert_eq!(host.run::<Plugin>(&["mnist"]).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(host.run::<Plugin>(&["jobset/mnist"]).unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn a_refusal_is_not_mistaken_for_absence() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("get", "trainer.kubeflow.org", "trainjobs"));
    assert_eq!(host.run::<Plugin>(&["mnist"]).unwrap_err().code, ErrorCode::Forbidden);
}
