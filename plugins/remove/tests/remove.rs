//! Tests of `kf remove`.

use kf_plugin_remove::Plugin;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::{Value, json};

fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs");
    host.serve("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets");
    host.serve("batch", "v1", "Job", "jobs");
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.serve("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    host
}

fn made(version: &str, kind: &str, name: &str, owner: Option<(&str, &str)>) -> Object {
    let mut object = Object::from(json!({ "apiVersion": version, "kind": kind, "metadata": {
        "name": name, "uid": format!("{kind}-{name}"), "creationTimestamp": "2026-01-01T11:00:00Z",
    } }));
    if let Some((kind, name)) = owner {
        object.set("/metadata/ownerReferences", json!([{ "kind": kind, "name": name, "controller": true }]));
    }
    object
}

/// A training job with one pod that mounts a volume, and all objects in between.
fn put_training(host: &FakeHost, phase: &str, status: Value) {
    let mut train = made("trainer.kubeflow.org/v1alpha1", "TrainJob", "mnist", None);
    train.set("/spec/trainer/numNodes", 1);
    train.set("/status", status);
    host.put(train.into_value());
    host.put(made("jobset.x-k8s.io/v1alpha2", "JobSet", "mnist", Some(("TrainJob", "mnist"))).into_value());
    host.put(made("batch/v1", "Job", "mnist-node-0", Some(("JobSet", "mnist"))).into_value());
    let mut pod = made("v1", "Pod", "mnist-node-0-0-x", Some(("Job", "mnist-node-0")));
    pod.set("/metadata/labels", json!({ "jobset.sigs.k8s.io/jobset-name": "mnist" }));
    pod.set("/spec/volumes", json!([{ "name": "data", "persistentVolumeClaim": { "claimName": "data" } }]));
    pod.set("/status", json!({ "phase": phase, "conditions": [{ "type": "Ready", "status": "True" }] }));
    host.put(pod.into_value());
    host.put(made("v1", "PersistentVolumeClaim", "data", None).into_value());
}

fn deleted(host: &FakeHost) -> Vec<String> {
    host.cluster(|cluster| {
        let writes = cluster.writes().iter().filter(|write| !write.dry_run);
        writes.map(|write| format!("{}/{}", write.object.kind.kind, write.object.name)).collect()
    })
}

#[test]
fn ended_job_is_removed_without_prompt_and_volume_is_kept() {
    let host = cluster();
    put_training(&host, "Succeeded", json!({ "conditions": [{ "type": "Complete", "status": "True" }] }));
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes, ["deletes pods: mnist-node-0-0-x", "keeps volumes: data"]);
    assert_eq!(host.terminal().stdout, "trainjob/mnist removed\n");
    assert_eq!(deleted(&host), ["TrainJob/mnist"]);
}

#[test]
fn running_job_needs_confirmation() {
    let host = cluster();
    put_training(&host, "Running", json!({}));
    let error = host.run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::Invalid, Some("kf remove trainjob/mnist --yes"))
    );
    assert!(error.message.contains("is running (1 of 1 pods)"), "{}", error.message);

    host.change_context(|context| context.interactive = true);
    assert_eq!(host.run::<Plugin>(&["mnist"]).unwrap_err().code, ErrorCode::Failed);
    assert_eq!(deleted(&host), [""; 0]);
    host.answer(true);
    assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    assert_eq!(deleted(&host), ["TrainJob/mnist"]);
}

#[test]
fn owned_object_suggests_owner() {
    let host = cluster();
    put_training(&host, "Succeeded", json!({ "conditions": [{ "type": "Complete", "status": "True" }] }));
    for part in ["jobset/mnist", "job/mnist-node-0", "pod/mnist-node-0-0-x"] {
        let error = host.run::<Plugin>(&[part, "--yes"]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert_eq!(error.message, format!("{part} belongs to trainjob/mnist, which would recreate it"));
        assert_eq!(error.hint.as_deref(), Some("kf remove trainjob/mnist"));
    }
    assert_eq!(deleted(&host), [""; 0]);
    host.change_context(|context| context.interactive = true);
    host.answer(true);
    assert_eq!(host.run::<Plugin>(&["jobset/mnist"]), Ok(Exit::OK));
    assert_eq!(deleted(&host), ["TrainJob/mnist"]);
}

#[test]
fn unreadable_job_set_suggests_training_job() {
    let host = cluster();
    put_training(&host, "Succeeded", json!({ "conditions": [{ "type": "Complete", "status": "True" }] }));
    host.cluster(|cluster| cluster.deny("*", "jobset.x-k8s.io", "jobsets"));
    let error = host.run::<Plugin>(&["job/mnist-node-0", "--keep-pods"]).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("kf remove trainjob/mnist --keep-pods"));
}

#[test]
fn owner_of_unknown_kind_is_named() {
    let host = cluster();
    host.put(made("batch/v1", "Job", "nightly-1", Some(("CronJob", "nightly"))).into_value());
    let error = host.run::<Plugin>(&["job/nightly-1", "--yes"]).unwrap_err();
    assert_eq!(error.message, "job/nightly-1 belongs to cronjob/nightly, which would recreate it");
    assert_eq!(deleted(&host), [""; 0]);
}

#[test]
fn deletion_is_by_uid_and_pods_can_be_kept() {
    use kf_plugin_sdk::abi::Propagation;

    let host = cluster();
    put_training(&host, "Running", json!({}));
    assert_eq!(host.run::<Plugin>(&["mnist", "--yes", "--keep-pods"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes, ["keeps pods: mnist-node-0-0-x", "keeps volumes: data"]);
    let options = host.cluster(|cluster| cluster.deletions().to_vec());
    assert_eq!(options.len(), 1);
    assert_eq!(options[0].propagation, Propagation::Orphan);
    assert_eq!(options[0].uid.as_deref(), Some("TrainJob-mnist"));
}

#[test]
fn owned_volume_is_deleted() {
    let host = cluster();
    let mut notebook = made("kubeflow.org/v1", "Notebook", "alice", None);
    let volumes = json!([
        { "persistentVolumeClaim": { "claimName": "alice-home" } },
        { "persistentVolumeClaim": { "claimName": "alice-scratch" } },
    ]);
    notebook.set("/spec/template/spec/volumes", volumes);
    host.put(notebook.into_value());
    host.put(made("v1", "PersistentVolumeClaim", "alice-home", None).into_value());
    let mut scratch = made("v1", "PersistentVolumeClaim", "alice-scratch", None);
    scratch.set(
        "/metadata/ownerReferences",
        json!([{ "kind": "Notebook", "name": "alice", "uid": "Notebook-alice" }]),
    );
    host.put(scratch.into_value());
    assert_eq!(host.run::<Plugin>(&["alice", "--yes"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes, ["deletes volumes: alice-scratch", "keeps volumes: alice-home"]);
}

#[test]
fn dry_run_neither_asks_nor_removes() {
    let host = cluster();
    put_training(&host, "Running", json!({}));
    host.change_context(|context| context.dry_run = true);
    for format in [Format::Table, Format::Json, Format::Name] {
        host.format(format);
        assert_eq!(host.run::<Plugin>(&["mnist"]), Ok(Exit::OK));
    }
    assert!(host.cluster(|cluster| cluster.object("trainer.kubeflow.org/TrainJob", "mnist")).is_some());
    assert_eq!(host.terminal().stdout, "", "kf itself prints what would be removed");
}

#[test]
fn missing_and_forbidden_workloads_are_refused() {
    let host = cluster();
    let error = host.run::<Plugin>(&["mnits"]).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::NotFound, Some("kf status")));
    put_training(&host, "Running", json!({}));
    host.cluster(|cluster| cluster.deny("delete", "trainer.kubeflow.org", "trainjobs"));
    assert_eq!(host.run::<Plugin>(&["mnist", "--yes"]).unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(host.run::<Plugin>(&["mnist"]).unwrap_err().code, ErrorCode::Forbidden, "before any question");
}

#[test]
fn broken_kind_does_not_block_others() {
    let host = cluster();
    put_training(&host, "Succeeded", json!({ "conditions": [{ "type": "Complete", "status": "True" }] }));
    host.cluster(|cluster| {
        cluster.fail("get", "Notebook", Error::new(ErrorCode::Internal, "webhook failed"));
        cluster.fail("list", "PersistentVolumeClaim", Error::new(ErrorCode::Unreachable, "not ready"));
    });
    assert_eq!(host.run::<Plugin>(&["mnist", "--yes", "--no-wait"]), Ok(Exit::OK));
    assert_eq!(deleted(&host), ["TrainJob/mnist"]);
    let notes = host.terminal().notes.clone();
    assert!(notes.contains(&"warning: skipped: notebooks (webhook failed)".to_owned()), "{notes:?}");
    assert!(notes.contains(&"warning: skipped: volume claims (not ready)".to_owned()), "{notes:?}");
}

/// Its owner would recreate it, even if the owner cannot be read at the moment.
#[test]
fn object_of_unreadable_owner_is_not_removed() {
    let host = cluster();
    host.serve("apps", "v1", "StatefulSet", "statefulsets");
    host.put(made("apps/v1", "StatefulSet", "alice", Some(("Notebook", "alice"))).into_value());
    host.cluster(|cluster| {
        cluster.fail("get", "Notebook", Error::new(ErrorCode::Internal, "webhook failed"))
    });
    let error = host.run::<Plugin>(&["alice", "--yes"]).unwrap_err();
    assert_eq!(error.message, "statefulset/alice belongs to notebook/alice, which would recreate it");
    assert!(deleted(&host).is_empty());
}

#[test]
fn several_are_removed_after_one_prompt() {
    let host = cluster();
    put_training(&host, "Running", json!({}));
    host.put(made("kubeflow.org/v1", "Notebook", "desk", None).into_value());
    let error = host.run::<Plugin>(&["desk", "mnist", "trainjob/mnist"]).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("kf remove notebook/desk trainjob/mnist trainjob/mnist --yes"));
    assert_eq!(deleted(&host), [""; 0]);
    // If one is missing, none is removed.
    assert_eq!(host.run::<Plugin>(&["desk", "nope", "--yes"]).unwrap_err().code, ErrorCode::NotFound);
    assert_eq!(deleted(&host), [""; 0]);
    assert_eq!(host.run::<Plugin>(&["desk", "mnist", "trainjob/mnist", "--yes"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "notebook/desk removed\ntrainjob/mnist removed\n");
    assert_eq!(deleted(&host), ["Notebook/desk", "TrainJob/mnist"]);
}

#[test]
fn forbidden_workload_does_not_block_others() {
    let host = cluster();
    put_training(&host, "Succeeded", json!({ "conditions": [{ "type": "Complete", "status": "True" }] }));
    host.put(made("kubeflow.org/v1", "Notebook", "desk", None).into_value());
    host.cluster(|cluster| cluster.deny("delete", "kubeflow.org", "notebooks"));
    assert_eq!(host.run::<Plugin>(&["desk", "mnist", "--yes"]).unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(host.terminal().stdout, "trainjob/mnist removed\n");
}

/// Trials of an experiment that `kf tune` runs itself.
fn put_own_experiment(host: &FakeHost) {
    for number in [1, 2] {
        let mut trial = made("trainer.kubeflow.org/v1alpha1", "TrainJob", &format!("h6t-{number}"), None);
        let labels = json!({ "kf-cli.dev/experiment": "h6t", "kf-cli.dev/trial": number.to_string() });
        trial.set("/metadata/labels", labels);
        trial.set("/status", json!({ "jobsStatus": [{ "name": "node", "active": 1 }] }));
        host.put(trial.into_value());
        let mut pod = made("v1", "Pod", &format!("h6t-{number}-node-0-0-x"), Some(("Job", "j")));
        pod.set("/metadata/labels", json!({ "jobset.sigs.k8s.io/jobset-name": format!("h6t-{number}") }));
        pod.set("/status", json!({ "phase": "Running" }));
        host.put(pod.into_value());
    }
    host.put(made("trainer.kubeflow.org/v1alpha1", "TrainJob", "h6t-x", None).into_value());
}

#[test]
fn experiment_of_kf_is_removed_with_its_trials() {
    let host = cluster();
    put_own_experiment(&host);
    for words in [&["h6t"][..], &["experiment/h6t"]] {
        let error = host.run::<Plugin>(words).unwrap_err();
        let asked = "not a terminal: refusing to remove without confirmation: experiment/h6t is running (0 of 2 trials done)";
        assert_eq!(
            (error.message.as_str(), error.hint.as_deref()),
            (asked, Some("kf remove experiment/h6t --yes"))
        );
    }
    assert_eq!(host.run::<Plugin>(&["h6t", "--yes"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "experiment/h6t removed\n");
    assert_eq!(deleted(&host), ["TrainJob/h6t-1", "TrainJob/h6t-2"]);
    let options = host.cluster(|cluster| cluster.deletions().to_vec());
    assert_eq!(options[0].uid.as_deref(), Some("TrainJob-h6t-1"));
    let error = host.run::<Plugin>(&["h6t", "--yes"]).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::NotFound, "no workload `h6t` in team-a"));
    assert_eq!(host.run::<Plugin>(&["experiment/h6t"]).unwrap_err().code, ErrorCode::NotFound);
}

#[test]
fn katib_experiment_is_deleted_in_background() {
    use kf_plugin_sdk::abi::Propagation;

    let host = cluster();
    host.serve("kubeflow.org", "v1beta1", "Experiment", "experiments");
    host.serve("kubeflow.org", "v1beta1", "Trial", "trials");
    host.serve("apps", "v1", "Deployment", "deployments");
    host.put(made("kubeflow.org/v1beta1", "Experiment", "lr", None).into_value());
    host.put(made("kubeflow.org/v1beta1", "Trial", "old", None).into_value());
    let mut pod = made("v1", "Pod", "lr-x", None);
    pod.set("/metadata/labels", json!({ "katib.kubeflow.org/experiment": "lr" }));
    host.put(pod.into_value());
    // Its pods outlive it for a while.
    host.at(std::time::Duration::from_secs(5), |cluster| cluster.remove("Pod", "lr-x"));
    assert_eq!(host.run::<Plugin>(&["lr", "old", "--yes"]), Ok(Exit::OK));
    assert!(host.start().age(host.kf().now()).as_secs() >= 5, "it waits for its pods");
    let options = host.cluster(|cluster| cluster.deletions().to_vec());
    assert_eq!(options.iter().map(|it| it.propagation).collect::<Vec<_>>(), [Propagation::Background; 2]);
}

#[test]
fn suggestion_service_suggests_experiment() {
    let host = cluster();
    host.serve("kubeflow.org", "v1beta1", "Experiment", "experiments");
    host.serve("apps", "v1", "Deployment", "deployments");
    host.put(made("kubeflow.org/v1beta1", "Experiment", "lr", None).into_value());
    host.put(made("apps/v1", "Deployment", "lr-random", Some(("Suggestion", "lr"))).into_value());
    let error = host.run::<Plugin>(&["lr-random", "--yes"]).unwrap_err();
    assert_eq!(error.message, "deployment/lr-random belongs to experiment/lr, which would recreate it");
    assert_eq!(error.hint.as_deref(), Some("kf remove experiment/lr"));
}
