//! A cluster of which one part fails: the rest is shown, and one line reports what is missing.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::common::Home;
use crate::common::faulty::{FaultyServer, PODS, Response, healthy, list, pod, served};
use crate::common::lines::Following;
use crate::common::requests::Request;
use crate::common::terminal::Terminal;
use crate::kf_snapshot;

const SERVING: &str = "serving.kserve.io";

/// Inference services whose conversion webhook always fails.
fn with_broken_kind(request: &Request) -> Response {
    let words = "conversion webhook for serving.kserve.io/v1beta1, Kind=InferenceService failed: Post \
                 \"https://kserve.kserve.svc:443/convert?timeout=30s\": dial tcp 10.0.0.9:443: connect: connection refused";
    if let Some(discovery) = served(request, SERVING, "v1beta1", "InferenceService", "inferenceservices") {
        return discovery;
    }
    match request.path.starts_with(&format!("/apis/{SERVING}/")) {
        true => Response::status(500, "InternalError", words),
        false => healthy(request),
    }
}

#[test]
fn kind_with_failing_webhook_is_skipped() {
    let faulty = FaultyServer::serve(with_broken_kind);
    let home = Home::with_commands(&["status", "events", "services"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let kf = |words: &[&str]| home.run(words.iter().chain(&["--kubeconfig", &kubeconfig]));
    let ran = kf(&["status", "-o", "name"]);
    kf_snapshot!(ran, @r#"
    exit: 0
    ----- stdout -----
    pod/web
    ----- stderr -----
    warning: status: skipped: inference services (the API server answered 500: conversion webhook for serving.kserve.io/v1beta1, Kind=InferenceService failed: Post "https://kserve.kserve.svc:443/convert?timeout=30s": dial tcp 10.0.0.9:443: connect: connection refused)
    "#);
    for words in [&["events", "web"][..], &["services", "list"], &["status", "web"]] {
        let ran = kf(words).success();
        let left_out =
            |line: &&str| line.contains("skipped: inference services (the API server answered 500: ");
        assert_eq!(ran.stderr.lines().filter(left_out).count(), 1, "{}", ran.transcript());
    }
}

#[test]
fn broken_kind_joins_watch_once_it_recovers() {
    let recovered = Arc::new(AtomicBool::new(false));
    let has_recovered = Arc::clone(&recovered);
    let faulty = FaultyServer::serve(move |request| {
        let services = request.path.ends_with("/namespaces/team-a/inferenceservices");
        match services && has_recovered.load(Ordering::SeqCst) {
            true if request.query.contains("watch=true") => Response::Open(""),
            true => {
                list(&[json!({ "metadata": { "name": "iris", "namespace": "team-a", "uid": "iris" } })], "")
            }
            false => with_broken_kind(request),
        }
    });
    let home = Home::with_commands(&["status"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let following = Following::start(&home, &["status", "--watch", "--kubeconfig", &kubeconfig]);
    following.stderr_line("skipped: inference services (the API server answered 500: ");
    following.line("pod");
    recovered.store(true, Ordering::SeqCst);
    following.line("inferenceservice  iris");
    following.stderr_line("inference services can be read again");
}

#[test]
fn unavailable_metrics_server_leaves_usage_unknown() {
    let faulty = FaultyServer::serve(|request| match request.path.as_str() {
        "/apis/metrics.k8s.io" => Response::Json(200, json!({ "versions": [{ "version": "v1beta1" }] })),
        // The message of kube-aggregator.
        path if path.starts_with("/apis/metrics.k8s.io/") => Response::Text(503, "service unavailable\n"),
        _ => healthy(request),
    });
    let home = Home::with_commands(&["top"]);
    let kubeconfig = faulty.kubeconfig(&home);
    kf_snapshot!(home.run(["top", "--pods", "-o", "name", "--kubeconfig", &kubeconfig]), @"
    exit: 0
    ----- stdout -----
    pod/web
    ----- stderr -----
    top: CPU and memory usage unknown: metrics.k8s.io is unavailable: the API server is not ready: the server is currently unable to handle the request (503)
    ");
}

#[test]
fn list_that_expires_between_pages_is_restarted() {
    let lists = AtomicUsize::new(0);
    let faulty = FaultyServer::serve(move |request| match request.path.as_str() {
        PODS if request.query.contains("watch=true") => Response::Open(""),
        PODS if request.query.contains("continue=old") => {
            Response::status(410, "Expired", "The provided continue parameter is too old")
        }
        PODS if request.query.contains("continue=new") => list(&[pod("c")], ""),
        PODS => match lists.fetch_add(1, Ordering::SeqCst) {
            0 => list(&[pod("gone")], "old"),
            _ => list(&[pod("a"), pod("b")], "new"),
        },
        _ => healthy(request),
    });
    let home = Home::with_commands(&["status"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let ran = home.run(["status", "-o", "name", "--kubeconfig", &kubeconfig]).success();
    assert_eq!(ran.stdout, "pod/a\npod/b\npod/c\n", "{}", ran.transcript());
    assert_eq!(ran.stderr, "");
}

#[test]
fn busy_server_is_retried_after_its_delay() {
    // Fewer than the retries of a request.
    let (pods, reviews) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_busy = |count: &AtomicUsize| count.fetch_add(1, Ordering::SeqCst) < 8;
    let faulty = FaultyServer::serve(move |request| {
        let busy = match request.path.as_str() {
            PODS => is_busy(&pods),
            path => path.ends_with("selfsubjectaccessreviews") && is_busy(&reviews),
        };
        if busy { Response::Busy(429, 0) } else { healthy(request) }
    });
    let home = Home::with_commands(&["status", "hello"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let ran = home.run(["status", "-o", "name", "--kubeconfig", &kubeconfig]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("pod/web\n", ""));
    // Also by kf's own requests.
    let listed =
        home.run(["command", "list", "--available", "-o", "json", "--kubeconfig", &kubeconfig]).success();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let status = listed.as_array().unwrap().iter().find(|row| row["name"] == "status").unwrap();
    assert_eq!(status["here"], "ready", "{status}");
}

#[test]
fn whoami_on_older_cluster_uses_beta_or_warns() {
    const GROUP: &str = "/apis/authentication.k8s.io";
    let cluster = |version: &'static str| {
        FaultyServer::serve(move |request| match request.path.strip_prefix(GROUP) {
            Some("") => {
                Response::Json(200, json!({ "versions": [{ "version": "v1" }, { "version": "v1beta1" }] }))
            }
            Some("/v1beta1") if version == "v1beta1" => {
                let review = json!({ "name": "selfsubjectreviews", "kind": "SelfSubjectReview", "namespaced": false,
                                     "verbs": ["create"] });
                Response::Json(200, json!({ "resources": [review] }))
            }
            Some("/v1beta1/selfsubjectreviews") if version == "v1beta1" => {
                let ada = json!({ "username": "ada", "groups": ["ml"] });
                Response::Json(201, json!({ "status": { "userInfo": ada } }))
            }
            _ => healthy(request),
        })
    };
    let home = Home::with_commands(&["whoami"]);
    let beta = cluster("v1beta1").kubeconfig(&home);
    let ran = home.run(["whoami", "-o", "name", "--kubeconfig", &beta]).success();
    assert_eq!(ran.stdout, "user/ada\n");
    let older = cluster("none").kubeconfig(&home);
    kf_snapshot!(home.run(["whoami", "--kubeconfig", &older]), @"
    exit: 0
    ----- stdout -----
    USER         unknown
    GROUPS
    CLUSTER      lab
    NAMESPACE    team-a
    ROLE         admin: can also grant access to other users
    CREDENTIALS  no known expiry
    ----- stderr -----
    warning: whoami: this cluster does not serve SelfSubjectReview, which requires Kubernetes 1.28
    ");
    home.run(["whoami", "-o", "name", "--kubeconfig", &older]).code(1);
}

/// A server whose exec sessions accept any command and then send nothing.
fn with_sessions(request: &Request) -> Response {
    match request.header("sec-websocket-protocol") {
        Some(offered) if offered.contains("v5.channel.k8s.io") => Response::Session("v5.channel.k8s.io"),
        _ => healthy(request),
    }
}

#[test]
fn interrupted_run_reports_command_keeps_running() {
    let faulty = FaultyServer::serve(with_sessions);
    let home = Home::with_commands(&["run"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let mut terminal =
        Terminal::start(home.kf(["run", "pod/web", "--kubeconfig", &kubeconfig, "--", "sleep", "50"]));
    terminal.expect("started");
    let screen = terminal.interrupt();
    assert_eq!(screen, "started\n^C\n`sleep` keeps running in pod web, container main\ninterrupted\n");
}

#[test]
fn interrupted_follow_prints_no_error() {
    let faulty = FaultyServer::serve(|request| match request.path.ends_with("/log") {
        true => Response::Open("epoch=1\n"),
        false => healthy(request),
    });
    let home = Home::with_commands(&["logs"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let mut terminal = Terminal::start(home.kf(["logs", "pod/web", "-f", "--kubeconfig", &kubeconfig]));
    terminal.expect("epoch=1");
    assert_eq!(terminal.interrupt(), "epoch=1\n^C\ninterrupted\n");
}

/// The session is refused before the server starts anything.
#[test]
fn run_with_stdin_on_old_server_is_refused() {
    let faulty = FaultyServer::serve(|request| match request.header("sec-websocket-protocol") {
        Some(offered) if offered.contains("v4.channel.k8s.io") => Response::Session("v4.channel.k8s.io"),
        Some(_) => Response::Text(403, ""),
        None => healthy(request),
    });
    let home = Home::with_commands(&["run"]);
    let kubeconfig = faulty.kubeconfig(&home);
    kf_snapshot!(home.run(["run", "pod/web", "--kubeconfig", &kubeconfig, "--", "cat"]).masked(&kubeconfig, "KUBECONFIG"), @"
    exit: 1
    ----- stdout -----
    ----- stderr -----
    error: run: this cluster does not support closing stdin, which requires Kubernetes 1.30
    hint: kf run pod/web --kubeconfig KUBECONFIG --no-stdin -- cat
    ");
    assert_eq!(faulty.requests().iter().filter(|request| request.contains("/exec?")).count(), 1);
}
