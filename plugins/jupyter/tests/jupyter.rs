//! `kf jupyter`: from a stopped server to an open page.

use std::time::Duration;

use kf_plugin_jupyter::Plugin;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::json;

const NOTEBOOK: &str = "kubeflow.org/Notebook";

fn cluster(names: &[&str]) -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.serve("apps", "v1", "StatefulSet", "statefulsets");
    host.on_http(|_| Ok(kf_plugin_sdk::HttpResponse { status: 302, headers: Vec::new(), body: Vec::new() }));
    for name in names {
        host.put(json!({
            "apiVersion": "kubeflow.org/v1", "kind": "Notebook",
            "metadata": { "name": name, "uid": name, "annotations": { "kubeflow-resource-stopped": "" } },
        }));
    }
    host
}

#[test]
fn only_server_is_started_and_opened() {
    let host = cluster(&["alice"]);
    host.change_context(|context| context.interactive = true);
    host.at(Duration::from_secs(2), |cluster| {
        cluster.put(json!({
            "apiVersion": "apps/v1", "kind": "StatefulSet",
            "metadata": { "name": "alice", "uid": "set", "ownerReferences": [{ "uid": "alice" }] },
        }));
        cluster.put(json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": "alice-0", "labels": { "notebook-name": "alice" }, "ownerReferences": [{ "uid": "set" }] },
            "spec": { "containers": [{ "name": "alice", "readinessProbe": {} }] },
            "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
        }));
    });
    host.at(Duration::from_secs(60), |cluster| cluster.remove(NOTEBOOK, "alice"));
    host.at(Duration::from_secs(60), |cluster| cluster.remove("Pod", "alice-0"));
    assert_eq!(host.run::<Plugin>(&[]).unwrap_err().message, "notebook/alice was deleted");
    assert_eq!(host.opened_pages(), ["http://localhost:40001/notebook/team-a/alice/"]);
    assert_eq!(host.terminal().notes.first().map(String::as_str), Some("starting notebook/alice"));
    let stopped = json!({ "metadata": { "annotations": { "kubeflow-resource-stopped": null, "kf-cli.dev/stopped": null } } });
    assert_eq!(host.cluster(|cluster| cluster.writes()[0].body.clone()), stopped);
}

#[test]
fn several_servers_without_name_are_refused() {
    let error = cluster(&["alice", "bob"]).run::<Plugin>(&["--no-browser"]).unwrap_err();
    assert_eq!(error.message, "several notebook servers: notebook/alice, notebook/bob");
    assert_eq!(error.hint.as_deref(), Some("kf jupyter --no-browser notebook/alice"));
}

#[test]
fn no_server_hints_at_create() {
    let error = cluster(&[]).run::<Plugin>(&[]).unwrap_err();
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::NotFound, Some("kf notebook create NAME --wait"))
    );
}

#[test]
fn start_without_permission_is_forbidden() {
    let host = cluster(&["alice"]);
    host.cluster(|cluster| cluster.deny("patch", "kubeflow.org", "notebooks"));
    assert_eq!(host.run::<Plugin>(&["alice"]).unwrap_err().code, ErrorCode::Forbidden);
}
