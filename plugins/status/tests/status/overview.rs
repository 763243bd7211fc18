//! One row per workload, and the details of one.

use kf_plugin_sdk::prelude::*;
use kf_plugin_status::Plugin;
use serde_json::{Value, json};

use crate::common::*;

#[test]
fn train_job_is_one_row_with_reason_of_its_pods() {
    let host = cluster();
    host.put(train_job("bert", json!({ "conditions": [{ "type": "Suspended", "status": "False" }] })));
    put_tree(&host, "bert", [unschedulable(), unschedulable()]);
    let why = "2 pods: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu";
    assert_eq!(table(&host, &[]), [["trainjob", "bert", "Pending", "0/2", why]]);
}

#[test]
fn train_job_is_one_row_without_permission_for_job_sets() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("list", "jobset.x-k8s.io", "jobsets"));
    host.put(train_job("mnist", json!({})));
    put_tree(&host, "mnist", [running(), running()]);
    assert_eq!(table(&host, &[]), [["trainjob", "mnist", "Running", "2/2", ""]]);
    assert_eq!(host.terminal().notes, [""; 0]);

    let mut stray = Object::from(pod("stray", running()));
    stray.set("/metadata/labels", json!({ "jobset.sigs.k8s.io/jobset-name": "other" }));
    host.put(stray.into_value());
    host.format(Format::Wide);
    assert_eq!(host.run::<Plugin>(&[]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes, ["skipped (no permission to list): job sets"]);
}

#[test]
fn job_with_succeeded_pods_is_not_pending() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    put_tree(&host, "mnist", [json!({ "phase": "Succeeded" }), json!({ "phase": "Succeeded" })]);
    assert_eq!(table(&host, &[]), [["trainjob", "mnist", "Running", "2/2", ""]]);
}

#[test]
fn false_conditions_are_ignored() {
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
fn deployment_with_crashing_pod_is_degraded() {
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
fn bare_pods_and_pods_of_unknown_owners_are_last() {
    let host = cluster();
    host.put(pod("shell", running()));
    host.put(owned(pod("agent-x1", running()), "DaemonSet", "agent"));
    host.put(deployment("web", 0));
    let names: Vec<_> = table(&host, &[]).into_iter().map(|row| format!("{}/{}", row[0], row[1])).collect();
    assert_eq!(names, ["deployment/web", "daemonset/agent", "pod/shell"]);
}

#[test]
fn forbidden_kinds_are_reported_if_wide_or_empty() {
    let with_notes = |format: Format, words: &[&str], pods: bool| {
        let host = cluster();
        host.cluster(|cluster| cluster.deny("list", "batch", "jobs"));
        if pods {
            host.put(pod("shell", running()));
            host.put(pod("other", running()));
        }
        host.format(format);
        let message = host.run::<Plugin>(words).err().map(|error| error.message);
        (host.terminal().notes.clone(), message)
    };
    assert_eq!(with_notes(Format::Table, &[], true), (Vec::new(), None));
    assert_eq!(with_notes(Format::Json, &[], true), (Vec::new(), None));
    let notes = vec!["skipped (no permission to list): jobs".to_owned()];
    assert_eq!(with_notes(Format::Wide, &[], true), (notes, None));
    // Without rows, forbidden kinds are always reported.
    let notes = vec!["no workloads in team-a; skipped (no permission to list): jobs".to_owned()];
    assert_eq!(with_notes(Format::Table, &[], false), (notes, None));
    let missing = Some("no workload `prepare` in team-a; skipped (no permission to list): jobs".to_owned());
    assert_eq!(with_notes(Format::Table, &["prepare"], true), (Vec::new(), missing));
}

#[test]
fn several_names_are_one_row_each() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    put_tree(&host, "mnist", [running(), running()]);
    host.put(deployment("web", 0));
    let names = |rows: Vec<[String; 5]>| rows.into_iter().map(|row| row[1].clone()).collect::<Vec<_>>();
    assert_eq!(names(table(&host, &["web", "mnist", "trainjob/mnist"])), ["web", "mnist"]);
    // A missing one does not hide the others.
    let error = host.run::<Plugin>(&["mnist", "nope", "web"]).unwrap_err();
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::NotFound, "no workload `nope` in team-a"));
    assert_eq!(host.terminal().column(1), ["mnist", "web"]);
}

/// A trial of an experiment that `kf tune` runs itself.
fn trial(number: u32, status: Value, loss: Option<f64>) -> Value {
    let mut job = Object::from(train_job(&format!("lr-{number}"), status));
    let labels = json!({ "kf-cli.dev/experiment": "lr", "kf-cli.dev/trial": number.to_string() });
    job.set("/metadata/labels", labels);
    let definition =
        json!({ "format": 1, "metric": "loss", "direction": "minimize", "take": "min", "trials": 3 });
    let seen = loss.map(|loss| json!({ "loss": { "latest": loss, "min": loss, "max": 9.0 } }).to_string());
    let mut annotations = json!({
        "kf-cli.dev/tune-definition": definition.to_string(),
        "kf-cli.dev/tune-parameters": json!([["lr", format!("0.{number}")]]).to_string(),
    });
    if let (Some(seen), Some(annotations)) = (seen, annotations.as_object_mut()) {
        annotations.insert("kf-cli.dev/tune-observation".to_owned(), seen.into());
    }
    job.set("/metadata/annotations", annotations);
    job.into_value()
}

fn complete() -> Value {
    json!({ "conditions": [{ "type": "Complete", "status": "True" }] })
}

#[test]
fn own_experiment_is_one_row_with_its_trials() {
    let host = cluster();
    host.put(trial(1, complete(), Some(0.5)));
    host.put(trial(2, complete(), Some(0.25)));
    host.put(trial(3, json!({ "jobsStatus": [{ "name": "node", "active": 1 }] }), None));
    put_tree(&host, "lr-3", [running(), running()]);
    let why = "2 of 3 trials done, 1 running; best loss=0.25 (lr=0.2)";
    assert_eq!(table(&host, &[]), [["experiment", "lr", "Running", "2/3", why]]);
    assert_eq!(table(&host, &["lr"])[0][0], "lr-3-node-0-0", "its pods are included");
    let trial_3 = host.run::<Plugin>(&["trainjob/lr-3", "lr"]);
    assert_eq!(trial_3, Ok(Exit::OK));
    assert_eq!(host.terminal().column(1), ["lr-3", "lr"]);
    // No process creates the next trial.
    host.cluster(|cluster| cluster.remove(TRAIN_JOB, "lr-3"));
    let [row] = &table(&host, &["experiment/lr", "lr"])[..] else { panic!("one row") };
    assert_eq!(row[2], "Stopped");
    assert!(row[4].ends_with("run the same `kf tune` again to resume"), "{}", row[4]);
}

#[test]
fn suggestion_service_is_part_of_experiment() {
    let host = cluster();
    host.serve("kubeflow.org", "v1beta1", "Experiment", "experiments");
    host.put(json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Experiment", "metadata": { "name": "lr" },
        "spec": { "maxTrialCount": 4 }, "status": { "conditions": [{ "type": "Created", "status": "True" }] },
    }));
    host.put(owned(deployment("lr-random", 1), "Suggestion", "lr"));
    let row = |why: &str| [["experiment", "lr", "Pending", "0/4", why].map(str::to_owned)];
    assert_eq!(table(&host, &[]), row("waiting for suggestion service: no pod"));
    let service = |status: Value| {
        let mut pod = Object::from(owned(pod("lr-random-5d9-x", status), "ReplicaSet", "lr-random-5d9"));
        let labels = json!({
            "katib.kubeflow.org/experiment": "lr", "katib.kubeflow.org/suggestion": "lr", "pod-template-hash": "5d9",
        });
        pod.set("/metadata/labels", labels);
        pod.into_value()
    };
    host.put(service(unschedulable()));
    let why = "waiting for suggestion service: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu";
    assert_eq!(table(&host, &[]), row(why));
    host.put(service(json!({ "phase": "Pending", "containerStatuses": [{
        "name": "suggestion", "image": "suggest:1", "state": { "waiting": { "reason": "InvalidImageName" } },
    }] })));
    let why = "waiting for suggestion service: cannot pull image suggest:1: invalid image name";
    assert_eq!(table(&host, &[]), row(why));
    host.put(service(running()));
    assert_eq!(table(&host, &[]), row("0 of 4 trials done"));
}

#[test]
fn unreachable_cluster_is_an_error() {
    let host = cluster();
    let down = Error::new(ErrorCode::Unreachable, "the API server does not answer");
    host.cluster(|cluster| cluster.fail("list", "Pod", down.clone()));
    assert_eq!(host.run::<Plugin>(&[]), Err(down));
}

#[test]
fn named_workload_shows_pods_and_warnings() {
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
fn json_output_is_one_object() {
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
fn unknown_name_is_not_found() {
    let error = cluster().run::<Plugin>(&["mnist"]).unwrap_err();
    assert_eq!(error, Error::not_found("no workload `mnist` in team-a").hint("kf status"));
}

#[test]
fn ambiguous_name_is_refused() {
    let host = cluster();
    host.put(deployment("web", 1));
    host.put(pod("web", running()));
    let error = host.run::<Plugin>(&["web"]).unwrap_err();
    assert_eq!(error.message, "`web` is ambiguous: deployment/web or pod/web");
    assert_eq!(table(&host, &["pod/web"])[0][2], "Running");
}

#[test]
fn empty_namespace_is_noted() {
    let host = cluster();
    assert!(table(&host, &[]).is_empty());
    assert_eq!(host.terminal().notes, ["no workloads in team-a"]);
}

#[test]
fn broken_kinds_are_skipped_with_one_warning() {
    let host = cluster();
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.serve("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices");
    host.put(train_job("mnist", json!({})));
    let broken = |code, message: &str| Error::new(code, message);
    host.cluster(|cluster| {
        cluster.fail("list", "Notebook", broken(ErrorCode::Internal, "conversion webhook failed"));
        cluster.fail(
            "list",
            "InferenceService",
            broken(ErrorCode::Unreachable, "the API server is not ready"),
        );
        cluster.fail("list", "Event", broken(ErrorCode::TimedOut, "the API server is too busy"));
    });
    for words in [&[][..], &["mnist"], &["--watch"]] {
        assert_eq!(host.run::<Plugin>(words), Ok(Exit::OK));
        assert!(host.terminal().stdout.contains("mnist"), "{}", host.terminal().stdout);
        let left_out = "warning: skipped: events (the API server is too busy); notebooks (conversion webhook failed); \
                        inference services (the API server is not ready)";
        assert_eq!(host.terminal().notes.last().unwrap(), left_out, "{words:?}");
    }
    // A name that is not found may be of a broken kind.
    assert_eq!(host.run::<Plugin>(&["iris"]).unwrap_err().code, ErrorCode::TimedOut);
    // Pods are required.
    host.cluster(|cluster| cluster.fail("list", "Pod", broken(ErrorCode::Unreachable, "away")));
    assert_eq!(host.run::<Plugin>(&[]), Err(broken(ErrorCode::Unreachable, "away")));
}

#[test]
fn all_namespaces_count_pods_by_namespace() {
    let host = cluster();
    for namespace in ["team-b", "team-a"] {
        let mut job = Object::from(train_job("mnist", json!({})));
        job.set("/metadata/namespace", namespace);
        host.put(job.into_value());
        let state = if namespace == "team-a" { running() } else { unschedulable() };
        let mut pod = Object::from(owned(pod("mnist-0", state), "JobSet", "mnist"));
        pod.set("/metadata/namespace", namespace);
        pod.set("/metadata/labels", json!({ "jobset.sigs.k8s.io/jobset-name": "mnist" }));
        host.put(pod.into_value());
    }
    let why = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu";
    let rows = || {
        assert_eq!(host.run::<Plugin>(&["--all-namespaces"]), Ok(Exit::OK));
        let texts = |row: &kf_plugin_sdk::ui::Row| {
            [0, 2, 3, 4, 6].map(|at| row.cells.get(at).map_or(String::new(), |cell| cell.text.clone()))
        };
        host.terminal().rows.iter().map(texts).collect::<Vec<_>>()
    };
    assert_eq!(
        rows(),
        [["team-a", "mnist", "Running", "1/2", ""], ["team-b", "mnist", "Pending", "0/2", why]]
    );
    // A forbidden kind is skipped; pods are required.
    host.cluster(|cluster| cluster.deny("list", "batch", "jobs"));
    assert_eq!(rows().len(), 2);
    assert_eq!(host.terminal().notes, [""; 0]);
    host.format(Format::Wide);
    assert_eq!(rows().len(), 2);
    assert_eq!(host.terminal().notes, ["skipped (no permission to list): jobs"]);
    host.cluster(|cluster| cluster.deny("list", "", "pods"));
    assert_eq!(host.run::<Plugin>(&["-A"]).unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn all_namespaces_with_name_is_refused() {
    for words in [&["-A", "mnist"][..], &["-A", "--watch", "mnist"]] {
        assert_eq!(cluster().run::<Plugin>(words).unwrap_err().code, ErrorCode::Invalid);
    }
}

#[test]
fn wide_shows_nodes() {
    let host = cluster();
    for (name, node) in [("a", "node-2"), ("b", "node-1"), ("c", "node-2")] {
        let mut pod = Object::from(owned(pod(name, running()), "ReplicaSet", "web-5d4f"));
        pod.set("/metadata/labels", json!({ "pod-template-hash": "5d4f" }));
        pod.set("/spec/nodeName", node);
        host.put(pod.into_value());
    }
    host.format(Format::Wide);
    assert_eq!(host.run::<Plugin>(&[]), Ok(Exit::OK));
    assert!(host.terminal().stdout.contains("node-1,node-2"), "{}", host.terminal().stdout);
}
