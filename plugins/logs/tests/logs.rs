//! The logs of a workload, from before its pods exist until after its end.

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
fn follow_waits_for_pods_and_follows_every_rank() {
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
    // Without a terminal, progress is printed as notes.
    let missing = "waiting for pods of mnist: cannot pull image train:1: image not found";
    assert_eq!(terminal.notes, ["waiting for pods of mnist", missing, "mnist complete after 3m12s"]);
    let waits = &terminal.progress;
    assert_eq!(waits[0], "waiting for pods of mnist");
    assert_eq!(waits[1], missing);
}

#[test]
fn failed_job_sets_exit_code() {
    let host = cluster();
    host.put(train_job(1));
    host.put(pod(0, running()));
    host.cluster(|cluster| {
        cluster.log("mnist-node-0-0", "node", "no data\n");
        cluster.end_log("mnist-node-0-0", "node");
        end(cluster, "Failed");
    });
    let failed = Error::failed("mnist failed after 3m12s: JobsEnded").hint("kf status trainjob/mnist");
    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]), Err(failed));
    assert_eq!(host.terminal().stdout, "no data\n", "one rank needs no prefix");
    assert_eq!(host.terminal().notes, [""; 0]);
}

#[test]
fn restart_is_reported_and_followed() {
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

/// After a broken connection the host may still fetch the rest of the previous run.
#[test]
fn restarted_container_is_followed_after_previous_log_ends() {
    let host = cluster();
    host.put(train_job(1));
    host.put(pod(0, running()));
    host.cluster(|cluster| cluster.log("mnist-node-0-0", "node", "first\n"));
    host.at(seconds(10), |cluster| {
        cluster.put(pod(
            0,
            json!({ "name": "node", "restartCount": 1, "state": { "running": {} },
            "lastState": { "terminated": { "exitCode": 1, "reason": "Error" } } }),
        ));
    });
    let before = host.clone();
    host.at(seconds(20), move |cluster| {
        assert_eq!(before.terminal().notes, [""; 0]);
        cluster.end_log("mnist-node-0-0", "node");
    });
    host.at(seconds(30), |cluster| end(cluster, "Complete"));
    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes[0], "node-0 restarted (exit 1); its new logs follow");
}

#[test]
fn no_follow_prints_current_logs() {
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
fn single_rank_has_no_prefix() {
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
fn deleted_pods_are_reported() {
    let host = cluster();
    host.put(train_job(1));
    host.cluster(|cluster| end(cluster, "Complete"));
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.message, "mnist has ended and its pods were deleted with their logs");
}

#[test]
fn unknown_rank_is_refused() {
    let host = cluster();
    host.put(train_job(1));
    host.put(pod(0, running()));
    host.cluster(|cluster| end(cluster, "Complete"));
    let error = host.run::<Plugin>(&["mnist", "--rank", "7"]).unwrap_err();
    assert_eq!(error, Error::invalid("mnist has no rank 7; it has only rank 0"));
}

#[test]
fn ambiguous_name_is_refused() {
    let host = cluster();
    host.put(train_job(1));
    host.put(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "mnist" } }));
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error.message, "`mnist` is ambiguous: trainjob/mnist or job/mnist");
    assert_eq!(error.code, ErrorCode::Invalid);
}

#[test]
fn job_set_of_train_job_does_not_make_name_ambiguous() {
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
fn unknown_name_hints_at_status() {
    let error = cluster().run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error, Error::not_found("no workload `mnist` in team-a").hint("kf status"));
}

#[test]
fn forbidden_kind_is_not_reported_as_missing() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("get", "trainer.kubeflow.org", "trainjobs"));
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert!(error.message.ends_with("; skipped (no permission to get): training jobs"), "{error}");
    assert_eq!(host.run::<Plugin>(&["trainjob/mnist"]).unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn previous_shows_only_restarted_containers() {
    let host = cluster();
    host.put(train_job(2));
    let crashed = json!({ "name": "node", "restartCount": 1, "state": { "running": {} },
                          "lastState": { "terminated": { "exitCode": 1 } } });
    host.put(pod(0, running()));
    host.cluster(|cluster| cluster.log("mnist-node-0-0", "node", "still the first run\n"));
    let error = host.run::<Plugin>(&["mnist", "-p", "--tail", "5"]).unwrap_err();
    let message = "mnist has not restarted: there is no previous run";
    assert_eq!(error, Error::not_found(message).hint("kf logs trainjob/mnist --tail 5"));

    host.put(pod(1, crashed));
    host.cluster(|cluster| cluster.previous_log("mnist-node-0-1", "node", "KeyError\n"));
    assert_eq!(host.run::<Plugin>(&["mnist", "--previous"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "[node-1] KeyError\n");
}

#[test]
fn many_ranks_show_first_unless_all() {
    let host = cluster();
    host.put(train_job(20));
    for rank in 0..20 {
        host.put(pod(rank, running()));
        host.cluster(|cluster| cluster.log(&format!("mnist-node-0-{rank}"), "node", &format!("{rank}\n")));
    }
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "0\n");
    let note = "showing rank 0 of 20 ranks of mnist; --all shows all, --rank N another";
    assert_eq!(host.terminal().notes, [note]);
    assert_eq!(host.run::<Plugin>(&["mnist", "--all"]), Ok(Exit::OK));
    let all: String = (0..20).map(|rank| format!("[node-{rank}] {rank}\n")).collect();
    assert!(host.terminal().stdout.ends_with(&all), "{}", host.terminal().stdout);
}

#[test]
fn all_prefixes_lines_with_container() {
    let host = cluster();
    host.put(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "uid": "web" },
        "spec": { "initContainers": [{ "name": "fetch" }], "containers": [{ "name": "main" }] },
        "status": {
            "phase": "Running",
            "initContainerStatuses": [{ "name": "fetch", "state": { "terminated": { "exitCode": 0 } } }],
            "containerStatuses": [{ "name": "main", "state": { "running": {} } }],
        },
    }));
    host.cluster(|cluster| {
        cluster.log("web", "fetch", "fetched\n");
        cluster.log("web", "main", "serving\n");
    });
    assert_eq!(host.run::<Plugin>(&["web"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "serving\n");
    assert_eq!(host.run::<Plugin>(&["web", "--all"]), Ok(Exit::OK));
    assert!(host.terminal().stdout.ends_with("[web/fetch] fetched\n[web/main] serving\n"));
}

fn serve_notebooks(host: &FakeHost) {
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.put(json!({ "apiVersion": "kubeflow.org/v1", "kind": "Notebook",
                     "metadata": { "name": "desk", "creationTimestamp": "2026-01-01T11:00:00Z" } }));
}

fn desk_pod() -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "desk-0", "uid": "desk-0", "labels": { "notebook-name": "desk" } },
        "spec": { "containers": [{ "name": "desk" }] },
        "status": { "phase": "Running", "containerStatuses": [{ "name": "desk", "state": { "running": {} } }] },
    })
}

#[test]
fn notebook_is_followed_until_stopped() {
    let host = cluster();
    serve_notebooks(&host);
    host.put(desk_pod());
    host.cluster(|cluster| cluster.log("desk-0", "desk", "listening\n"));
    host.at(seconds(60), |cluster| {
        cluster.change("kubeflow.org/Notebook", "desk", |desk| {
            desk.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": "2026-01-01T12:01:00Z" }));
        });
    });
    host.at(seconds(70), |cluster| {
        cluster.end_log("desk-0", "desk");
        cluster.remove("Pod", "desk-0");
    });
    assert_eq!(host.run::<Plugin>(&["desk", "-f"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "listening\n");
    assert_eq!(host.terminal().notes, ["desk was stopped"]);
    let error = host.run::<Plugin>(&["desk"]).unwrap_err();
    let message =
        "notebook/desk is stopped and has no pods, so it has no logs: stopped at 2026-01-01T12:01:00Z";
    assert_eq!(error, Error::not_found(message).hint("kf status notebook/desk"));
}

#[test]
fn follow_survives_expired_watch_and_unreachable_server() {
    let host = cluster();
    host.put(train_job(1));
    let down = Error::new(ErrorCode::Unreachable, "the API server does not answer");
    // Noticed when the events are read, before the watches break.
    let first = down.clone();
    host.at(seconds(2), move |cluster| cluster.fail("list", "Event", first.clone()));
    host.at(seconds(10), move |cluster| {
        cluster.break_watches("TrainJob", Error::new(ErrorCode::Expired, "too old"));
        cluster.break_watches("Pod", down.clone());
        cluster.fail("list", "Pod", down.clone());
    });
    host.at(seconds(40), |cluster| {
        cluster.recover("list", "Pod");
        cluster.recover("list", "Event");
        cluster.log("mnist-node-0-0", "node", "epoch=1\n");
        cluster.put(pod(0, running()));
    });
    host.at(seconds(60), |cluster| {
        cluster.end_log("mnist-node-0-0", "node");
        end(cluster, "Complete");
    });
    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "epoch=1\n");
    let waits = &host.terminal().progress;
    assert!(waits.iter().any(|wait| wait == "the API server does not answer; retrying"), "{waits:?}");
}

#[test]
fn queued_job_shows_position_while_waiting() {
    let host = cluster();
    host.serve("kueue.x-k8s.io", "v1beta1", "Workload", "workloads");
    let mut job = Object::from(train_job(1));
    job.set("/spec/suspend", true);
    job.set("/metadata/uid", "job");
    host.put(job.into_value());
    host.put(json!({
        "apiVersion": "kueue.x-k8s.io/v1beta1", "kind": "Workload",
        "metadata": { "name": "w", "ownerReferences": [{ "kind": "TrainJob", "name": "mnist", "uid": "job" }] },
        "spec": { "queueName": "team" },
    }));
    host.at(seconds(30), |cluster| end(cluster, "Complete"));
    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(host.terminal().progress[0], "waiting for pods of mnist: 1st of 1 in queue team");
}

#[test]
fn replaced_pod_is_followed_from_its_start() {
    let host = cluster();
    host.put(train_job(1));
    host.put(pod(0, running()));
    host.cluster(|cluster| cluster.log("mnist-node-0-0", "node", "first\n"));
    host.at(seconds(10), |cluster| {
        cluster.end_log("mnist-node-0-0", "node");
        cluster.remove("Pod", "mnist-node-0-0");
        let mut again = Object::from(pod(0, running()));
        again.set("/metadata/name", "mnist-node-0-0-x");
        again.set("/metadata/uid", "another");
        cluster.log("mnist-node-0-0-x", "node", "second\n");
        cluster.end_log("mnist-node-0-0-x", "node");
        cluster.put(again.into_value());
    });
    host.at(seconds(30), |cluster| end(cluster, "Complete"));
    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "first\nsecond\n");
    assert_eq!(host.terminal().notes[0], "node-0 has a new pod; its new logs follow");
}

/// A pod without an owner.
fn alone(spec: Value, status: Value) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "prep", "uid": "prep" },
        "spec": spec, "status": status,
    })
}

fn with_init() -> Value {
    json!({ "initContainers": [{ "name": "fetch" }, { "name": "unpack" }], "containers": [{ "name": "main" }] })
}

fn waiting_main() -> Value {
    json!([{ "name": "main", "restartCount": 0, "image": "train:1",
             "state": { "waiting": { "reason": "PodInitializing" } } }])
}

#[test]
fn failed_init_container_is_shown() {
    let ended = json!({ "terminated": { "exitCode": 3, "reason": "Error" } });
    let crashing = json!({ "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } });
    for (phase, state, last, run) in [
        ("Failed", ended.clone(), json!({}), "fetch failed\n"),
        ("Pending", crashing, ended, "fetch failed\n"),
    ] {
        let host = cluster();
        let done = json!({ "name": "unpack", "state": { "waiting": { "reason": "PodInitializing" } } });
        host.put(alone(
            with_init(),
            json!({
                "phase": phase,
                "initContainerStatuses": [
                    { "name": "fetch", "restartCount": 0, "state": state, "lastState": last }, done,
                ],
                "containerStatuses": waiting_main(),
            }),
        ));
        host.cluster(|cluster| cluster.log("prep", "fetch", run));
        assert_eq!(host.run::<Plugin>(&["prep"]), Ok(Exit::OK));
        assert_eq!(host.terminal().stdout, "fetch failed\n");
        let note = "init container fetch of prep failed (exit 3); showing its log";
        assert_eq!(host.terminal().notes, [note]);
        // An explicit container is used, and the error explains why it has no logs.
        let error = host.run::<Plugin>(&["prep", "-c", "main"]).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.contains("exit 3"), "{error}");
        assert!(!error.hint.unwrap().contains("kf logs prep -c main\n"));
    }
}

#[test]
fn running_init_container_is_reported_as_wait_reason() {
    let host = cluster();
    host.put(alone(
        with_init(),
        json!({
            "phase": "Pending",
            "conditions": [{ "type": "PodScheduled", "status": "True" }],
            "initContainerStatuses": [{ "name": "fetch", "state": { "running": {} } }],
            "containerStatuses": waiting_main(),
        }),
    ));
    let error = host.run::<Plugin>(&["prep"]).unwrap_err();
    let message = "prep has no logs yet: init container fetch is running";
    assert_eq!(error, Error::not_found(message).hint("kf logs pod/prep --follow"));
    host.at(seconds(60), |cluster| {
        cluster.change("Pod", "prep", |pod| pod.set("/status/phase", "Failed"));
    });
    host.run::<Plugin>(&["prep", "-f"]).unwrap_err();
    assert_eq!(host.terminal().notes, ["waiting for pods of prep: init container fetch is running"]);
}

#[test]
fn no_follow_does_not_wait() {
    let host = cluster();
    host.put(train_job(1));
    let wait = |host: &FakeHost| host.run::<Plugin>(&["mnist", "--tail", "5"]).unwrap_err();
    let none = wait(&host);
    assert_eq!(none.message, "mnist has no logs yet: no pods yet");
    let pull = json!({ "waiting": { "reason": "ErrImagePull", "message": "manifest unknown" } });
    host.put(pod(0, json!({ "name": "node", "restartCount": 0, "image": "train:1", "state": pull })));
    let message = "mnist has no logs yet: cannot pull image train:1: image not found";
    let hint = "kf logs trainjob/mnist --tail 5 --follow";
    assert_eq!(wait(&host), Error::not_found(message).hint(hint));
    // A quota refuses the pods.
    host.cluster(|cluster| cluster.remove("Pod", "mnist-node-0-0"));
    host.put(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e" }, "type": "Warning", "reason": "FailedCreate",
        "message": "Error creating: pods \"mnist-node-0-0\" is forbidden: exceeded quota: q, requested: pods=1",
        "involvedObject": { "kind": "Job", "name": "mnist-node-0" },
    }));
    assert_eq!(wait(&host).message, "mnist has no logs yet: exceeded quota: q, requested: pods=1");
}

#[test]
fn job_with_refused_pods_reports_reason() {
    let host = cluster();
    host.put(train_job(1));
    host.put(json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": "e" }, "type": "Warning", "reason": "FailedCreate",
        "message": "Error creating: pods \"mnist-node-0\" is forbidden: exceeded quota: q, requested: pods=1, used: pods=0, \
                    limited: pods=0",
        "involvedObject": { "kind": "Job", "name": "mnist-node-0" },
    }));
    let quota = "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0";
    let failed =
        Error::failed(format!("mnist failed: FailedCreate: {quota}")).hint("kf status trainjob/mnist");
    assert_eq!(host.run::<Plugin>(&["mnist", "-f"]), Err(failed));
    let none =
        Error::not_found(format!("mnist has no logs yet: {quota}")).hint("kf logs trainjob/mnist --follow");
    assert_eq!(host.run::<Plugin>(&["mnist"]), Err(none));
}

fn attempt(name: &str, minute: u32, phase: &str) -> Value {
    let state = match phase {
        "Failed" => json!({ "terminated": { "exitCode": 1 } }),
        _ => json!({ "running": {} }),
    };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "uid": name, "labels": { "batch.kubernetes.io/job-name": "prepare" },
            "creationTimestamp": format!("2026-01-01T12:{minute:02}:00Z"),
        },
        "spec": { "containers": [{ "name": "main" }] },
        "status": { "phase": phase, "containerStatuses": [{ "name": "main", "restartCount": 0, "state": state }] },
    })
}

#[test]
fn job_attempts_are_ordered_by_time() {
    let host = cluster();
    host.put(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "prepare" } }));
    let attempts = [("prepare-z", 1, "Failed"), ("prepare-m", 2, "Failed"), ("prepare-a", 3, "Running")];
    for (name, minute, phase) in attempts {
        host.put(attempt(name, minute, phase));
        host.cluster(|cluster| cluster.log(name, "main", "began\nended\n"));
    }
    host.cluster(|cluster| cluster.end_log("prepare-a", "main"));
    let expected: String = attempts
        .iter()
        .flat_map(|(name, ..)| ["began", "ended"].map(|line| format!("[{name}] {line}\n")))
        .collect();
    assert_eq!(host.run::<Plugin>(&["job/prepare"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, expected);
    host.cluster(|cluster| {
        cluster.change("batch/Job", "prepare", |job| {
            job.set("/status/conditions", json!([{ "type": "Complete", "status": "True" }]));
        });
    });
    assert_eq!(host.run::<Plugin>(&["job/prepare", "-f"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, format!("{expected}{expected}"));
}

fn evicted() -> Value {
    let lost = json!({ "terminated": { "exitCode": 137, "reason": "ContainerStatusUnknown" } });
    json!({
        "phase": "Failed", "reason": "Evicted", "message": "The node was low on resource: memory.",
        "containerStatuses": [{ "name": "main", "restartCount": 0, "state": lost }],
    })
}

#[test]
fn log_of_evicted_pod_is_not_found() {
    for code in [ErrorCode::Invalid, ErrorCode::NotFound, ErrorCode::Internal] {
        for words in [&["prep"][..], &["prep", "-f"]] {
            let host = cluster();
            host.put(alone(json!({ "containers": [{ "name": "main" }] }), evicted()));
            host.cluster(|cluster| {
                cluster.fail("get", "Pod/log", Error::new(code, "the kubelet has no such container"))
            });
            let error = host.run::<Plugin>(words).unwrap_err();
            assert_eq!(error.code, ErrorCode::NotFound, "{error}");
            assert!(error.message.starts_with("log of prep is no longer available: "), "{error}");
            assert_eq!(error.hint.as_deref(), Some("kf status pod/prep"));
        }
    }
    // It never started.
    let host = cluster();
    let mut status = evicted();
    status["containerStatuses"] = json!([]);
    host.put(alone(json!({ "containers": [{ "name": "main" }] }), status));
    let error = host.run::<Plugin>(&["prep"]).unwrap_err();
    let message = "prep has no log: Evicted: The node was low on resource: memory";
    assert_eq!(error, Error::not_found(message).hint("kf status pod/prep"));
}

/// The kubelet finds no container although the pod's status lists it.
#[test]
fn log_of_removed_container_is_not_found() {
    for words in [&["prep"][..], &["prep", "-f"], &["prep", "--timestamps"]] {
        let host = cluster();
        host.put(alone(json!({ "containers": [{ "name": "main" }] }), evicted()));
        host.cluster(|cluster| cluster.lose_log("prep", "main"));
        let message = "log of prep is no longer available: Evicted: The node was low on resource: memory";
        let error = Error::not_found(message).hint("kf status pod/prep");
        assert_eq!(host.run::<Plugin>(words), Err(error), "{words:?}");
        assert_eq!(host.terminal().stdout, "");
    }
    // The main container is running, the log of an init container is lost.
    let host = cluster();
    let done = json!({ "name": "fetch", "state": { "terminated": { "exitCode": 0 } } });
    let status = json!({ "phase": "Running", "initContainerStatuses": [done],
                         "containerStatuses": [{ "name": "main", "state": { "running": {} } }] });
    host.put(alone(
        json!({ "initContainers": [{ "name": "fetch" }], "containers": [{ "name": "main" }] }),
        status,
    ));
    host.cluster(|cluster| {
        cluster.lose_log("prep", "fetch");
        cluster.log("prep", "main", "epoch=1\n");
    });
    assert_eq!(host.run::<Plugin>(&["prep", "--all"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "[prep/main] epoch=1\n");
    let note = "warning: log of prep/fetch is no longer available: the container is no longer on its node";
    assert_eq!(host.terminal().notes, [note]);
}

#[test]
fn lost_log_does_not_hide_others() {
    let host = cluster();
    host.put(json!({ "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "prepare" } }));
    host.put(attempt("prepare-z", 1, "Failed"));
    host.put(attempt("prepare-a", 2, "Running"));
    host.cluster(|cluster| {
        cluster.log("prepare-a", "main", "second\n");
        cluster.end_log("prepare-a", "main");
    });
    assert_eq!(host.run::<Plugin>(&["job/prepare"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "[prepare-a] second\n");
    assert_eq!(host.terminal().notes, ["warning: log of prepare-z is no longer available: exit 1"]);
}

#[test]
fn broken_kind_does_not_hide_logs_of_others() {
    let host = cluster();
    host.serve("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices");
    host.put(train_job(1));
    host.put(pod(0, running()));
    let webhook = "the API server answered 500: conversion webhook for serving.kserve.io/v1beta1 failed";
    host.cluster(|cluster| {
        cluster.log("mnist-node-0-0", "node", "epoch=1\n");
        cluster.fail("get", "InferenceService", Error::new(ErrorCode::Internal, webhook));
        cluster.fail("list", "Event", Error::new(ErrorCode::Unreachable, "the API server is not ready"));
    });
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "epoch=1\n");
    let left_out = [
        format!("warning: skipped: inference services ({webhook})"),
        "warning: skipped: events (the API server is not ready)".to_owned(),
    ];
    assert_eq!(host.terminal().notes, left_out);
    // A name that is not found may be of the broken kind.
    let error = host.run::<Plugin>(&["iris"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Internal);
    let message = format!("no workload `iris` found in team-a; skipped: inference services ({webhook})");
    assert_eq!(error.message, message);
}

// ---- Katib ----

fn with_katib() -> FakeHost {
    let host = cluster();
    host.serve("kubeflow.org", "v1beta1", "Experiment", "experiments");
    host.serve("kubeflow.org", "v1beta1", "Trial", "trials");
    host.put(json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": { "name": "lr" },
        "spec": { "trialTemplate": { "primaryContainerName": "node" } },
    }));
    host.put(json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Trial",
        "metadata": { "name": "lr-x", "labels": { "katib.kubeflow.org/experiment": "lr" } },
        "spec": { "primaryContainerName": "node" },
    }));
    let mut service = Object::from(pod(0, json!({ "name": "suggestion", "state": { "running": {} } })));
    service.set("/metadata/name", "lr-random-5d9-x");
    let labels = json!({ "katib.kubeflow.org/experiment": "lr", "katib.kubeflow.org/suggestion": "lr" });
    service.set("/metadata/labels", labels);
    service.set("/spec/containers", json!([{ "name": "suggestion" }]));
    host.put(service.into_value());
    host.cluster(|cluster| {
        cluster.log("lr-random-5d9-x", "suggestion", "the suggestion service\n");
        cluster.end_log("lr-random-5d9-x", "suggestion");
    });
    host
}

/// The pod of a trial as Katib's webhook changes it: the output goes to a file, which the collector prints.
fn put_trial_pod(host: &FakeHost) {
    let mut trial = Object::from(pod(0, running()));
    trial.set("/metadata/name", "lr-x-node-0-0");
    for (label, value) in [
        ("jobset.sigs.k8s.io~1jobset-name", "lr-x"),
        ("katib.kubeflow.org~1experiment", "lr"),
        ("katib.kubeflow.org~1trial", "lr-x"),
    ] {
        trial.set(&format!("/metadata/labels/{label}"), value);
    }
    let line = "train 0.1 1>/var/log/katib/metrics.log 2>&1 && echo completed > /var/log/katib/$$$$.pid";
    trial.set(
        "/spec/containers",
        json!([
            { "name": "node", "args": [line] },
            { "name": "metrics-logger-and-collector", "args": ["-path", "/var/log/katib/metrics.log"] },
        ]),
    );
    let collector = json!({ "name": "metrics-logger-and-collector", "state": { "running": {} } });
    trial.set("/status/containerStatuses", json!([running(), collector]));
    host.put(trial.into_value());
    host.cluster(|cluster| {
        for (container, text) in
            [("node", ""), ("metrics-logger-and-collector", "I0101 main.go:139] loss=0.5\n")]
        {
            cluster.log("lr-x-node-0-0", container, text);
            cluster.end_log("lr-x-node-0-0", container);
        }
    });
}

#[test]
fn trial_output_is_read_from_collector() {
    let host = with_katib();
    put_trial_pod(&host);
    for words in ["lr", "experiment/lr", "trial/lr-x"] {
        let before = host.terminal().stdout.len();
        assert_eq!(host.run::<Plugin>(&[words]), Ok(Exit::OK));
        let shown = host.terminal().stdout[before..].to_owned();
        assert_eq!(shown, "I0101 main.go:139] loss=0.5\n", "{words}");
    }
    // An explicit container is used as it is.
    let before = host.terminal().stdout.len();
    assert_eq!(host.run::<Plugin>(&["trial/lr-x", "--container", "node"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout.len(), before);
}

#[test]
fn ended_katib_trials_report_why_logs_are_missing() {
    let host = with_katib();
    for (kind, name) in [("Experiment", "lr"), ("Trial", "lr-x")] {
        host.cluster(|cluster| {
            cluster.change(&format!("kubeflow.org/{kind}"), name, |object| {
                object.set("/status/conditions", json!([{ "type": "Succeeded", "status": "True" }]));
            });
        });
        let full_name = format!("{}/{name}", kind.to_lowercase());
        let error = host.run::<Plugin>(&[&full_name]).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        let message = format!("{name} has ended: Katib deletes the job of an ended trial with its logs");
        assert_eq!(error.message, message);
        assert_eq!(error.hint, Some(format!("kf status {full_name}")));
    }
    assert_eq!(host.terminal().stdout, "", "the suggestion service's log does not belong to the trials");
}

// ---- several ----

#[test]
fn several_workloads_print_one_after_the_other() {
    let host = cluster();
    host.put(train_job(1));
    host.put(pod(0, running()));
    let mut shell = Object::from(pod(0, json!({ "name": "main", "state": { "running": {} } })));
    shell.set("/metadata", json!({ "name": "shell", "uid": "shell" }));
    shell.set("/spec/containers", json!([{ "name": "main" }]));
    host.put(shell.into_value());
    host.cluster(|cluster| {
        for (pod, container, text) in [("mnist-node-0-0", "node", "epoch=1\n"), ("shell", "main", "hello\n")]
        {
            cluster.log(pod, container, text);
            cluster.end_log(pod, container);
        }
    });
    assert_eq!(host.run::<Plugin>(&["shell", "mnist"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "[shell] hello\n[mnist/node-0] epoch=1\n");
    // A missing one does not hide the others.
    let error = host.run::<Plugin>(&["nope", "shell"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert!(host.terminal().stdout.ends_with("[shell] hello\n"));
}

/// A running pod with one container, `main`.
fn runs(name: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "uid": name },
        "spec": { "containers": [{ "name": "main" }] },
        "status": { "phase": "Running", "containerStatuses": [{ "name": "main", "state": { "running": {} } }] },
    })
}

fn end_pod(cluster: &mut FakeCluster, name: &str, phase: &'static str) {
    cluster.end_log(name, "main");
    cluster.change("Pod", name, |pod| pod.set("/status/phase", phase));
}

#[test]
fn several_workloads_are_followed_together() {
    let host = cluster();
    host.put(train_job(2));
    host.put(runs("shell"));
    host.cluster(|cluster| cluster.log("shell", "main", "began\n"));
    host.at(seconds(20), |cluster| {
        for rank in [0, 1] {
            cluster.log(&format!("mnist-node-0-{rank}"), "node", "epoch=1\n");
            cluster.put(pod(rank, running()));
        }
    });
    // Printed although the other has ended.
    host.at(seconds(40), |cluster| end_pod(cluster, "shell", "Succeeded"));
    let after = host.clone();
    host.at(seconds(60), move |cluster| {
        assert_eq!(after.terminal().stdout, "[shell] began\n");
        for rank in [0, 1] {
            cluster.log(&format!("mnist-node-0-{rank}"), "node", "epoch=2\n");
            cluster.end_log(&format!("mnist-node-0-{rank}"), "node");
        }
        end(cluster, "Complete");
    });
    // A duplicate is followed once.
    assert_eq!(host.run::<Plugin>(&["shell", "mnist", "pod/shell", "-f"]), Ok(Exit::OK));
    let terminal = host.terminal();
    let mut lines: Vec<_> = terminal.stdout.lines().collect();
    lines.sort_unstable();
    let of_mnist = [0, 1].map(|rank| [1, 2].map(|epoch| format!("[mnist/node-{rank}] epoch={epoch}")));
    let expected: Vec<_> = of_mnist.iter().flatten().map(String::as_str).chain(["[shell] began"]).collect();
    assert_eq!(lines, expected);
    assert_eq!(terminal.notes, ["waiting for pods of mnist", "shell complete", "mnist complete after 3m12s"]);
}

#[test]
fn failure_of_one_is_reported_immediately_and_sets_exit_code() {
    let host = cluster();
    for name in ["a", "b"] {
        host.put(runs(name));
    }
    host.cluster(|cluster| {
        cluster.log("a", "main", "no data\n");
        cluster.log("b", "main", "fine\n");
    });
    host.at(seconds(20), |cluster| end_pod(cluster, "a", "Failed"));
    let after = host.clone();
    host.at(seconds(40), move |cluster| {
        assert_eq!(after.terminal().notes, ["warning: a failed"]);
        end_pod(cluster, "b", "Succeeded");
    });
    let error = host.run::<Plugin>(&["a", "b", "-f"]).unwrap_err();
    assert_eq!(error, Error::failed("a failed").hint("kf status pod/a"));
    assert_eq!(host.terminal().notes, ["warning: a failed", "b complete"]);
    assert_eq!(host.terminal().stdout, "[a] no data\n[b] fine\n");
}

#[test]
fn several_are_followed_only_if_all_exist() {
    let host = cluster();
    let names: Vec<_> = (0..9).map(|number| format!("pod-{number}")).collect();
    names.iter().for_each(|name| host.put(runs(name)));
    let error = host.run::<Plugin>(&["pod-1", "nope", "-f"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    let all: Vec<_> = names.iter().map(String::as_str).chain(["-f"]).collect();
    let message = "--follow supports at most 8 workloads, got 9";
    assert_eq!(host.run::<Plugin>(&all), Err(Error::invalid(message)));
    assert_eq!(host.terminal().stdout, "");
}

#[test]
fn own_experiment_shows_logs_of_its_trials() {
    let host = cluster();
    for number in [1, 2] {
        let mut job = Object::from(train_job(1));
        let name = format!("lr-{number}");
        job.set("/metadata/name", name.clone());
        let labels = json!({ "kf-cli.dev/experiment": "lr", "kf-cli.dev/trial": number.to_string() });
        job.set("/metadata/labels", labels);
        host.put(job.into_value());
        let mut trial = Object::from(pod(0, running()));
        let pod = format!("{name}-node-0-0");
        trial.set("/metadata/name", pod.clone());
        trial.set("/metadata/uid", pod.clone());
        trial.set("/metadata/labels/jobset.sigs.k8s.io~1jobset-name", name);
        host.put(trial.into_value());
        host.cluster(|cluster| {
            cluster.log(&pod, "node", &format!("loss=0.{number}\n"));
            cluster.end_log(&pod, "node");
        });
    }
    assert_eq!(host.run::<Plugin>(&["lr"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "[lr-1/node-0] loss=0.1\n[lr-2/node-0] loss=0.2\n");
}
