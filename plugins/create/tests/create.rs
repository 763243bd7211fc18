//! Tests of `kf create`.

use std::time::Duration;

use kf_plugin_create::Plugin;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::{Value, json};

fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve_cluster("", "v1", "Namespace", "namespaces");
    host.serve("", "v1", "ServiceAccount", "serviceaccounts");
    host
}

fn account(namespace: &str) -> Value {
    json!({ "apiVersion": "v1", "kind": "ServiceAccount", "metadata": { "name": "default", "namespace": namespace } })
}

#[test]
fn namespace_is_labelled_awaited_and_used() {
    let host = cluster();
    host.at(Duration::from_secs(2), |cluster| cluster.put(account("team-b")));
    assert_eq!(host.run::<Plugin>(&["team-b", "--use"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "namespace/team-b created and in use\n");
    let made = host.cluster(|cluster| cluster.object("Namespace", "team-b")).unwrap();
    assert_eq!(made.label("app.kubernetes.io/managed-by"), Some("kf"));
    assert_eq!(host.selected_namespace().namespace.as_deref(), Some("team-b"));
    assert!(host.terminal().progress[0].contains("default service account"));
}

#[test]
fn namespace_that_is_never_ready_is_not_used() {
    let host = cluster();
    let error = host.run::<Plugin>(&["team-b", "--use", "--timeout", "3s"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::TimedOut);
    assert!(host.cluster(|cluster| cluster.object("Namespace", "team-b")).is_some());
    assert_eq!(host.selected_namespace().namespace, None);
}

#[test]
fn unreadable_namespace_is_not_awaited_and_warns() {
    let host = cluster();
    for (group, resource) in [
        ("", "serviceaccounts"),
        ("", "pods"),
        ("trainer.kubeflow.org", "trainjobs"),
        ("kubeflow.org", "notebooks"),
    ] {
        host.cluster(|cluster| cluster.deny("*", group, resource));
    }
    assert_eq!(host.run::<Plugin>(&["team-b"]), Ok(Exit::OK));
    assert!(host.terminal().notes[0].starts_with("warning: you have no rights in team-b yet"));
}

#[test]
fn existing_namespace_error_names_manager() {
    let host = cluster();
    host.put(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": {
        "name": "alice", "creationTimestamp": "2026-01-01T11:00:00Z",
        "annotations": { "owner": "alice@example.com" },
        "ownerReferences": [{ "kind": "Profile", "name": "alice" }],
    } }));
    let error = host.run::<Plugin>(&["alice"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Conflict);
    assert_eq!(
        error.message,
        "namespace alice already exists: created 60m ago, managed by Profile alice of alice@example.com"
    );
    assert_eq!(error.hint.as_deref(), Some("kf use alice"));
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
}

#[test]
fn terminating_namespace_error_names_finalizers() {
    let host = cluster();
    host.put(json!({ "apiVersion": "v1", "kind": "Namespace",
        "metadata": { "name": "old", "deletionTimestamp": "2026-01-01T11:00:00Z" },
        "status": { "phase": "Terminating", "conditions": [{
            "type": "NamespaceFinalizersRemaining", "status": "True",
            "message": "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
        }] },
    }));
    let error = host.run::<Plugin>(&["old"]).unwrap_err();
    assert!(error.message.contains("still being deleted: Some content"), "{}", error.message);
    assert!(error.message.contains("example.com/hold"), "{}", error.message);
}

#[test]
fn invalid_names_are_refused_locally() {
    let host = cluster();
    for name in ["Team_B", "kube-mine", &"x".repeat(64)] {
        assert_eq!(host.run::<Plugin>(&[name]).unwrap_err().code, ErrorCode::Invalid, "{name}");
    }
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
}

#[test]
fn missing_create_permission_is_refused() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("create", "", "namespaces"));
    assert_eq!(host.run::<Plugin>(&["team-b"]).unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn dry_run_neither_creates_nor_waits() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&["team-b", "--use"]), Ok(Exit::OK));
    assert!(host.cluster(|cluster| cluster.object("Namespace", "team-b")).is_none());
    assert_eq!(host.selected_namespace().namespace, None);
}

#[test]
fn kind_before_name_suggests_command() {
    let host = cluster();
    for (line, hint) in [
        (["namespace", "x"], Some("kf create x")),
        (["ns", "x"], Some("kf create x")),
        (["trainjob", "mnist"], Some("kf train mnist")),
        (["notebook", "alice"], Some("kf notebook create alice")),
        (["secret", "s"], None),
    ] {
        let error = host.run::<Plugin>(&line).unwrap_err();
        assert!(error.message.starts_with("kf create creates only namespaces"), "{error:?}");
        assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::Invalid, hint), "{line:?}");
    }
    assert!(host.cluster(|cluster| cluster.object("Namespace", "namespace")).is_none());
}
