//! `--watch`: changes, also when watches break.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_status::Plugin;
use serde_json::json;

use crate::common::*;

#[test]
fn watch_in_pipe_prints_only_changes() {
    let host = cluster();
    host.put(train_job("mnist", json!({})));
    host.at(Duration::from_secs(60), |cluster| {
        cluster.change(TRAIN_JOB, "mnist", |job| {
            let done = json!([{ "type": "Complete", "status": "True" }]);
            job.set("/status/conditions", done);
        });
    });
    assert_eq!(host.run::<Plugin>(&["--watch"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout.clone();
    let rows: Vec<_> = stdout.lines().filter(|line| line.starts_with("trainjob")).collect();
    assert_eq!(
        rows,
        ["trainjob  mnist  Pending  0/2  40s  no pods yet", "trainjob  mnist  Complete  -  40s"]
    );
}

#[test]
fn watch_survives_expired_watch_and_unreachable_server() {
    let host = cluster();
    host.put(pod("web", running()));
    let down = Error::new(ErrorCode::Unreachable, "the API server does not answer");
    host.at(Duration::from_secs(60), |cluster| {
        cluster.break_watches("Pod", Error::new(ErrorCode::Expired, "too old"));
        cluster.put(pod("web-2", running()));
    });
    let away = down.clone();
    host.at(Duration::from_secs(120), move |cluster| {
        for kind in ["Pod", "Job"] {
            cluster.break_watches(kind, away.clone());
            cluster.fail("list", kind, away.clone());
        }
    });
    host.at(Duration::from_secs(150), |cluster| {
        for kind in ["Pod", "Job"] {
            cluster.recover("list", kind);
        }
        cluster.remove("Pod", "web");
        cluster.put(pod("web-3", running()));
    });
    host.at(Duration::from_secs(200), |cluster| cluster.remove("Pod", "web-2"));
    assert_eq!(host.run::<Plugin>(&["--watch"]), Ok(Exit::OK));
    let terminal = host.terminal();
    let last: Vec<_> = terminal.rows.iter().map(|row| row.cells[1].text.clone()).collect();
    assert_eq!(last, ["web-3"]);
    let notes = ["the API server does not answer; retrying", "the API server answers again"];
    assert_eq!(terminal.notes, notes);
}

#[test]
fn watch_ends_if_pods_become_forbidden() {
    let host = cluster();
    host.put(pod("web", running()));
    host.at(Duration::from_secs(60), |cluster| {
        cluster.break_watches("Pod", Error::new(ErrorCode::Expired, "too old"));
        cluster.deny("list", "", "pods");
    });
    assert_eq!(host.run::<Plugin>(&["--watch"]).unwrap_err().code, ErrorCode::Forbidden);
}

fn pod_in(namespace: &str, name: &str, status: serde_json::Value) -> serde_json::Value {
    let mut pod = Object::from(pod(name, status));
    pod.set("/metadata/namespace", namespace);
    pod.into_value()
}

/// NAMESPACE NAME STATE of every row.
fn everywhere(host: &kf_plugin_sdk::testing::FakeHost) -> Vec<String> {
    let texts = |row: &kf_plugin_sdk::ui::Row| {
        let text = |at: usize| row.cells.get(at).map_or("", |cell| cell.text.as_str());
        format!("{} {} {}", text(0), text(2), text(3))
    };
    host.terminal().rows.iter().map(texts).collect()
}

#[test]
fn watch_of_all_namespaces_distinguishes_same_names() {
    let host = cluster();
    host.put(pod_in("team-b", "web", running()));
    host.put(pod_in("team-a", "web", running()));
    host.at(Duration::from_secs(60), |cluster| cluster.put(pod_in("team-b", "web", unschedulable())));
    host.at(Duration::from_secs(70), |cluster| cluster.put(pod_in("team-c", "new", running())));
    host.at(Duration::from_secs(80), |cluster| cluster.remove("Pod", "web"));
    assert_eq!(host.run::<Plugin>(&["-A", "--watch"]), Ok(Exit::OK));
    assert_eq!(everywhere(&host), ["team-b web Pending", "team-c new Running"]);
    let lines: Vec<String> = host.terminal().stdout.lines().map(str::to_owned).collect();
    assert!(lines.iter().any(|line| line.starts_with("team-a  pod  web  Running")), "{lines:?}");
}

#[test]
fn watch_of_all_namespaces_survives_expired_watch() {
    let host = cluster();
    host.put(pod_in("team-a", "gone", running()));
    host.put(pod_in("team-b", "web", running()));
    host.at(Duration::from_secs(60), |cluster| {
        cluster.break_watches("Pod", Error::new(ErrorCode::Expired, "too old"));
        cluster.remove("Pod", "gone");
        cluster.put(pod_in("team-c", "new", running()));
    });
    assert_eq!(host.run::<Plugin>(&["-A", "--watch"]), Ok(Exit::OK));
    assert_eq!(everywhere(&host), ["team-b web Running", "team-c new Running"]);
}

#[test]
fn watch_of_all_namespaces_needs_permission() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("watch", "batch", "jobs"));
    host.put(pod_in("team-b", "web", running()));
    host.format(Format::Wide);
    assert_eq!(host.run::<Plugin>(&["-A", "--watch"]), Ok(Exit::OK));
    assert_eq!(everywhere(&host), ["team-b web Running"]);
    assert_eq!(host.terminal().notes, ["skipped (no permission to list): jobs"]);
    host.cluster(|cluster| cluster.deny("watch", "", "pods"));
    assert_eq!(host.run::<Plugin>(&["-A", "--watch"]).unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn broken_kind_is_shown_once_readable() {
    let host = cluster();
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.put(pod("web", running()));
    host.put(json!({ "apiVersion": "kubeflow.org/v1", "kind": "Notebook", "metadata": { "name": "desk" } }));
    let broken = Error::new(ErrorCode::Internal, "conversion webhook failed");
    host.cluster(|cluster| cluster.fail("list", "Notebook", broken));
    host.at(Duration::from_secs(60), |cluster| cluster.recover("list", "Notebook"));
    host.at(Duration::from_secs(120), |cluster| cluster.remove("Pod", "web"));
    assert_eq!(host.run::<Plugin>(&["--watch"]), Ok(Exit::OK));
    let terminal = host.terminal();
    let shown: Vec<_> = terminal.rows.iter().map(|row| row.cells[1].text.clone()).collect();
    assert_eq!(shown, ["desk"]);
    let left_out = "warning: skipped: notebooks (conversion webhook failed)";
    assert_eq!(terminal.notes, [left_out, "notebooks can be read again"]);
}

#[test]
fn kind_removed_while_watching_does_not_affect_others() {
    let host = cluster();
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.put(pod("web", running()));
    host.put(json!({ "apiVersion": "kubeflow.org/v1", "kind": "Notebook", "metadata": { "name": "desk" } }));
    host.at(Duration::from_secs(60), |cluster| {
        cluster.break_watches("Notebook", Error::new(ErrorCode::Expired, "too old"));
        cluster.fail(
            "list",
            "Notebook",
            Error::not_found("the server could not find the requested resource"),
        );
    });
    host.at(Duration::from_secs(600), |cluster| cluster.put(pod("web-2", running())));
    assert_eq!(host.run::<Plugin>(&["--watch"]), Ok(Exit::OK));
    let shown: Vec<_> = host.terminal().rows.iter().map(|row| row.cells[1].text.clone()).collect();
    assert_eq!(shown, ["web", "web-2"]);
}
