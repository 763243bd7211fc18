//! Tests of `kf delete`.

use std::time::Duration;

use kf_plugin_delete::Plugin;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::json;

fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve_cluster("", "v1", "Namespace", "namespaces");
    host.serve("", "v1", "PersistentVolumeClaim", "persistentvolumeclaims");
    host.serve("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs");
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.serve("kubeflow.org", "v1", "MPIJob", "mpijobs");
    host.put(json!({ "apiVersion": "kubeflow.org/v1", "kind": "MPIJob",
        "metadata": { "name": "horovod", "namespace": "team-b" } }));
    host.put(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "team-b" } }));
    let train = |name: &str, status: serde_json::Value| {
        json!({ "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
            "metadata": { "name": name, "namespace": "team-b" }, "status": status })
    };
    let complete = json!({ "conditions": [{ "type": "Complete", "status": "True" }] });
    host.put(train("mnist", json!({})));
    host.put(train("old", complete));
    host.put(json!({ "apiVersion": "kubeflow.org/v1", "kind": "Notebook",
        "metadata": { "name": "alice", "namespace": "team-b" } }));
    host.put(json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "alice-0", "namespace": "team-b" }, "status": { "phase": "Running" } }));
    host.put(json!({ "apiVersion": "v1", "kind": "PersistentVolumeClaim",
        "metadata": { "name": "data", "namespace": "team-b" },
        "spec": { "resources": { "requests": { "storage": "8Gi" } } },
        "status": { "capacity": { "storage": "10Gi" } } }));
    host
}

fn exists(host: &FakeHost) -> bool {
    host.cluster(|cluster| cluster.object("Namespace", "team-b")).is_some()
}

#[test]
fn inventory_is_printed_before_prompt() {
    let host = cluster();
    host.change_context(|context| context.interactive = true);
    host.type_line("team-b");
    assert_eq!(host.run::<Plugin>(&["team-b"]), Ok(Exit::OK));
    assert_eq!(
        host.terminal().notes,
        [
            "deleted with team-b:",
            "  2 training jobs, 1 unfinished: mnist, old",
            "  1 mpijob, 1 unfinished: horovod",
            "  1 notebook: alice",
            "  1 pod, 1 running",
            "  1 volume with 10Gi of data: data (10Gi)",
        ]
    );
    assert_eq!(host.terminal().stdout, "namespace/team-b deleted\n");
    assert!(!exists(&host));
}

#[test]
fn only_exact_name_confirms() {
    let host = cluster();
    host.type_line("team-a");
    assert_eq!(host.run::<Plugin>(&["team-b"]).unwrap_err().code, ErrorCode::Failed);
    let error = host.run::<Plugin>(&["team-b"]).unwrap_err();
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::Invalid, Some("kf delete team-b --confirm team-b"))
    );
    let error = host.run::<Plugin>(&["team-b", "--confirm", "team-a", "--no-wait"]).unwrap_err();
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::Invalid, Some("kf delete team-b --confirm team-b --no-wait"))
    );
    assert!(exists(&host));
    assert_eq!(host.run::<Plugin>(&["team-b", "--confirm", "team-b"]), Ok(Exit::OK));
    assert!(!exists(&host));
}

#[test]
fn kubernetes_namespaces_are_refused() {
    let host = cluster();
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        host.put(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }));
        let error = host.run::<Plugin>(&[name, "--confirm", name]).unwrap_err();
        assert_eq!(error.code, ErrorCode::Invalid, "{name}");
    }
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));
}

#[test]
fn namespace_of_profile_warns() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.change("Namespace", "team-b", |namespace| {
            namespace.set("/metadata/ownerReferences", json!([{ "kind": "Profile", "name": "team-b" }]));
            namespace.set("/metadata/annotations", json!({ "owner": "bob@example.com" }));
        });
    });
    host.run::<Plugin>(&["team-b", "--confirm", "team-b"]).unwrap();
    let warned = host.terminal().notes.iter().any(|note| {
        note.starts_with("warning: Profile team-b of bob@example.com owns team-b and will recreate it")
    });
    assert!(warned, "{:?}", host.terminal().notes);
}

#[test]
fn finalizers_are_reported_and_kept() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.change("Namespace", "team-b", |namespace| {
            namespace.set("/metadata/deletionTimestamp", "2026-01-01T11:59:00Z");
            namespace.set("/status/conditions", json!([{
                "type": "NamespaceFinalizersRemaining", "status": "True",
                "message": "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
            }]));
        });
    });
    let error = host.run::<Plugin>(&["team-b", "--timeout", "10s"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::TimedOut);
    assert!(error.message.contains("example.com/hold"), "{}", error.message);
    let held = host.terminal().notes.iter().filter(|note| note.contains("example.com/hold")).count();
    assert_eq!(held, 1, "reported once: {:?}", host.terminal().notes);
    assert!(host.cluster(|cluster| cluster.writes().is_empty()));

    // Once the controller removes its finalizer, the namespace is deleted.
    host.at(Duration::from_secs(60), |cluster| cluster.remove("Namespace", "team-b"));
    assert_eq!(host.run::<Plugin>(&["team-b"]), Ok(Exit::OK));
}

#[test]
fn kinds_without_list_permission_are_reported() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("list", "", "persistentvolumeclaims"));
    host.cluster(|cluster| cluster.deny("watch", "", "namespaces"));
    host.run::<Plugin>(&["team-b", "--confirm", "team-b"]).unwrap();
    let last = host.terminal().notes.last().cloned();
    assert_eq!(last.as_deref(), Some("  skipped (no permission to list): volumes"));
}

#[test]
fn dry_run_deletes_nothing() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    assert_eq!(host.run::<Plugin>(&["team-b"]), Ok(Exit::OK));
    assert!(exists(&host));
}

#[test]
fn missing_and_forbidden_namespaces_are_refused() {
    let host = cluster();
    let error = host.run::<Plugin>(&["team-c", "--confirm", "team-c"]).unwrap_err();
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::NotFound, Some("did you mean team-b? kf delete team-b"))
    );
    host.cluster(|cluster| cluster.deny("delete", "", "namespaces"));
    let error = host.run::<Plugin>(&["team-b", "--confirm", "team-b"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::Forbidden);
    assert_eq!(
        host.run::<Plugin>(&["team-b"]).unwrap_err().code,
        ErrorCode::Forbidden,
        "before the name is typed"
    );
}

#[test]
fn workload_of_that_name_suggests_remove() {
    let with_job = || {
        let host = cluster();
        host.serve("", "v1", "Pod", "pods");
        host.put(json!({ "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
            "metadata": { "name": "a1", "namespace": "team-a" } }));
        host
    };
    let host = with_job();
    let error = host.run::<Plugin>(&["a1"]).unwrap_err();
    assert_eq!(error.message, "no namespace `a1`, but trainjob/a1 in team-a");
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::NotFound, Some("kf remove a1")));
    // The same without permission to read namespaces.
    let blind = with_job();
    blind.cluster(|cluster| cluster.deny("*", "", "namespaces"));
    let error = blind.run::<Plugin>(&["a1"]).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::NotFound, Some("kf remove a1")));
    assert_eq!(blind.run::<Plugin>(&["a2"]).unwrap_err().code, ErrorCode::Forbidden);
    // Two workloads of the same name.
    host.put(json!({ "apiVersion": "kubeflow.org/v1", "kind": "Notebook",
        "metadata": { "name": "a1", "namespace": "team-a" } }));
    let error = host.run::<Plugin>(&["a1"]).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("kf remove trainjob/a1"));
    // Owned objects are not suggested.
    host.put(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "a3", "namespace": "team-a",
        "ownerReferences": [{ "kind": "Notebook", "name": "x", "controller": true }] } }));
    let error = host.run::<Plugin>(&["a3"]).unwrap_err();
    assert_eq!(error.message, "no namespace `a3`");
}

#[test]
fn kind_and_name_suggest_command() {
    let host = cluster();
    for (line, hint) in [
        (&["trainjob", "a1"][..], Some("kf remove trainjob/a1")),
        (&["isvc/iris"], Some("kf remove inferenceservice/iris")),
        (&["namespace", "team-b"], Some("kf delete team-b")),
        (&["ns/team-b"], Some("kf delete team-b")),
        (&["widget", "x"], None),
    ] {
        let error = host.run::<Plugin>(line).unwrap_err();
        assert!(error.message.starts_with("kf delete deletes only namespaces"), "{error:?}");
        assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::Invalid, hint), "{line:?}");
    }
    assert!(exists(&host));
}
