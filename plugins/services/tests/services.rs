//! `kf services`: list, health and stats.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_sdk::{HttpResponse, Method};
use kf_plugin_services::Plugin;
use serde_json::{Value, json};

const ISVC: &str = "serving.kserve.io/InferenceService";

/// A service with one ready and one unready pod, and an inference service with its own service.
fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("", "v1", "Service", "services");
    host.serve("", "v1", "Endpoints", "endpoints");
    host.serve("discovery.k8s.io", "v1", "EndpointSlice", "endpointslices");
    host.serve("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices");
    host.put(json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80, "targetPort": "http" }] } }));
    host.put(pod("web-0", json!({ "app": "web" }), true));
    host.put(pod("web-1", json!({ "app": "web" }), false));
    host.put(json!({ "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
        "metadata": { "name": "web-x", "labels": { "kubernetes.io/service-name": "web" } },
        "endpoints": [
            { "addresses": ["10.0.0.1"], "targetRef": { "name": "web-0" }, "conditions": { "ready": true } },
            { "addresses": ["10.0.0.2"], "targetRef": { "name": "web-1" }, "conditions": { "ready": false } },
        ] }));
    host.put(json!({ "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService",
        "metadata": { "name": "iris" }, "status": { "url": "http://iris-team-a.example.com" } }));
    let iris = json!({ "serving.kserve.io/inferenceservice": "iris" });
    host.put(pod("iris-predictor-0", iris.clone(), true));
    host.put(json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "iris-predictor", "labels": iris },
        "spec": { "selector": { "serving.kserve.io/inferenceservice": "iris" }, "ports": [{ "port": 80 }] } }));
    host
}

fn pod(name: &str, labels: Value, ready: bool) -> Value {
    let status = if ready { "True" } else { "False" };
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": labels },
        "spec": { "containers": [{
            "ports": [{ "name": "http", "containerPort": 8080 }],
            "readinessProbe": { "httpGet": { "path": "/ready", "port": "http" } },
        }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": status }] } })
}

fn answers(host: &FakeHost, body: &'static str) {
    host.on_http(move |request| {
        assert_eq!(request.method, Method::Get);
        let status = if request.pod == "web-1" { 503 } else { 200 };
        Ok(HttpResponse { status, headers: Vec::new(), body: body.into() })
    });
}

fn lines(host: &FakeHost) -> Vec<String> {
    let text = |row: &kf_plugin_sdk::ui::Row| {
        row.cells.iter().map(|cell| cell.text.as_str()).collect::<Vec<_>>().join(" ").trim_end().to_owned()
    };
    host.terminal().rows.iter().map(text).collect()
}

#[test]
fn list_shows_addresses_and_ready_endpoints() {
    let host = cluster();
    assert_eq!(host.run::<Plugin>(&["list"]), Ok(Exit::OK));
    let shown =
        ["inferenceservice iris 1/1 http://iris-team-a.example.com", "service web 1/2 web.team-a.svc:80"];
    assert_eq!(lines(&host), shown);
    host.run::<Plugin>(&["list", "--all"]).unwrap();
    assert!(lines(&host).contains(&"service iris-predictor 0/0 iris-predictor.team-a.svc:80".to_owned()));
}

#[test]
fn list_watch_follows_changes() {
    let host = cluster();
    host.at(Duration::from_secs(12), |cluster| {
        cluster.change("discovery.k8s.io/EndpointSlice", "web-x", |slice| {
            let ready = |pod: &str| json!({ "addresses": [pod], "targetRef": { "name": pod } });
            slice.set("/endpoints", json!([ready("web-0"), ready("web-1")]))
        });
    });
    host.at(Duration::from_secs(14), |cluster| cluster.remove(ISVC, "iris"));
    assert_eq!(host.run::<Plugin>(&["list", "--watch"]), Ok(Exit::OK));
    let stdout = host.terminal().stdout.clone();
    let web = stdout.lines().filter(|line| line.contains(" web ")).map(|line| line.split_whitespace().nth(2));
    assert_eq!(web.collect::<Vec<_>>(), [Some("1/2"), Some("2/2"), Some("2/2")], "{stdout}");
    assert_eq!(stdout.matches("iris-team-a").count(), 2, "{stdout}");
    let error = host.run::<Plugin>(&["list", "none", "--watch"]).unwrap_err();
    assert_eq!(error.code, ErrorCode::NotFound);
}

#[test]
fn list_works_without_permission_for_endpoint_slices() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("list", "discovery.k8s.io", "endpointslices"));
    host.put(json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": "web" }, "subsets": [{
        "addresses": [{ "ip": "10.0.0.1" }], "notReadyAddresses": [{ "ip": "10.0.0.2" }],
    }] }));
    host.run::<Plugin>(&["list", "web"]).unwrap();
    assert_eq!(lines(&host), ["service web 1/2 web.team-a.svc:80"]);
    // Without either, the pods are used.
    host.cluster(|cluster| cluster.deny("list", "", "endpoints"));
    host.run::<Plugin>(&["list", "service/web"]).unwrap();
    assert_eq!(lines(&host), ["service web 1/2 web.team-a.svc:80"]);
}

#[test]
fn unhealthy_pod_sets_exit_code() {
    let host = cluster();
    answers(&host, "");
    assert_eq!(host.run::<Plugin>(&["health"]), Ok(Exit::FAILED));
    assert_eq!(
        lines(&host),
        [
            "inferenceservice/iris iris-predictor-0 healthy 200 0 ms :8080/ready",
            "service/web web-0 healthy 200 0 ms :8080/ready",
            "service/web web-1 unhealthy 503 0 ms :8080/ready GET /ready returned 503",
        ]
    );
    assert_eq!(host.run::<Plugin>(&["health", "iris"]), Ok(Exit::OK));
}

#[test]
fn pod_without_probe_is_healthy_with_any_answer() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.change("Pod", "web-0", |pod| {
            pod.set("/spec/containers", json!([{ "ports": [{ "name": "http", "containerPort": 9000 }] }]));
        });
        cluster.remove("Pod", "web-1");
    });
    host.on_http(|request| {
        assert_eq!((request.port, request.path.as_str()), (9000, "/"));
        Ok(HttpResponse { status: 404, ..HttpResponse::default() })
    });
    assert_eq!(host.run::<Plugin>(&["health", "web"]), Ok(Exit::OK));
}

#[test]
fn unreachable_pod_and_service_without_pods_are_unhealthy() {
    let host = cluster();
    assert_eq!(host.run::<Plugin>(&["health", "iris"]), Ok(Exit::FAILED));
    assert!(lines(&host)[0].contains("nothing listens on port 8080"), "{:?}", lines(&host));
    host.cluster(|cluster| cluster.remove("Pod", "iris-predictor-0"));
    host.run::<Plugin>(&["health", "iris"]).unwrap();
    assert!(lines(&host)[0].ends_with("it has no pods"), "{:?}", lines(&host));
}

#[test]
fn health_without_port_forward_permission_is_forbidden() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("create", "", "pods/portforward"));
    assert_eq!(host.run::<Plugin>(&["health"]).unwrap_err().code, ErrorCode::Forbidden);
    assert_eq!(host.run::<Plugin>(&["list"]), Ok(Exit::OK));
}

#[test]
fn stats_reads_request_counter_of_pods() {
    let host = cluster();
    answers(&host, "http_requests_total{code=\"200\"} 41\nhttp_requests_total{code=\"500\"} 1\n");
    host.cluster(|cluster| {
        cluster.change("Pod", "iris-predictor-0", |pod| {
            let annotations = json!({ "prometheus.io/scrape": "true", "prometheus.io/port": "8080" });
            pod.set("/metadata/annotations", annotations);
        });
    });
    host.serve("metrics.k8s.io", "v1beta1", "PodMetrics", "pods");
    host.put(json!({ "apiVersion": "metrics.k8s.io/v1beta1", "kind": "PodMetrics",
        "metadata": { "name": "iris-predictor-0" },
        "containers": [{ "usage": { "cpu": "100m", "memory": "64Mi" } }] }));
    assert_eq!(host.run::<Plugin>(&["stats"]), Ok(Exit::OK));
    assert_eq!(
        lines(&host),
        ["inferenceservice/iris 1 100m 64Mi 42 http_requests_total", "service/web 2 unknown unknown unknown"]
    );
    let notes = host.terminal().notes.clone();
    assert!(notes.iter().any(|note| note.ends_with("prometheus.io/port): service/web")), "{notes:?}");
}

#[test]
fn stats_without_metrics_server_notes_it() {
    let host = cluster();
    assert_eq!(host.run::<Plugin>(&["stats"]), Ok(Exit::OK));
    assert!(
        host.terminal().notes[0].contains("does not serve metrics.k8s.io"),
        "{:?}",
        host.terminal().notes
    );
}

#[test]
fn unknown_name_and_empty_namespace_are_reported() {
    let host = cluster();
    let error = host.run::<Plugin>(&["list", "irsi"]).unwrap_err();
    assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::NotFound, Some("kf services list")));
    let empty = FakeHost::new("team-a");
    empty.serve("", "v1", "Service", "services");
    assert_eq!(empty.run::<Plugin>(&["list"]), Ok(Exit::OK));
    assert_eq!(empty.terminal().notes, ["no services in team-a"]);
}

#[test]
fn headless_service_of_train_job_is_hidden() {
    let host = cluster();
    let owner = json!([{ "kind": "JobSet", "name": "mnist", "uid": "1", "controller": true }]);
    host.put(json!({ "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "mnist", "ownerReferences": owner }, "spec": { "clusterIP": "None" } }));
    assert_eq!(host.run::<Plugin>(&["list"]), Ok(Exit::OK));
    assert!(lines(&host).iter().all(|line| !line.contains("mnist")), "{:?}", lines(&host));
    assert_eq!(host.run::<Plugin>(&["list", "--all"]), Ok(Exit::OK));
    assert!(lines(&host).iter().any(|line| line.contains("mnist")), "{:?}", lines(&host));
}

#[test]
fn pod_is_checked_at_port_of_readiness_probe() {
    let host = cluster();
    host.put(json!({ "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": "iris-predictor-0", "labels": { "serving.kserve.io/inferenceservice": "iris" } },
        "spec": { "containers": [{ "readinessProbe": { "tcpSocket": { "port": 9000 } } }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] } }));
    host.on_http(|request| {
        assert_eq!(request.port, 9000);
        Ok(HttpResponse { status: 404, headers: Vec::new(), body: Vec::new() })
    });
    assert_eq!(host.run::<Plugin>(&["health", "iris"]), Ok(Exit::OK));
}

#[test]
fn workspace_is_listed_and_its_service_hidden() {
    let host = cluster();
    host.serve("kubeflow.org", "v1beta1", "Workspace", "workspaces");
    let label = json!({ "notebooks.kubeflow.org/workspace-name": "alice" });
    host.put(
        json!({ "apiVersion": "kubeflow.org/v1beta1", "kind": "Workspace", "metadata": { "name": "alice" } }),
    );
    host.put(pod("ws-alice-x-0", label.clone(), true));
    host.put(json!({ "apiVersion": "v1", "kind": "Service",
        "metadata": { "name": "ws-alice-y", "labels": label, "ownerReferences": [
            { "apiVersion": "kubeflow.org/v1beta1", "kind": "Workspace", "name": "alice", "controller": true },
        ] },
        "spec": { "selector": { "notebooks.kubeflow.org/workspace-name": "alice" }, "ports": [{ "port": 8888 }] } }));
    host.run::<Plugin>(&["list"]).unwrap();
    assert!(lines(&host).contains(&"workspace alice 1/1 /workspace/connect/team-a/alice/".to_owned()));
    assert!(!lines(&host).iter().any(|line| line.contains("ws-alice-y")), "{:?}", lines(&host));
}

#[test]
fn broken_kinds_are_skipped_with_warning() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.fail("list", "InferenceService", Error::new(ErrorCode::Internal, "webhook failed"));
        cluster.fail("list", "EndpointSlice", Error::new(ErrorCode::Unreachable, "not ready"));
    });
    host.put(json!({ "apiVersion": "v1", "kind": "Endpoints", "metadata": { "name": "web" },
        "subsets": [{ "addresses": [{}], "notReadyAddresses": [{}] }] }));
    host.run::<Plugin>(&["list"]).unwrap();
    assert!(lines(&host).iter().any(|line| line.starts_with("service web 1/2")), "{:?}", lines(&host));
    let left_out = "warning: skipped: endpoint slices (not ready); inference services (webhook failed)";
    assert_eq!(host.terminal().notes, [left_out]);
}

#[test]
fn all_namespaces_lists_addresses_by_namespace() {
    let host = cluster();
    for (kind, name) in [("Service", "web"), ("Pod", "web-0")] {
        host.put(json!({ "apiVersion": "v1", "kind": kind,
            "metadata": { "name": name, "namespace": "team-b", "labels": { "app": "web" } },
            "spec": { "selector": { "app": "web" }, "ports": [{ "port": 80 }] },
            "status": { "phase": "Running" } }));
    }
    assert_eq!(host.run::<Plugin>(&["list", "--all-namespaces"]), Ok(Exit::OK));
    assert_eq!(
        lines(&host),
        [
            "team-a inferenceservice iris 1/1 http://iris-team-a.example.com",
            "team-a service web 1/2 web.team-a.svc:80",
            "team-b service web 0/0 web.team-b.svc:80",
        ]
    );
    host.cluster(|cluster| cluster.deny("list", "", "services"));
    assert_eq!(host.run::<Plugin>(&["list", "-A"]).unwrap_err().code, ErrorCode::Forbidden);
}
