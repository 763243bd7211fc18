//! Tests of `kf use`.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_use::Plugin;
use serde_json::json;

fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve_cluster("", "v1", "Namespace", "namespaces");
    for name in ["team-a", "team-b"] {
        host.put(json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } }));
    }
    host.change_context(|context| context.cluster = Some("lab".into()));
    host
}

fn selected(host: &FakeHost) -> (Option<String>, Option<String>) {
    let selected = host.selected_namespace();
    (selected.namespace, selected.previous)
}

#[test]
fn dash_switches_to_previous_namespace() {
    let host = cluster();
    assert_eq!(host.run::<Plugin>(&["team-a"]), Ok(Exit::OK));
    assert_eq!(host.terminal().stdout, "namespace/team-a in use on lab\n");
    host.run::<Plugin>(&["team-b"]).unwrap();
    host.run::<Plugin>(&["-"]).unwrap();
    assert_eq!(selected(&host), (Some("team-a".into()), Some("team-b".into())));
    host.run::<Plugin>(&["--clear"]).unwrap();
    assert_eq!(selected(&host), (None, Some("team-a".into())));
}

#[test]
fn dash_without_previous_namespace_is_refused() {
    let host = cluster();
    let error = host.run::<Plugin>(&["-"]).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::NotFound, Some("kf use NAMESPACE")));
    // Before the first `kf use` the kubeconfig's namespace was in use.
    host.run::<Plugin>(&["team-b"]).unwrap();
    host.run::<Plugin>(&["-"]).unwrap();
    assert_eq!(selected(&host), (None, Some("team-b".into())));
}

#[test]
fn missing_namespace_suggests_nearest() {
    let host = cluster();
    let error = host.run::<Plugin>(&["taem-b"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.hint.as_deref(), Some("did you mean team-b, or team-a? kf use team-b"));
    host.cluster(|cluster| cluster.deny("list", "", "namespaces"));
    assert_eq!(host.run::<Plugin>(&["taem-b"]).unwrap_err().hint, None);
    let error = host.run::<Plugin>(&["Team_B"]).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::Invalid, Some("did you mean team-b?")));
    assert_eq!(selected(&host), (None, None));
}

#[test]
fn unreadable_but_usable_namespace_is_accepted_with_note() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("*", "", "namespaces"));
    assert_eq!(host.run::<Plugin>(&["team-c"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes, ["you cannot read namespace team-c itself, but you have rights in it"]);
    for (group, resource) in
        [("", "pods"), ("trainer.kubeflow.org", "trainjobs"), ("kubeflow.org", "notebooks")]
    {
        host.cluster(|cluster| cluster.deny("*", group, resource));
    }
    assert_eq!(host.run::<Plugin>(&["team-b"]).unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(selected(&host).0, Some("team-c".into()));
}

#[test]
fn terminating_namespace_is_refused() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.change("Namespace", "team-b", |namespace| namespace.set("/status/phase", "Terminating"));
    });
    assert_eq!(host.run::<Plugin>(&["team-b"]).unwrap_err().code, ErrorCode::Failed);
    assert_eq!(selected(&host), (None, None));
}

#[test]
fn dry_run_changes_nothing_and_json_has_fields() {
    let host = cluster();
    host.change_context(|context| context.dry_run = true);
    host.run::<Plugin>(&["team-b"]).unwrap();
    assert_eq!(host.terminal().stdout, "namespace/team-b would be in use on lab\n");
    assert_eq!(selected(&host), (None, None));

    let host = cluster();
    host.format(Format::Json);
    host.run::<Plugin>(&[]).unwrap();
    let shown: serde_json::Value = serde_json::from_str(&host.terminal().stdout).unwrap();
    assert_eq!(shown["namespace"], "team-a");
    assert_eq!(shown["from"], "kubeconfig, -n or KF_NAMESPACE");
}
