//! Commands that read several kinds, in a cluster that fails for one of them.

use serde_json::{Value, json};

use crate::common::faulty::{FaultyServer, PODS, Response, healthy, list, pod, served};
use crate::common::requests::Request;
use crate::common::{Home, Ran};
use crate::kf_snapshot;

/// A kind that the cluster serves: group, version, kind and plural.
type Served = (&'static str, &'static str, &'static str, &'static str);

const SERVICES: Served = ("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices");
const BOARDS: Served = ("tensorboard.kubeflow.org", "v1alpha1", "Tensorboard", "tensorboards");
const JOB_SETS: Served = ("jobset.x-k8s.io", "v1alpha2", "JobSet", "jobsets");
const NOTEBOOKS: &str = "notebooks";
const WORKSPACES: &str = "workspaces";

const FAILED: &str = "conversion webhook failed: connection refused";

/// Fails every request for these kinds, given by their plurals.
fn broken(request: &Request, plurals: &[&str]) -> Option<Response> {
    let is_of = |plural: &&str| request.path.split('/').any(|part| part == *plural);
    plurals.iter().any(is_of).then(|| Response::status(500, "InternalError", FAILED))
}

/// A server where these kinds are broken, and a home with commands.
fn with_broken(
    plurals: &'static [&'static str],
    commands: &[&str],
    rest: impl Fn(&Request) -> Response + Send + Sync + 'static,
) -> (FaultyServer, Home) {
    let faulty =
        FaultyServer::serve(move |request| broken(request, plurals).unwrap_or_else(|| rest(request)));
    let home = Home::with_commands(commands);
    (faulty, home)
}

fn run(faulty: &FaultyServer, home: &Home, words: &[&str]) -> Ran {
    let kubeconfig = faulty.kubeconfig(home);
    home.run(words.iter().chain(&["--kubeconfig", &kubeconfig]))
}

/// Asserts that exactly one line reports the skipped kind.
#[track_caller]
fn assert_skipped(ran: &Ran, what: &str) {
    let line = format!("skipped: {what} (the API server answered 500: {FAILED})");
    let count = ran.stderr.lines().filter(|stderr| stderr.ends_with(&line)).count();
    assert_eq!(count, 1, "{line}: {}", ran.transcript());
}

fn of(request: &Request, (group, version, kind, plural): Served) -> Option<Response> {
    served(request, group, version, kind, plural)
}

#[test]
fn namespace_is_deleted_despite_broken_kind() {
    let (faulty, home) = with_broken(&["inferenceservices"], &["delete"], |request| {
        let namespace = json!({ "metadata": { "name": "team-a", "uid": "1", "resourceVersion": "1" } });
        match request.path.as_str() {
            "/api/v1/namespaces/team-a" => Response::Json(200, namespace),
            _ => of(request, SERVICES).unwrap_or_else(|| healthy(request)),
        }
    });
    let ran = run(&faulty, &home, &["delete", "team-a", "--confirm", "team-a", "--no-wait"]);
    kf_snapshot!(ran, @"
    exit: 0
    ----- stdout -----
    namespace/team-a is being deleted
    ----- stderr -----
    delete: deleted with team-a:
    delete:   1 pod, 1 running
    delete:   skipped: inference services (the API server answered 500: conversion webhook failed: connection refused)
    ");
    let deleted = |request: &&String| request.starts_with("DELETE /api/v1/namespaces/team-a");
    assert!(faulty.requests().iter().any(|request| deleted(&request) && !request.contains("dryRun")));
    // The name of a workload is still recognized.
    let ran = run(&faulty, &home, &["delete", "web"]).code(5);
    assert!(ran.stderr.ends_with(" remove web\n"), "{}", ran.transcript());
}

#[test]
fn workload_is_removed_despite_broken_kind() {
    let (faulty, home) =
        with_broken(&["inferenceservices", "persistentvolumeclaims"], &["remove"], |request| {
            of(request, SERVICES).unwrap_or_else(|| healthy(request))
        });
    let ran = run(&faulty, &home, &["remove", "web", "--yes", "--no-wait"]).success();
    assert_eq!(ran.stdout, "pod/web is being removed\n", "{}", ran.transcript());
    assert_skipped(&ran, "inference services");
    assert_skipped(&ran, "volume claims");
    assert!(faulty.requests().iter().any(|request| request == &format!("DELETE {PODS}/web")));
    // An object that is not found may be of the broken kind.
    let ran = run(&faulty, &home, &["remove", "iris", "--yes"]).code(1);
    assert!(ran.stderr.contains(FAILED), "{}", ran.transcript());
    // An object whose owner cannot be read is not removed.
    let (faulty, home) = with_broken(&["jobsets"], &["remove"], |request| match request.path.as_str() {
        path if path == format!("{PODS}/web") => {
            let mut pod = pod("web");
            pod["metadata"]["ownerReferences"] = json!([{ "apiVersion": "jobset.x-k8s.io/v1alpha2", "kind": "JobSet", "name": "mnist", "controller": true }]);
            Response::Json(200, pod)
        }
        _ => of(request, JOB_SETS).unwrap_or_else(|| healthy(request)),
    });
    let ran = run(&faulty, &home, &["remove", "web", "--yes"]).code(2);
    assert!(ran.stderr.contains("pod/web belongs to jobset/mnist"), "{}", ran.transcript());
}

/// Notebooks and workspaces, one of each; both are stopped.
fn servers(request: &Request) -> Response {
    const GROUP: &str = "/apis/kubeflow.org";
    let metadata = |name: &str| {
        json!({
            "name": name, "namespace": "team-a", "uid": name, "resourceVersion": "1",
            "annotations": { "kubeflow-resource-stopped": "2026-01-01T12:00:00Z" },
        })
    };
    let server = |kind: &str, name: &str| json!({ "apiVersion": "kubeflow.org/v1beta1", "kind": kind, "metadata": metadata(name), "spec": { "paused": true } });
    let resource = |kind: &str, plural: &str| {
        json!({ "name": plural, "singularName": kind.to_lowercase(), "kind": kind, "namespaced": true,
                "verbs": ["get", "list", "watch", "patch"] })
    };
    let Some(below) = request.path.strip_prefix(GROUP) else { return healthy(request) };
    let plural = request.path.split('/').find(|part| [NOTEBOOKS, WORKSPACES].contains(part));
    let (kind, name) = if plural == Some(NOTEBOOKS) { ("Notebook", "nb") } else { ("Workspace", "ws") };
    match (below, plural) {
        ("", _) => Response::Json(200, json!({ "versions": [{ "version": "v1beta1" }] })),
        ("/v1beta1", _) => {
            let kinds = json!([resource("Notebook", NOTEBOOKS), resource("Workspace", WORKSPACES)]);
            Response::Json(200, json!({ "resources": kinds }))
        }
        (path, Some(plural)) if path.ends_with(plural) => list(&[server(kind, name)], ""),
        (path, Some(_)) if path.ends_with(name) => Response::Json(200, server(kind, name)),
        _ => Response::missing(),
    }
}

fn everywhere(request: &Request) -> Response {
    match request.path.as_str() {
        "/api/v1/pods" | "/api/v1/events" | "/apis/apps/v1/statefulsets" => list(&[], ""),
        _ => servers(request),
    }
}

#[test]
fn notebook_list_works_with_one_broken_kind() {
    for (plurals, left, what) in [
        (&[NOTEBOOKS][..], "workspace/ws\n", "notebooks"),
        (&[WORKSPACES], "notebook/nb\n", "workspaces"),
        (&["statefulsets"], "notebook/nb\nworkspace/ws\n", "stateful sets"),
        (&["events"], "notebook/nb\nworkspace/ws\n", "events"),
    ] {
        let (faulty, home) = with_broken(plurals, &["notebook"], everywhere);
        for words in [&["notebook", "ls", "-o", "name"][..], &["notebook", "ls", "-A", "-o", "name"]] {
            let ran = run(&faulty, &home, words).success();
            assert_eq!(ran.stdout, left, "{words:?}: {}", ran.transcript());
            assert_skipped(&ran, what);
        }
    }
    let (faulty, home) = with_broken(&[NOTEBOOKS, WORKSPACES], &["notebook"], everywhere);
    for words in [&["notebook", "ls"][..], &["notebook", "ls", "-A"]] {
        let ran = run(&faulty, &home, words).code(1);
        assert!(ran.stderr.contains(FAILED), "{}", ran.transcript());
    }
}

#[test]
fn jupyter_finds_server_with_one_broken_kind() {
    for (plurals, name, server, what) in [
        (&[NOTEBOOKS], "ws", "workspace/ws", "notebooks"),
        (&[WORKSPACES], "nb", "notebook/nb", "workspaces"),
    ] {
        let (faulty, home) = with_broken(plurals, &["jupyter"], servers);
        for words in [&["jupyter", "--dry-run"][..], &["jupyter", name, "--dry-run"]] {
            let ran = run(&faulty, &home, words).success();
            assert!(ran.stderr.contains(&format!("starting {server}")), "{}", ran.transcript());
            assert_skipped(&ran, what);
        }
    }
}

/// One runtime of each kind.
fn runtimes(request: &Request) -> Response {
    const GROUP: &str = "/apis/trainer.kubeflow.org";
    let resource = |kind: &str, plural: &str, namespaced: bool| json!({ "name": plural, "singularName": "", "kind": kind, "namespaced": namespaced, "verbs": ["get", "list"] });
    let runtime = |name: &str| list(&[json!({ "metadata": { "name": name, "resourceVersion": "1" } })], "");
    match request.path.strip_prefix(GROUP) {
        Some("") => Response::Json(200, json!({ "versions": [{ "version": "v1alpha1" }] })),
        Some("/v1alpha1") => {
            let kinds = [
                resource("TrainingRuntime", "trainingruntimes", true),
                resource("ClusterTrainingRuntime", "clustertrainingruntimes", false),
            ];
            Response::Json(200, json!({ "resources": kinds }))
        }
        Some("/v1alpha1/clustertrainingruntimes") => runtime("torch"),
        Some("/v1alpha1/namespaces/team-a/trainingruntimes") => runtime("ours"),
        _ => healthy(request),
    }
}

#[test]
fn runtime_list_works_with_one_broken_kind() {
    for (plurals, left, what) in [
        (&["trainingruntimes"], "clustertrainingruntime/torch\n", "trainingruntimes"),
        (&["clustertrainingruntimes"], "trainingruntime/ours\n", "clustertrainingruntimes"),
    ] {
        let (faulty, home) = with_broken(plurals, &["train"], runtimes);
        let ran = run(&faulty, &home, &["train", "--list-runtimes", "-o", "name"]).success();
        assert_eq!(ran.stdout, left, "{}", ran.transcript());
        assert_skipped(&ran, what);
    }
}

/// A TensorBoard resource, a Job that runs TensorBoard, and the volume claim of the logs.
fn boards(request: &Request) -> Response {
    let metadata = |name: &str| {
        json!({
            "name": name, "namespace": "team-a", "uid": name, "resourceVersion": "1",
            "annotations": { "kf-cli.dev/logs": "pvc://data/own" },
        })
    };
    let object = |kind: &str, name: &str, spec: Value| json!({ "kind": kind, "metadata": metadata(name), "spec": spec });
    let claim = "/api/v1/namespaces/team-a/persistentvolumeclaims/data";
    let (group, version, _, plural) = BOARDS;
    match request.path.as_str() {
        path if path == claim => Response::Json(200, object("PersistentVolumeClaim", "data", json!({}))),
        "/apis/batch/v1/namespaces/team-a/jobs" if request.method == "GET" => {
            let mut job = object("Job", "own", json!({}));
            job["metadata"]["labels"] =
                json!({ "app.kubernetes.io/name": "tensorboard", "app.kubernetes.io/managed-by": "kf" });
            list(&[job], "")
        }
        path if path == format!("/apis/{group}/{version}/namespaces/team-a/{plural}") => {
            list(&[object("Tensorboard", "theirs", json!({ "logspath": "pvc://data/theirs" }))], "")
        }
        path if path.starts_with("/apis/batch/v1/namespaces/team-a/jobs") && request.method != "GET" => {
            Response::Json(201, object("Job", "own", json!({})))
        }
        _ => of(request, BOARDS).unwrap_or_else(|| healthy(request)),
    }
}

#[test]
fn tensorboard_list_works_with_one_broken_kind() {
    for (plurals, left, what) in [
        (&["tensorboards"], "job/own\n", "tensorboards"),
        (&["jobs"], "tensorboard/theirs\n", "jobs"),
        (&["events"], "job/own\ntensorboard/theirs\n", "events"),
    ] {
        let (faulty, home) = with_broken(plurals, &["tensorboard"], boards);
        let ran = run(&faulty, &home, &["tensorboard", "--list", "-o", "name"]).success();
        assert_eq!(ran.stdout, left, "{}", ran.transcript());
        assert_skipped(&ran, what);
    }
    let (faulty, home) = with_broken(&["tensorboards", "jobs"], &["tensorboard"], boards);
    let ran = run(&faulty, &home, &["tensorboard", "--list"]).code(1);
    assert!(ran.stderr.contains(FAILED), "{}", ran.transcript());
}

/// TensorBoard resources are preferred; a Job is the fallback.
#[test]
fn tensorboard_falls_back_to_job_with_broken_kind() {
    let (faulty, home) = with_broken(&["tensorboards"], &["tensorboard"], boards);
    let ran = run(&faulty, &home, &["tensorboard", "--logs", "pvc://data/runs", "--dry-run", "-o", "name"]);
    let ran = ran.success();
    assert!(ran.stdout.starts_with("job/tensorboard-data-"), "{}", ran.transcript());
    assert_skipped(&ran, "tensorboards");
}
