//! `kf notebook` with both kinds of servers, and the pitfalls of each.
#![expect(clippy::indexing_slicing, reason = "helpers of tests, too")]

use std::time::Duration;

use kf_plugin_notebook::Plugin;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::{Value, json};

const GROUP: &str = "kubeflow.org";
const NOTEBOOK: &str = "kubeflow.org/Notebook";
const WORKSPACE: &str = "kubeflow.org/Workspace";
const START: &str = "2026-01-01T12:00:00Z";

/// A cluster that serves both kinds.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve(GROUP, "v1", "Notebook", "notebooks");
    host.serve(GROUP, "v1beta1", "Workspace", "workspaces");
    host.serve_cluster(GROUP, "v1beta1", "WorkspaceKind", "workspacekinds");
    host.serve("apps", "v1", "StatefulSet", "statefulsets");
    host.serve("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    host.on_http(|_| Ok(answer(200, "[]")));
    host
}

fn answer(status: u16, body: &str) -> kf_plugin_sdk::HttpResponse {
    kf_plugin_sdk::HttpResponse { status, headers: Vec::new(), body: body.into() }
}

fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

fn notebook(name: &str, annotations: Value) -> Value {
    json!({
        "apiVersion": "kubeflow.org/v1", "kind": "Notebook",
        "metadata": { "name": name, "uid": format!("nb-{name}"), "annotations": annotations, "creationTimestamp": START },
        "spec": { "template": { "spec": {
            "containers": [{ "name": name, "image": "jupyter:1", "resources": { "limits": { "cpu": "2", "nvidia.com/gpu": 1 } } }],
            "volumes": [{ "name": "home", "persistentVolumeClaim": { "claimName": "files" } }],
        } } },
        // The same status before a start, while stopped, and when no pod can be created.
        "status": { "conditions": [], "containerState": {}, "readyReplicas": 0 },
    })
}

/// The stateful set of an owner, with its current revision.
fn set(name: &str, owner: &str, revision: &str) -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "StatefulSet",
        "metadata": {
            "name": name, "uid": format!("set-of-{owner}"), "ownerReferences": [{ "uid": owner }],
            "labels": { "notebooks.kubeflow.org/workspace-name": "w" }, "generation": 1,
        },
        "status": { "updateRevision": revision, "observedGeneration": 1 },
    })
}

/// The pod of a stateful set.
fn pod(name: &str, label: (&str, &str), owner: &str, revision: &str, status: Value) -> Value {
    let (key, value) = label;
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "uid": format!("pod-{name}-{revision}"), "creationTimestamp": START,
            "labels": { key: value, "controller-revision-hash": revision },
            "ownerReferences": [{ "uid": format!("set-of-{owner}") }],
        },
        "spec": { "containers": [{
            "name": if key == "notebook-name" { value } else { "main" },
            "ports": [{ "containerPort": 8888 }],
            "readinessProbe": { "tcpSocket": { "port": 8888 } },
            "env": [{ "name": "NB_PREFIX", "value": "/notebook/team-a/alice" }],
        }] },
        "status": status,
    })
}

fn alices_pod(revision: &str, status: Value) -> Value {
    pod("alice-0", ("notebook-name", "alice"), "nb-alice", revision, status)
}

fn ready() -> Value {
    json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{ "name": "alice", "restartCount": 0, "state": { "running": {} } }] })
}

fn waiting(reason: &str, message: &str) -> Value {
    json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "True" }],
            "containerStatuses": [{ "name": "alice", "image": "jupyter:1", "restartCount": 0,
                "state": { "waiting": { "reason": reason, "message": message } } }] })
}

/// A running notebook `alice`.
fn with_alice() -> FakeHost {
    let host = cluster();
    host.put(claim("files"));
    host.put(notebook("alice", json!({})));
    host.put(set("alice", "nb-alice", "1"));
    host.put(alices_pod("1", ready()));
    host
}

fn claim(name: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": name } })
}

fn workspace(spec: Value, status: Value) -> Value {
    let mut object = json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "Workspace",
        "metadata": { "name": "w", "uid": "ws-w", "creationTimestamp": START },
        "spec": { "kind": "jupyterlab", "paused": false, "podTemplate": {
            "volumes": { "home": "files" }, "options": { "imageConfig": "jl4", "podConfig": "tiny" } } },
        "status": status,
    });
    if let (Some(fields), Some(more)) = (object["spec"].as_object_mut(), spec.as_object()) {
        fields.extend(more.clone());
    }
    object
}

fn ws_pod(revision: &str, status: Value) -> Value {
    let mut pod =
        pod("ws-w-s2s5l-0", ("notebooks.kubeflow.org/workspace-name", "w"), "ws-w", revision, status);
    pod["spec"]["containers"][0]["env"] =
        json!([{ "name": "NB_PREFIX", "value": "/workspace/connect/team-a/w/lab/" }]);
    pod
}

fn ws_kind() -> Value {
    let image = |id: &str, to: Option<&str>| {
        let mut image = json!({ "id": id, "spec": { "image": format!("jupyter:{id}"), "ports": [{ "id": "lab", "port": 8888 }] } });
        if let Some(to) = to {
            image["redirect"] = json!({ "to": to });
        }
        image
    };
    json!({
        "apiVersion": "kubeflow.org/v1beta1", "kind": "WorkspaceKind", "metadata": { "name": "jupyterlab" },
        "spec": { "spawner": {}, "podTemplate": { "ports": [{ "id": "lab" }], "options": {
            "imageConfig": { "spawner": { "default": "jl5" }, "values": [image("jl4", Some("jl5")), image("jl5", None)] },
            "podConfig": { "spawner": { "default": "tiny" }, "values": [{ "id": "tiny" }, { "id": "small" }] },
        } } },
    })
}

fn warning(kind: &str, name: &str, uid: &str, message: &str) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Event", "metadata": { "name": format!("{name}.1") },
        "type": "Warning", "reason": "FailedCreate", "message": message, "lastTimestamp": START,
        "involvedObject": { "kind": kind, "name": name, "uid": uid },
    })
}

/// The state and the reason of the only server.
#[expect(clippy::unwrap_used, reason = "a table without rows fails the test")]
fn listed(host: &FakeHost) -> (String, String) {
    host.format(Format::Json);
    assert_eq!(host.run::<Plugin>(&["ls"]), Ok(Exit::OK));
    let rows = host.terminal().rows.clone();
    assert_eq!(rows.len(), 1, "{rows:?}");
    let text = |field: &str| rows[0].object[field].as_str().unwrap_or_default().to_owned();
    assert!(!text("state").is_empty());
    (rows[0].object["state"].as_str().unwrap().to_owned(), text("why"))
}

fn shown(state: &str, why: &str) -> (String, String) {
    (state.to_owned(), why.to_owned())
}

/// The merge patches, without dry runs.
fn patches(host: &FakeHost) -> Vec<Value> {
    host.cluster(|cluster| {
        let writes = cluster.writes().iter().filter(|write| write.verb == "patch" && !write.dry_run);
        writes.map(|write| write.body.clone()).collect()
    })
}

// ---- ls, and pitfall 1: the annotation is the desired state, the pod the actual one ----

#[test]
fn running_server_shows_resources() {
    let host = with_alice();
    host.put(notebook("alice", json!({ "notebooks.kubeflow.org/last-activity": "2026-01-01T11:50:00Z" })));
    host.cluster(|cluster| {
        cluster.change("Pod", "alice-0", |pod| {
            let mut containers = pod.list("/spec/containers").to_vec();
            containers[0]["image"] = json!("jupyter:1");
            containers[0]["resources"] = json!({ "limits": { "cpu": "2", "nvidia.com/gpu": "1" } });
            pod.set("/spec/containers", containers);
        });
    });
    assert_eq!(host.run::<Plugin>(&["ls"]), Ok(Exit::OK));
    assert_eq!(
        host.terminal().stdout,
        "NAME  KIND  STATE  IMAGE  CPU  GPU  PVC  LAST-ACTIVITY  WHY\n\
         alice  notebook  Running  jupyter:1  2  1  files  10m ago\n"
    );
}

#[test]
fn both_kinds_are_in_one_table() {
    let host = with_alice();
    host.put(workspace(
        json!({}),
        json!({ "state": "Running", "activity": { "lastActivity": 1_767_268_680_000_u64 } }),
    ));
    host.put(set("ws-w-s2s5l", "ws-w", "1"));
    host.put(ws_pod("1", ready()));
    assert_eq!(host.run::<Plugin>(&["ls"]), Ok(Exit::OK));
    assert_eq!(host.terminal().column(0), ["alice", "w"]);
    assert_eq!(host.terminal().column(1), ["notebook", "workspace"]);
    assert_eq!(host.terminal().rows[1].object["image"], "jl4");
    assert_eq!(host.terminal().rows[1].object["last_activity"], "2026-01-01T11:58:00Z");
}

#[test]
fn server_is_stopping_until_pod_is_deleted() {
    let host = with_alice();
    host.cluster(|cluster| {
        cluster.change(NOTEBOOK, "alice", |alice| {
            alice.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": "" }));
            alice.set("/status", json!({ "readyReplicas": 1, "containerState": { "running": {} } }));
        });
    });
    assert_eq!(listed(&host), shown("Stopping", "waiting for pod alice-0 to terminate"));
    host.cluster(|cluster| cluster.remove("Pod", "alice-0"));
    assert_eq!(listed(&host).0, "Stopped");
}

#[test]
fn stopped_notebook_shows_whether_kf_stopped_it() {
    let host = cluster();
    let stopped = "2026-01-01T09:00:00Z";
    host.put(notebook(
        "alice",
        json!({ "kubeflow-resource-stopped": stopped, "kf-cli.dev/stopped": stopped }),
    ));
    assert_eq!(listed(&host), shown("Stopped", "stopped 3h ago by kf notebook stop"));
    // Started and culled since: kf's annotation is outdated.
    host.put(notebook(
        "alice",
        json!({ "kubeflow-resource-stopped": stopped, "kf-cli.dev/stopped": "2026-01-01T08:00:00Z" }),
    ));
    assert_eq!(
        listed(&host),
        shown("Stopped", "stopped 3h ago not by kf: it was idle, or another user stopped it")
    );
}

// ---- pitfall 2: the status is empty, only events give the reason ----

#[test]
fn refused_pod_is_reported_from_stateful_set_events() {
    let host = cluster();
    host.put(notebook("alice", json!({})));
    host.put(set("alice", "nb-alice", "1"));
    assert_eq!(listed(&host), shown("Pending", "no pod yet"));
    let quota = "Create Pod alice-0 in StatefulSet alice failed error: pods \"alice-0\" is forbidden: exceeded quota: q";
    host.put(warning("StatefulSet", "alice", "set-of-nb-alice", quota));
    // As in `kf status`: the controller retries.
    assert_eq!(listed(&host), shown("Pending", "exceeded quota: q"));
}

#[test]
fn refused_pod_is_reported_from_copied_events_without_stateful_sets() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("*", "apps", "statefulsets"));
    host.put(notebook("alice", json!({})));
    let copy = "Reissued from statefulset/alice: Create Pod alice-0 in StatefulSet alice failed error: quota";
    host.put(warning("Notebook", "alice", "nb-alice", copy));
    assert_eq!(listed(&host), shown("Pending", "quota"));
}

// ---- pitfall 3: names for which no pod is created ----

#[test]
fn create_with_unusable_name_is_refused() {
    let host = cluster();
    for name in ["al.ice", &"a".repeat(53)] {
        let error = host.run::<Plugin>(&["create", name, "--image", "jupyter:1"]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid);
        assert!(error.message.contains("invalid notebook name"), "{}", error.message);
    }
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
    // Created by another tool.
    host.put(notebook("al.ice", json!({})));
    let (state, why) = listed(&host);
    assert_eq!(state, "Failed");
    assert!(why.ends_with("`.` is not allowed, only a-z, 0-9 and -"), "{why}");
}

#[test]
fn idle_controller_is_reported_after_timeout() {
    let host = cluster();
    let mut idle = notebook("alice", json!({}));
    idle["metadata"]["creationTimestamp"] = json!("2026-01-01T11:00:00Z");
    host.put(idle);
    assert_eq!(listed(&host), shown("Pending", "the notebook controller has created nothing for it"));
}

// ---- pitfall 4: Error can be temporary, and so can Running ----

#[test]
fn start_waits_through_temporary_error() {
    let host = cluster();
    let unready = "Workspace Pod has warning event: Readiness probe failed";
    host.put(workspace(json!({ "paused": true }), json!({ "state": "Paused" })));
    host.put(set("ws-w-s2s5l", "ws-w", "1"));
    host.at(seconds(1), |cluster| {
        cluster.put(ws_pod("1", json!({ "phase": "Running", "containerStatuses": [{ "name": "main", "state": { "running": {} } }] })));
        cluster.change(WORKSPACE, "w", |w| w.set("/status", json!({ "state": "Error", "stateMessage": "x" })));
    });
    host.at(seconds(2), move |cluster| {
        cluster.change(WORKSPACE, "w", |w| {
            w.set("/status", json!({ "state": "Error", "stateMessage": unready }))
        });
    });
    host.at(seconds(4), |cluster| cluster.change("Pod", "ws-w-s2s5l-0", |pod| pod.set("/status", ready())));
    assert_eq!(host.run::<Plugin>(&["start", "w", "--wait"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "workspace/w running\n");
    assert_eq!(patches(&host), [json!({ "spec": { "paused": false } })]);
}

#[test]
fn crash_loop_is_not_running() {
    let host = with_alice();
    let crash = |restarts: i64| {
        json!({ "phase": "Running", "containerStatuses": [{ "name": "alice", "restartCount": restarts,
            "state": { "waiting": { "reason": "CrashLoopBackOff" } },
            "lastState": { "terminated": { "exitCode": 1 } } }] })
    };
    let flicker = |restarts: i64| {
        json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }],
            "containerStatuses": [{ "name": "alice", "restartCount": restarts, "state": { "running": {} } }] })
    };
    host.cluster(|cluster| {
        cluster.change(NOTEBOOK, "alice", |alice| {
            alice.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": "" }))
        });
        cluster.change("Pod", "alice-0", |pod| {
            let mut containers = pod.list("/spec/containers").to_vec();
            containers[0].as_object_mut().map(|container| container.remove("readinessProbe"));
            pod.set("/spec/containers", containers);
            pod.set("/status", flicker(0));
        });
    });
    for round in 0..10 {
        let at = seconds(1 + 5 * round);
        let count = i64::try_from(round).unwrap_or(0);
        host.at(at, move |cluster| cluster.change("Pod", "alice-0", |pod| pod.set("/status", crash(count))));
        host.at(at + seconds(4), move |cluster| {
            cluster.change("Pod", "alice-0", |pod| pod.set("/status", flicker(count + 1)))
        });
    }
    let error = host.run::<Plugin>(&["start", "alice", "--wait"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Failed);
    assert!(
        error.message.starts_with("notebook/alice failed to start: crashes: exit 1"),
        "{}",
        error.message
    );
    assert_eq!(error.hint.as_deref(), Some("kf status notebook/alice"));
}

#[test]
fn unknown_kind_or_option_ends_wait() {
    for message in [
        "Workspace references unknown WorkspaceKind: nosuch",
        "Workspace has invalid imageConfig: imageConfig with id \"zzz\" not found",
    ] {
        let host = cluster();
        host.put(workspace(json!({ "paused": true }), json!({ "state": "Error", "stateMessage": message })));
        let error = host.run::<Plugin>(&["start", "w", "--wait"]).unwrap_err();
        let why = message.trim_start_matches("Workspace ");
        assert_eq!(error.message, format!("workspace/w failed to start: {why}"));
    }
}

#[test]
fn wait_timeout_reports_reason() {
    let host = with_alice();
    let gpu = json!({ "phase": "Pending", "conditions": [{ "type": "PodScheduled", "status": "False",
        "reason": "Unschedulable", "message": "0/1 nodes are available: 1 Insufficient nvidia.com/gpu." }] });
    host.put(alices_pod("1", gpu));
    host.cluster(|cluster| {
        cluster.change(NOTEBOOK, "alice", |alice| {
            alice.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": "" }))
        });
    });
    let error = host.run::<Plugin>(&["start", "alice", "--wait", "--timeout", "30s"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::TimedOut);
    assert_eq!(
        error.message,
        "notebook/alice is not running after 30s: 0/1 nodes are available: 1 Insufficient nvidia.com/gpu"
    );
}

// ---- pitfalls 5 and 6: a stuck pod is never replaced, a ready one immediately ----

#[test]
fn stuck_pod_is_stopped_before_image_change() {
    let host = with_alice();
    host.put(alices_pod("1", waiting("ImagePullBackOff", "not found")));
    // The pod is deleted when the server stops, and created again with the new image.
    host.at(seconds(2), |cluster| cluster.remove("Pod", "alice-0"));
    host.at(seconds(5), |cluster| {
        cluster.put(set("alice", "nb-alice", "2"));
        cluster.put(alices_pod("2", ready()));
    });
    assert_eq!(host.run::<Plugin>(&["start", "alice", "--image", "jupyter:2", "--wait"]), Ok(Exit::OK));
    let patches = patches(&host);
    assert_eq!(patches.len(), 2, "{patches:?}");
    assert!(
        patches[0].pointer("/metadata/annotations/kubeflow-resource-stopped").is_some_and(Value::is_string)
    );
    assert_eq!(patches[1].pointer("/metadata/annotations/kubeflow-resource-stopped"), Some(&Value::Null));
    assert_eq!(patches[1].pointer("/spec/template/spec/containers/0/image"), Some(&json!("jupyter:2")));
    let notes = host.terminal().notes.join("\n");
    assert!(notes.contains("is not ready and would not be updated: stopping it first"), "{notes}");
}

#[test]
fn outdated_stuck_pod_is_shown_and_fixed_by_start() {
    let host = with_alice();
    host.put(set("alice", "nb-alice", "2"));
    host.put(alices_pod("1", waiting("ImagePullBackOff", "not found")));
    let (state, why) = listed(&host);
    assert_eq!(state, "Failed");
    assert!(
        why.ends_with("; its pod does not have its current spec; kf notebook start notebook/alice"),
        "{why}"
    );
    host.at(seconds(1), |cluster| cluster.remove("Pod", "alice-0"));
    host.format(Format::Table);
    assert_eq!(host.run::<Plugin>(&["start", "alice"]), Ok(Exit::OK));
    assert_eq!(patches(&host).len(), 2);
}

#[test]
fn ready_pod_is_replaced_only_with_confirmation() {
    let host = with_alice();
    let error = host.run::<Plugin>(&["start", "alice", "--image", "jupyter:2", "--wait"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Failed);
    assert_eq!(error.hint.as_deref(), Some("kf notebook start alice --image jupyter:2 --wait --yes"));
    assert!(patches(&host).is_empty());
    host.answer(true);
    assert_eq!(host.run::<Plugin>(&["start", "alice", "--image", "jupyter:2"]), Ok(Exit::OK));
    assert_eq!(patches(&host).len(), 1);
}

#[test]
fn start_waits_for_new_pod_after_change() {
    let host = with_alice();
    host.at(seconds(3), |cluster| {
        cluster.remove("Pod", "alice-0");
        cluster.put(set("alice", "nb-alice", "2"));
        cluster.put(alices_pod("2", ready()));
    });
    assert_eq!(host.run::<Plugin>(&["start", "alice", "--cpu", "4", "--wait", "--yes"]), Ok(Exit::OK));
    assert!(host.kf().now() >= Timestamp(host.start().0 + 3000), "it waited for the new pod");
    let patch = patches(&host).remove(0);
    let resources = patch.pointer("/spec/template/spec/containers/0/resources");
    assert_eq!(
        resources,
        Some(&json!({ "requests": { "cpu": "4" }, "limits": { "cpu": "4", "nvidia.com/gpu": 1 } }))
    );
}

#[test]
fn start_does_not_wait_if_pod_is_kept() {
    let host = with_alice();
    assert_eq!(host.run::<Plugin>(&["start", "alice", "--cpu", "4", "--wait", "--yes"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "notebook/alice running\n");
}

// ---- pitfall 7: pendingRestart requires writing the desired ids ----

#[test]
fn offered_update_is_shown_and_applied() {
    let host = cluster();
    let replacement_options = json!({ "state": "Running", "pendingRestart": true, "podTemplateOptions": {
        "imageConfig": { "desired": "jl5" }, "podConfig": { "desired": "tiny" } } });
    host.put(workspace(json!({}), replacement_options));
    host.put(set("ws-w-s2s5l", "ws-w", "1"));
    host.put(ws_pod("1", ready()));
    assert_eq!(
        listed(&host),
        shown(
            "Running",
            "options jl5 and tiny replace the current ones; kf notebook start workspace/w --update"
        )
    );
    host.format(Format::Table);
    assert_eq!(host.run::<Plugin>(&["start", "w", "--update", "--yes"]), Ok(Exit::OK));
    assert_eq!(
        patches(&host),
        [json!({ "spec": { "paused": false, "podTemplate": { "options": { "imageConfig": "jl5" } } } })]
    );
    host.put(workspace(json!({}), json!({})));
    let error = host.run::<Plugin>(&["start", "w", "--update"]).unwrap_err();
    assert_eq!(error.message, "no update available for workspace/w");
}

// ---- pitfall 8: a quota makes the state of a workspace Unknown ----

#[test]
fn workspace_quota_is_reported_despite_unknown_state() {
    let host = cluster();
    host.put(workspace(
        json!({}),
        json!({ "state": "Unknown", "stateMessage": "Workspace is in an unknown state" }),
    ));
    host.put(set("ws-w-s2s5l", "ws-w", "1"));
    host.put(warning(
        "StatefulSet",
        "ws-w-s2s5l",
        "set-of-ws-w",
        "Create Pod x failed error: exceeded quota: q",
    ));
    assert_eq!(listed(&host), shown("Pending", "exceeded quota: q"));
    host.format(Format::Table);
    let error = host.run::<Plugin>(&["start", "w"]).map(drop);
    assert_eq!(error, Ok(()));
    assert_eq!(
        host.terminal().stdout.lines().last(),
        Some("workspace/w was started already: exceeded quota: q")
    );
}

// ---- pitfall 9: culling ----

#[test]
fn server_culled_while_starting_ends_wait() {
    let host = cluster();
    host.put(notebook("alice", json!({ "kubeflow-resource-stopped": "" })));
    host.put(set("alice", "nb-alice", "1"));
    host.at(seconds(3), |cluster| {
        cluster.change(NOTEBOOK, "alice", |alice| {
            alice.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": START }))
        });
    });
    let error = host.run::<Plugin>(&["start", "alice", "--wait"]).unwrap_err();
    assert_eq!(
        error.message,
        "notebook/alice was stopped while it was starting: it was idle, or another user stopped it"
    );
}

#[test]
fn stop_patch_sets_only_annotations() {
    let host = with_alice();
    assert_eq!(host.run::<Plugin>(&["stop", "alice", "--no-wait"]), Ok(Exit::OK));
    let now = host.kf().now().to_string();
    let expected = json!({ "metadata": { "annotations": { "kubeflow-resource-stopped": now, "kf-cli.dev/stopped": now } } });
    assert_eq!(patches(&host), [expected]);
}

// ---- pitfall 10: the old pod of a deleted notebook ----

#[test]
fn pod_of_deleted_notebook_is_not_counted() {
    let host = cluster();
    host.put(notebook("alice", json!({})));
    host.put(set("alice", "nb-alice", "1"));
    // Ready, and owned by a deleted stateful set.
    let old = pod("alice-0", ("notebook-name", "alice"), "an-earlier-one", "1", ready());
    host.put(old);
    assert_eq!(listed(&host), shown("Pending", "waiting for pod alice-0 of a deleted alice to terminate"));
    // By age, without permission to list stateful sets.
    host.cluster(|cluster| {
        cluster.deny("*", "apps", "statefulsets");
        cluster
            .change("Pod", "alice-0", |pod| pod.set("/metadata/creationTimestamp", "2026-01-01T11:00:00Z"));
    });
    assert_eq!(listed(&host), shown("Pending", "waiting for pod alice-0 of a deleted alice to terminate"));
}

// ---- stop ----

#[test]
fn stop_waits_for_pod_and_reports_kept_claims() {
    let host = with_alice();
    host.at(seconds(30), |cluster| cluster.remove("Pod", "alice-0"));
    assert_eq!(host.run::<Plugin>(&["stop", "alice"]), Ok(Exit::OK));
    assert_eq!(host.kf().now(), Timestamp(host.start().0 + 30_000));
    assert_eq!(host.terminal().stdout, "notebook/alice stopped; kept: files\n");
    assert_eq!(host.run::<Plugin>(&["stop", "alice"]), Ok(Exit::OK));
    assert_eq!(
        host.terminal().stdout.lines().last(),
        Some("notebook/alice was stopped already; kept: files")
    );
    assert_eq!(patches(&host).len(), 1);
}

#[test]
fn stop_reports_only_existing_claims() {
    let host = with_alice();
    host.cluster(|cluster| cluster.remove("PersistentVolumeClaim", "files"));
    assert_eq!(host.run::<Plugin>(&["stop", "alice", "--no-wait"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "notebook/alice stopping\n");
    let notes = host.terminal().notes.clone();
    assert_eq!(notes, ["warning: notebook/alice refers to volume claims that do not exist: files"]);
    // The same for a workspace.
    host.put(workspace(json!({ "paused": true }), json!({})));
    assert_eq!(host.run::<Plugin>(&["stop", "w", "--no-wait"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout.lines().last(), Some("workspace/w was stopped already"));
    // Without permission to read claims, all are listed.
    host.cluster(|cluster| cluster.deny("get", "", "persistentvolumeclaims"));
    assert_eq!(host.run::<Plugin>(&["stop", "w", "--no-wait"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout.lines().last(), Some("workspace/w was stopped already; kept: files"));
}

#[test]
fn create_over_terminating_server_is_refused() {
    let host = cluster();
    for (object, words, name) in [
        (notebook("bob", json!({})), &["create", "bob", "--image", "i"][..], "notebook/bob"),
        (workspace(json!({}), json!({})), &["create", "w", "--kind", "jupyterlab"], "workspace/w"),
    ] {
        let mut leaving = Object::from(object);
        leaving.set("/metadata/deletionTimestamp", START);
        host.put(leaving.into_value());
        let error = host.run::<Plugin>(words).unwrap_err();
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(error.message.contains("is being deleted"), "{}", error.message);
        assert_eq!(error.hint, Some(format!("kf status {name}")));
    }
    let error = host.run::<Plugin>(&["start", "bob"]).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("kf status notebook/bob"));
}

#[test]
fn busy_kernels_are_stopped_only_with_confirmation() {
    let host = with_alice();
    host.on_http(|request| {
        assert_eq!(request.path, "/notebook/team-a/alice/api/kernels");
        Ok(answer(200, r#"[{"execution_state": "busy"}, {"execution_state": "idle"}]"#))
    });
    let error = host.run::<Plugin>(&["stop", "alice", "--no-wait"]).unwrap_err();
    assert_eq!(error.message, "1 of 2 kernels of notebook/alice are busy");
    assert_eq!(error.hint.as_deref(), Some("kf notebook stop alice --no-wait --yes"));
    assert!(patches(&host).is_empty());
    assert_eq!(host.run::<Plugin>(&["stop", "alice", "--no-wait", "--yes"]), Ok(Exit::OK));
    assert_eq!(patches(&host).len(), 1);
}

#[test]
fn stop_without_kernel_status_warns_by_last_activity() {
    let host = with_alice();
    host.on_http(|_| Ok(answer(403, "")));
    host.put(notebook("alice", json!({ "notebooks.kubeflow.org/last-activity": "2026-01-01T11:58:00Z" })));
    assert_eq!(host.run::<Plugin>(&["stop", "alice", "--no-wait"]), Ok(Exit::OK));
    let notes = host.terminal().notes.clone();
    assert_eq!(notes, ["warning: notebook/alice was in use 2m ago; unsaved work is lost"]);
}

// ---- open ----

fn open_until(host: &FakeHost, end: u64) {
    host.at(seconds(end), |cluster| {
        cluster.change(NOTEBOOK, "alice", |alice| {
            alice.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": "" }))
        });
        cluster.remove("Pod", "alice-0");
    });
}

#[test]
fn open_shows_page_below_prefix() {
    let host = with_alice();
    host.change_context(|context| context.interactive = true);
    open_until(&host, 60);
    assert_eq!(host.run::<Plugin>(&["open", "alice"]), Ok(Exit::OK));
    assert_eq!(host.opened_pages(), ["http://localhost:40001/notebook/team-a/alice/"]);
    let notes = host.terminal().notes.clone();
    assert_eq!(
        notes,
        [
            "notebook/alice is at http://localhost:40001/notebook/team-a/alice/",
            "Ctrl-C closes the connection and leaves notebook/alice running",
            "notebook/alice was stopped",
        ]
    );
}

#[test]
fn token_goes_to_browser_and_not_to_output() {
    let with_token = || {
        let host = with_alice();
        host.cluster(|cluster| {
            cluster.change("Pod", "alice-0", |pod| {
                let mut containers = pod.list("/spec/containers").to_vec();
                containers[0]["args"] = json!(["--IdentityProvider.token=s3cret"]);
                pod.set("/spec/containers", containers);
            });
        });
        open_until(&host, 60);
        host
    };
    let host = with_token();
    host.change_context(|context| context.interactive = true);
    assert_eq!(host.run::<Plugin>(&["open", "alice"]), Ok(Exit::OK));
    assert_eq!(host.opened_pages(), ["http://localhost:40001/notebook/team-a/alice/?token=s3cret"]);
    let terminal = host.terminal().clone();
    assert!(!format!("{terminal:?}").contains("s3cret"), "{terminal:?}");

    let host = with_token();
    assert_eq!(host.run::<Plugin>(&["open", "alice", "--no-browser"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "http://localhost:40001/notebook/team-a/alice/\n");
    assert_eq!(
        host.terminal().notes[0],
        "the page asks for a token; --show-token prints it with the address"
    );

    let host = with_token();
    assert_eq!(
        host.run::<Plugin>(&["open", "alice", "--no-browser", "--show-token", "--port", "9000"]),
        Ok(Exit::OK)
    );
    assert_eq!(host.terminal().stdout, "http://localhost:9000/notebook/team-a/alice/?token=s3cret\n");
}

#[test]
fn replaced_pod_is_reconnected_at_same_port() {
    let host = with_alice();
    host.at(seconds(10), |cluster| cluster.remove("Pod", "alice-0"));
    host.at(seconds(15), |cluster| cluster.put(alices_pod("1", ready())));
    open_until(&host, 60);
    assert_eq!(host.run::<Plugin>(&["open", "alice", "--no-browser"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout.lines().count(), 1, "the address is the same");
    let notes = host.terminal().notes.clone();
    assert_eq!(
        notes,
        [
            "lost connection to pod alice-0, waiting for notebook/alice",
            "reconnected to notebook/alice",
            "notebook/alice was stopped",
        ]
    );
}

#[test]
fn open_stopped_server_is_refused() {
    let host = cluster();
    host.put(notebook("alice", json!({ "kubeflow-resource-stopped": "" })));
    let error = host.run::<Plugin>(&["open", "alice"]).unwrap_err();
    assert_eq!(
        (error.message.as_str(), error.hint.as_deref()),
        ("notebook/alice is stopped", Some("kf notebook start alice --wait"))
    );
}

#[test]
fn open_retries_until_server_listens() {
    let host = with_alice();
    let mut asked = 0;
    host.on_http(move |_| {
        asked += 1;
        if asked < 4 { Err(Error::failed("connection refused")) } else { Ok(answer(302, "")) }
    });
    open_until(&host, 60);
    assert_eq!(host.run::<Plugin>(&["open", "alice", "--no-browser"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout.lines().count(), 1);
}

fn running_workspace() -> FakeHost {
    let host = cluster();
    host.put(workspace(json!({}), json!({ "state": "Running" })));
    host.put(set("ws-w-s2s5l", "ws-w", "1"));
    host.put(ws_pod("1", ready()));
    host.at(seconds(60), |cluster| {
        cluster.change(WORKSPACE, "w", |w| w.set("/spec/paused", true));
        cluster.remove("Pod", "ws-w-s2s5l-0");
    });
    host
}

#[test]
fn workspace_page_is_found_from_kind() {
    let host = running_workspace();
    host.put(ws_kind());
    assert_eq!(host.run::<Plugin>(&["open", "w", "--no-browser"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "http://localhost:40001/workspace/connect/team-a/w/lab/\n");

    let host = running_workspace();
    let mut kind = ws_kind();
    kind["spec"]["podTemplate"]["ports"][0]["httpProxy"] = json!({ "removePathPrefix": true });
    host.put(kind);
    assert_eq!(host.run::<Plugin>(&["open", "w", "--no-browser"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "http://localhost:40001/\n");

    let host = running_workspace();
    host.put(ws_kind());
    let error = host.run::<Plugin>(&["open", "w", "--port-id", "vscode"]).unwrap_err();
    assert_eq!(error.message, "workspace/w has no port `vscode`; available: lab");
}

#[test]
fn workspace_page_is_found_from_pod_without_kind() {
    let host = running_workspace();
    host.cluster(|cluster| cluster.deny("*", GROUP, "workspacekinds"));
    assert_eq!(host.run::<Plugin>(&["open", "w", "--no-browser"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "http://localhost:40001/workspace/connect/team-a/w/lab/\n");
}

// ---- create ----

#[test]
fn create_makes_notebook_with_own_volume() {
    let host = cluster();
    let words = [
        "create",
        "alice",
        "--image",
        "jupyter:1",
        "--cpu",
        "2",
        "--gpu",
        "1",
        "--size",
        "10Gi",
        "-e",
        "A=b=c",
    ];
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    let alice = host.cluster(|cluster| cluster.object(NOTEBOOK, "alice")).unwrap();
    let amounts = json!({ "cpu": "2", "nvidia.com/gpu": "1" });
    assert_eq!(
        alice.at("/spec/template/spec"),
        Some(&json!({
            "containers": [{
                "name": "alice", "image": "jupyter:1",
                "resources": { "requests": amounts, "limits": amounts },
                "env": [{ "name": "A", "value": "b=c" }],
                "volumeMounts": [{ "name": "home", "mountPath": "/home/jovyan" }],
            }],
            "volumes": [{ "name": "home", "persistentVolumeClaim": { "claimName": "alice-workspace" } }],
        }))
    );
    let claim = host.cluster(|cluster| cluster.object("PersistentVolumeClaim", "alice-workspace")).unwrap();
    assert_eq!(claim.str("/spec/resources/requests/storage"), Some("10Gi"));
    assert_eq!(host.terminal().stdout, "notebook/alice created, home on alice-workspace\n");
    // Everything is checked before anything is created.
    let verbs: Vec<_> =
        host.cluster(|cluster| cluster.writes().iter().map(|write| (write.verb, write.dry_run)).collect());
    assert_eq!(verbs, [("apply", true), ("create", false), ("create", false)]);
}

#[test]
fn create_refuses_invalid_input_without_changes() {
    let host = with_alice();
    host.put(json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": { "name": "bob-workspace" } }));
    let refused = |words: &[&str]| host.run::<Plugin>(words).unwrap_err();
    let exists = refused(&["create", "alice", "--image", "i"]);
    assert_eq!(
        (exists.code, exists.hint.as_deref()),
        (ErrorCode::Conflict, Some("kf notebook start notebook/alice"))
    );
    let claim = refused(&["create", "bob", "--image", "i", "--pvc", "nosuch"]);
    assert_eq!((claim.code, claim.message.as_str()), (ErrorCode::NotFound, "no claim `nosuch` in team-a"));
    assert_eq!(claim.hint.as_deref(), Some("kf notebook create bob --image i --size 10Gi"));
    let claim = refused(&["create", "bob", "--image", "i", "--size", "1Gi", "--storage-class", "fast"]);
    assert_eq!(claim.hint.as_deref(), Some("kf notebook create bob --image i --pvc bob-workspace"));
    assert!(refused(&["create", "bob"]).message.contains("choose one with --image or --kind"));
    assert!(
        refused(&["create", "bob", "--image", "i", "--kind", "k"]).message.contains("cannot be used with")
    );
    assert!(
        refused(&["create", "bob", "--image", "i", "--env", "x"])
            .message
            .contains("expected NAME=VALUE, got `x`")
    );
    assert!(
        refused(&["create", "bob", "--image", "i", "--memory", "4GB"])
            .message
            .contains("invalid quantity `4GB`")
    );
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
}

#[test]
fn workspace_uses_defaults_and_follows_redirects() {
    let host = cluster();
    host.put(ws_kind());
    assert_eq!(
        host.run::<Plugin>(&["create", "w", "--image-option", "jl4", "--pod-option", "small"]),
        Ok(Exit::OK)
    );
    let w = host.cluster(|cluster| cluster.object(WORKSPACE, "w")).unwrap();
    assert_eq!(
        w.at("/spec/podTemplate/options"),
        Some(&json!({ "imageConfig": "jl5", "podConfig": "small" }))
    );
    assert_eq!(w.str("/spec/kind"), Some("jupyterlab"));
    let next = "open it with `kf notebook open w`";
    assert_eq!(host.terminal().notes, ["warning: jl4 has been replaced by jl5", next]);
    let error = host.run::<Plugin>(&["create", "v", "--image-option", "zzz"]).unwrap_err();
    assert_eq!(error.message, "invalid value `zzz` for --image-option; available: jl4, jl5");
}

#[test]
fn workspace_ids_are_used_as_typed_without_kinds() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("*", GROUP, "workspacekinds"));
    let error = host.run::<Plugin>(&["create", "w", "--kind", "jupyterlab"]).unwrap_err();
    assert_eq!(
        error.hint.as_deref(),
        Some("kf notebook create w --kind jupyterlab --image-option ID --pod-option ID")
    );
    let words = ["create", "w", "--kind", "jupyterlab", "--image-option", "jl4", "--pod-option", "tiny"];
    assert_eq!(host.run::<Plugin>(&words), Ok(Exit::OK));
    assert!(host.cluster(|cluster| cluster.object(WORKSPACE, "w")).is_some());
}

// ---- missing kinds and permissions ----

#[test]
fn cluster_without_notebooks_is_reported() {
    let host = FakeHost::new("team-a");
    for words in [&["ls"][..], &["open", "alice"], &["create", "alice"]] {
        let error = host.run::<Plugin>(words).unwrap_err();
        assert_eq!(error.code, ErrorCode::NotFound);
        assert!(error.message.starts_with("this cluster has no notebooks"), "{}", error.message);
    }
}

#[test]
fn ambiguous_name_is_refused() {
    let host = with_alice();
    let mut twin = workspace(json!({}), json!({}));
    twin["metadata"]["name"] = json!("alice");
    host.put(twin);
    let error = host.run::<Plugin>(&["stop", "alice", "--no-wait"]).unwrap_err();
    assert_eq!(error.message, "`alice` is ambiguous: notebook/alice or workspace/alice");
    assert_eq!(error.hint.as_deref(), Some("kf notebook stop notebook/alice --no-wait"));
    assert_eq!(host.run::<Plugin>(&["stop", "notebook/alice", "--no-wait"]), Ok(Exit::OK));
    let error = host.run::<Plugin>(&["stop", "bob"]).unwrap_err();
    assert_eq!(error.message, "no notebook or workspace `bob` in team-a");
    assert_eq!(error.hint.as_deref(), Some("kf notebook ls"));
}

#[test]
fn viewer_can_only_list() {
    let host = with_alice();
    for verb in ["create", "patch"] {
        host.cluster(|cluster| cluster.deny(verb, GROUP, "notebooks"));
    }
    host.cluster(|cluster| cluster.deny("create", "", "pods/portforward"));
    assert_eq!(host.run::<Plugin>(&["ls"]), Ok(Exit::OK));
    for words in [&["stop", "alice"][..], &["open", "alice"], &["create", "bob", "--image", "i"]] {
        let error = host.run::<Plugin>(words).unwrap_err();
        assert_eq!(error.code, ErrorCode::Forbidden, "{words:?}: {}", error.message);
    }
    assert!(host.cluster(|cluster| cluster.object(NOTEBOOK, "bob")).is_none());
}

#[test]
fn watch_updates_table() {
    let host = with_alice();
    host.at(seconds(12), |cluster| {
        cluster.change(NOTEBOOK, "alice", |alice| {
            alice.set("/metadata/annotations", json!({ "kubeflow-resource-stopped": "" }))
        });
    });
    host.at(seconds(14), |cluster| cluster.remove("Pod", "alice-0"));
    assert_eq!(host.run::<Plugin>(&["ls", "--watch"]), Ok(Exit::OK));
    let states: Vec<_> = host
        .terminal()
        .stdout
        .lines()
        .filter_map(|line| line.split_whitespace().nth(2).map(str::to_owned))
        .collect();
    let states: Vec<_> = states.iter().filter(|state| *state != "STATE").collect();
    assert_eq!(states, ["Running", "Stopping", "Stopped"]);
}

#[test]
fn all_namespaces_lists_servers_by_namespace() {
    let host = cluster();
    for (namespace, name) in [("team-b", "bob"), ("team-a", "alice")] {
        let mut server = Object::from(notebook(name, json!({})));
        server.set("/metadata/namespace", namespace);
        host.put(server.into_value());
    }
    assert_eq!(host.run::<Plugin>(&["ls", "-A"]), Ok(Exit::OK));
    assert_eq!(host.terminal().column(0), ["team-a", "team-b"]);
    assert_eq!(host.terminal().column(1), ["alice", "bob"]);
    // A user who can list only one kind sees its servers.
    host.cluster(|cluster| cluster.deny("list", GROUP, "workspaces"));
    assert_eq!(host.run::<Plugin>(&["ls", "-A"]), Ok(Exit::OK));
    assert_eq!(host.terminal().column(1), ["alice", "bob"]);
    host.cluster(|cluster| cluster.deny("list", GROUP, "notebooks"));
    assert_eq!(host.run::<Plugin>(&["ls", "-A"]).unwrap_err().code, ErrorCode::Forbidden);
}
