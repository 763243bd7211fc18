//! `kf top`: requests, limits and usage.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_top::Plugin;
use serde_json::{Value, json};

fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    for (name, owner, gpu) in [("web-0", "web", "0"), ("web-1", "web", "0"), ("llm-0", "llm", "2")] {
        host.put(json!({ "apiVersion": "v1", "kind": "Pod",
            "metadata": { "name": name, "ownerReferences": [
                { "kind": "StatefulSet", "name": owner, "controller": true },
            ] },
            "spec": { "containers": [{ "name": "main", "resources": {
                "requests": { "cpu": "250m", "memory": "512Mi" },
                "limits": { "memory": "1Gi", "nvidia.com/gpu": gpu },
            } }] },
            "status": { "phase": "Running" },
        }));
    }
    host.put(json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "done" },
        "spec": { "containers": [{ "resources": { "requests": { "cpu": "8" } } }] },
        "status": { "phase": "Succeeded" } }));
    host
}

fn with_metrics(host: &FakeHost) {
    host.serve("metrics.k8s.io", "v1beta1", "PodMetrics", "pods");
    for (pod, memory) in [("web-0", "1000Mi"), ("web-1", "100Mi"), ("llm-0", "500Mi")] {
        host.put(
            json!({ "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics", "metadata": { "name": pod },
            "containers": [{ "name": "main", "usage": { "cpu": "12345678n", "memory": memory } }] }),
        );
    }
}

fn lines(host: &FakeHost, words: &[&str]) -> Vec<String> {
    assert_eq!(host.run::<Plugin>(words), Ok(Exit::OK));
    host.terminal()
        .rows
        .iter()
        // Without the last column, NODE, which only `-o wide` shows.
        .map(|row| {
            row.cells.iter().rev().skip(1).rev().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join(" ")
        })
        .collect()
}

#[test]
fn workloads_are_summed_and_sorted_largest_first() {
    let host = cluster();
    with_metrics(&host);
    assert_eq!(
        lines(&host, &[]),
        ["statefulset/llm 1 13m 250m/- 500Mi 512Mi/1Gi 2", "statefulset/web 2 26m 500m/- 1Gi 1Gi/2Gi ",]
    );
    assert!(host.terminal().notes.is_empty());
}

#[test]
fn named_workload_shows_pods_and_total() {
    let host = cluster();
    host.serve("apps", "v1", "StatefulSet", "statefulsets");
    host.put(json!({ "apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": { "name": "web" },
        "spec": { "selector": { "matchLabels": { "app": "web" } } } }));
    for pod in ["web-0", "web-1"] {
        host.cluster(|cluster| {
            cluster.change("Pod", pod, |pod| pod.set("/metadata/labels", json!({ "app": "web" })))
        });
    }
    with_metrics(&host);
    assert_eq!(
        lines(&host, &["web"]),
        [
            "web-0 statefulset/web 13m 250m/- 1000Mi 512Mi/1Gi ",
            "web-1 statefulset/web 13m 250m/- 100Mi 512Mi/1Gi ",
            "total  26m 500m/- 1Gi 1Gi/2Gi ",
        ]
    );
    // Near its limit.
    assert_eq!(host.terminal().rows[0].cells[4].tone, Tone::Bad);
    assert_eq!(host.terminal().rows[1].cells[4].tone, Tone::Plain);
}

#[test]
fn usage_without_metrics_server_is_unknown_with_note() {
    let host = cluster();
    assert_eq!(
        lines(&host, &[]),
        [
            "statefulset/llm 1 unknown 250m/- unknown 512Mi/1Gi 2",
            "statefulset/web 2 unknown 500m/- unknown 1Gi/2Gi ",
        ]
    );
    assert!(
        host.terminal().notes[0].contains("does not serve metrics.k8s.io"),
        "{:?}",
        host.terminal().notes
    );

    with_metrics(&host);
    host.cluster(|cluster| cluster.deny("list", "metrics.k8s.io", "pods"));
    lines(&host, &[]);
    assert!(host.terminal().notes[1].contains("no permission to list pods.metrics.k8s.io"));
}

#[test]
fn unmeasured_pod_makes_usage_of_workload_unknown() {
    let host = cluster();
    with_metrics(&host);
    host.cluster(|cluster| cluster.remove("metrics.k8s.io/PodMetrics", "web-1"));
    assert!(lines(&host, &[])[1].starts_with("statefulset/web 2 unknown"));
}

#[test]
fn json_output_has_numbers() {
    let host = cluster();
    with_metrics(&host);
    host.format(Format::Json);
    host.run::<Plugin>(&[]).unwrap();
    let rows: Value = serde_json::from_str(&host.terminal().stdout).unwrap();
    assert_eq!(rows[0]["component"], "statefulset/llm");
    assert_eq!(rows[0]["gpu"], 2);
    assert_eq!(rows[0]["requests"]["cpu"], 0.25);
    assert_eq!(rows[0]["used"]["memory"], 500 << 20);
}

#[test]
fn listing_without_permission_is_forbidden() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("list", "", "pods"));
    assert_eq!(host.run::<Plugin>(&[]).unwrap_err().code, ErrorCode::Forbidden);
}

#[test]
fn watch_refreshes_usage() {
    let host = cluster();
    with_metrics(&host);
    host.at(std::time::Duration::from_secs(20), |cluster| cluster.remove("Pod", "llm-0"));
    assert_eq!(host.run::<Plugin>(&["--watch"]), Ok(Exit::OK), "the watch ends with the script of the test");
    let stdout = host.terminal().stdout.clone();
    assert!(stdout.contains("statefulset/llm") && stdout.contains("statefulset/web"), "{stdout}");
    assert_eq!(host.terminal().rows.len(), 1, "deleted pods are not shown");
}

#[test]
fn broken_metrics_server_makes_usage_unknown() {
    for code in [ErrorCode::Unreachable, ErrorCode::Internal, ErrorCode::TimedOut, ErrorCode::Expired] {
        let host = cluster();
        with_metrics(&host);
        let away = "the API server is not ready: the server is currently unable to handle the request (503)";
        host.cluster(|cluster| cluster.fail("list", "PodMetrics", Error::new(code, away)));
        assert_eq!(lines(&host, &[]).len(), 2);
        let note = format!("CPU and memory usage unknown: metrics.k8s.io is unavailable: {away}");
        assert_eq!(host.terminal().notes, [note]);
    }
}

#[test]
fn broken_train_jobs_are_skipped_with_warning() {
    let host = cluster();
    with_metrics(&host);
    host.serve("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs");
    host.cluster(|cluster| {
        cluster.fail("list", "TrainJob", Error::new(ErrorCode::Internal, "webhook failed"))
    });
    assert_eq!(lines(&host, &[]).len(), 2);
    assert_eq!(host.terminal().notes, ["warning: skipped: training jobs (webhook failed)"]);
}

#[test]
fn all_namespaces_are_one_table_largest_first() {
    let host = cluster();
    with_metrics(&host);
    for (kind, version) in [("Pod", "v1"), ("PodMetrics", "metrics.k8s.io/v1beta1")] {
        host.put(json!({ "apiVersion": version, "kind": kind,
            "metadata": { "name": "web-0", "namespace": "team-b" },
            "spec": { "containers": [{ "resources": { "requests": { "cpu": "4" } } }] },
            "status": { "phase": "Running" },
            "containers": [{ "usage": { "cpu": "3", "memory": "7Gi" } }],
        }));
    }
    let all = lines(&host, &["-A"]);
    let first: Vec<_> =
        all.iter().map(|line| line.split(' ').take(2).collect::<Vec<_>>().join(" ")).collect();
    assert_eq!(first, ["team-a statefulset/llm", "team-b pod/web-0", "team-a statefulset/web"]);
    // Pods of the same name in two namespaces are measured separately.
    assert!(all[1].contains(" 3 4/- 7Gi "), "{all:?}");
    assert_eq!(lines(&host, &["-A", "--pods"]).len(), 4);
    host.cluster(|cluster| cluster.deny("list", "", "pods"));
    assert_eq!(host.run::<Plugin>(&["-A"]).unwrap_err().code, ErrorCode::Forbidden);
}
