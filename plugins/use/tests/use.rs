//! Which namespace later commands get.

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
fn the_one_before_comes_back() {
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
fn without_one_before_there_is_nothing_to_go_back_to() {
    let host = cluster();
    let error = host.run::<Plugin>(&["-"]).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::NotFound, Some("kf use NAMESPACE")));
    // The kubeconfig's was in use before the first choice.
    host.run::<Plugin>(&["team-b"]).unwrap();
    host.run::<Plugin>(&["-"]).unwrap();
    assert_eq!(selected(&host), (None, Some("team-b".into())));
}

#[test]
fn a_missing_one_is_refused_with_the_nearest() {
    let host = cluster();
    let error = host.run::<Plugin>(&["taem-b"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
    assert_eq!(error.hint.as_deref(), Some("did you mean team-b, or team-a? kf use team-b"));
    host.cluster(|cluster| cluster.deny("list", "", "namespaces"));
    assert_eq!(host.run::<Plugin>(&["taem-b"]).unwrap_err().hint, None);
    let error = host.run::<Plugin>(&["Team_B"]).unwrap_err();
    assert_eq!(
        (error.code, error.hint.as_deref()),
        (ErrorCode::Invalid, Some("a name that would do: team-b"))
    );
    assert_eq!(selected(&host), (None, None));
}

#[test]
fn one_that_may_be_used_but_not_looked_at_is_accepted_with_a_word() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("*", "", "namespaces"));
    assert_eq!(host.run::<Plugin>(&["team-c"]), Ok(Exit::OK));
    assert_eq!(
        host.terminal().notes,
        ["you may not look at the namespace team-c itself, but may work in it"]
    );
    for (group, resource) in
        [("", "pods"), ("trainer.kubeflow.org", "trainjobs"), ("kubeflow.org", "notebooks")]
    {
        host.cluster(|cluster| cluster.deny("*", group, resource));
    }
    assert_eq!(host.run::<Plugin>(&["team-b"]).unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(selected(&host).0, Some("team-c".into()));
}

#[test]
fn one_that_is_going_is_no_place_to_work() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.change("Namespace", "team-b", |namespace| namespace.set("/status/phase", "Terminating"));
    });
    assert_eq!(host.run::<Plugin>(&["team-b"]).unwrap_err().code, ErrorCode::Failed);
    assert_eq!(selected(&host), (None, None));
}

#[test]
fn a_dry_run_changes_nothing_and_a_script_reads_fields() {
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
