//! A cluster of which one part fails: the others are shown, and what is missing is said in one line.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::common::Home;
use crate::common::faulty::{Answer, Faulty, PODS, honest, list, pod, served};
use crate::common::lines::Following;
use crate::common::requests::Request;
use crate::common::terminal::Terminal;
use crate::kf_snapshot;

const SERVING: &str = "serving.kserve.io";

/// Inference services whose conversion webhook fails, whatever is asked of them.
fn with_broken_kind(asked: &Request) -> Answer {
    let words = "conversion webhook for serving.kserve.io/v1beta1, Kind=InferenceService failed: Post \
                 \"https://kserve.kserve.svc:443/convert?timeout=30s\": dial tcp 10.0.0.9:443: connect: connection refused";
    if let Some(discovery) = served(asked, SERVING, "v1beta1", "InferenceService", "inferenceservices") {
        return discovery;
    }
    match asked.path.starts_with(&format!("/apis/{SERVING}/")) {
        true => Answer::status(500, "InternalError", words),
        false => honest(asked),
    }
}

#[test]
fn one_kind_whose_webhook_fails_is_left_out() {
    let faulty = Faulty::serve(with_broken_kind);
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
fn kind_that_is_broken_at_first_joins_the_watch_once_it_is_mended() {
    let mended = Arc::new(AtomicBool::new(false));
    let is_mended = Arc::clone(&mended);
    let faulty = Faulty::serve(move |asked| {
        let services = asked.path.ends_with("/namespaces/team-a/inferenceservices");
        match services && is_mended.load(Ordering::SeqCst) {
            true if asked.query.contains("watch=true") => Answer::Open(""),
            true => {
                list(&[json!({ "metadata": { "name": "iris", "namespace": "team-a", "uid": "iris" } })], "")
            }
            false => with_broken_kind(asked),
        }
    });
    let home = Home::with_commands(&["status"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let following = Following::start(&home, &["status", "--watch", "--kubeconfig", &kubeconfig]);
    following.told("skipped: inference services (the API server answered 500: ");
    following.line("pod");
    mended.store(true, Ordering::SeqCst);
    following.line("inferenceservice  iris");
    following.told("inference services can be read again");
}

#[test]
fn metrics_server_that_is_away_leaves_use_unknown() {
    let faulty = Faulty::serve(|asked| match asked.path.as_str() {
        "/apis/metrics.k8s.io" => Answer::Json(200, json!({ "versions": [{ "version": "v1beta1" }] })),
        // As kube-aggregator says it.
        path if path.starts_with("/apis/metrics.k8s.io/") => Answer::Text(503, "service unavailable\n"),
        _ => honest(asked),
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
fn list_that_expires_between_two_pages_is_read_anew() {
    let lists = AtomicUsize::new(0);
    let faulty = Faulty::serve(move |asked| match asked.path.as_str() {
        PODS if asked.query.contains("watch=true") => Answer::Open(""),
        PODS if asked.query.contains("continue=old") => {
            Answer::status(410, "Expired", "The provided continue parameter is too old")
        }
        PODS if asked.query.contains("continue=new") => list(&[pod("c")], ""),
        PODS => match lists.fetch_add(1, Ordering::SeqCst) {
            0 => list(&[pod("gone")], "old"),
            _ => list(&[pod("a"), pod("b")], "new"),
        },
        _ => honest(asked),
    });
    let home = Home::with_commands(&["status"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let ran = home.run(["status", "-o", "name", "--kubeconfig", &kubeconfig]).success();
    assert_eq!(ran.stdout, "pod/a\npod/b\npod/c\n", "{}", ran.transcript());
    assert_eq!(ran.stderr, "");
}

#[test]
fn busy_server_is_waited_for_as_it_asks() {
    // Fewer than kf sends one request again.
    let (pods, reviews) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let is_busy = |count: &AtomicUsize| count.fetch_add(1, Ordering::SeqCst) < 8;
    let faulty = Faulty::serve(move |asked| {
        let busy = match asked.path.as_str() {
            PODS => is_busy(&pods),
            path => path.ends_with("selfsubjectaccessreviews") && is_busy(&reviews),
        };
        if busy { Answer::Busy(429, 0) } else { honest(asked) }
    });
    let home = Home::with_commands(&["status", "hello"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let ran = home.run(["status", "-o", "name", "--kubeconfig", &kubeconfig]).success();
    assert_eq!((ran.stdout.as_str(), ran.stderr.as_str()), ("pod/web\n", ""));
    // And by kf's own questions.
    let listed =
        home.run(["command", "list", "--available", "-o", "json", "--kubeconfig", &kubeconfig]).success();
    let listed: Value = serde_json::from_str(&listed.stdout).unwrap();
    let status = listed.as_array().unwrap().iter().find(|row| row["name"] == "status").unwrap();
    assert_eq!(status["here"], "ready", "{status}");
}

#[test]
fn older_cluster_says_who_the_user_is_or_what_is_missing() {
    const GROUP: &str = "/apis/authentication.k8s.io";
    let cluster = |version: &'static str| {
        Faulty::serve(move |asked| match asked.path.strip_prefix(GROUP) {
            Some("") => {
                Answer::Json(200, json!({ "versions": [{ "version": "v1" }, { "version": "v1beta1" }] }))
            }
            Some("/v1beta1") if version == "v1beta1" => {
                let review = json!({ "name": "selfsubjectreviews", "kind": "SelfSubjectReview", "namespaced": false,
                                     "verbs": ["create"] });
                Answer::Json(200, json!({ "resources": [review] }))
            }
            Some("/v1beta1/selfsubjectreviews") if version == "v1beta1" => {
                let ada = json!({ "username": "ada", "groups": ["ml"] });
                Answer::Json(201, json!({ "status": { "userInfo": ada } }))
            }
            _ => honest(asked),
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

/// A server whose sessions take any command and never say a word.
fn with_sessions(asked: &Request) -> Answer {
    match asked.header("sec-websocket-protocol") {
        Some(offered) if offered.contains("v5.channel.k8s.io") => Answer::Session("v5.channel.k8s.io"),
        _ => honest(asked),
    }
}

#[test]
fn command_that_is_interrupted_is_said_to_keep_running() {
    let faulty = Faulty::serve(with_sessions);
    let home = Home::with_commands(&["run"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let mut terminal =
        Terminal::start(home.kf(["run", "pod/web", "--kubeconfig", &kubeconfig, "--", "sleep", "50"]));
    terminal.expect("started");
    let screen = terminal.interrupt();
    assert_eq!(screen, "started\n^C\n`sleep` keeps running in pod web, container main\ninterrupted\n");
}

#[test]
fn follow_that_is_interrupted_is_no_error() {
    let faulty = Faulty::serve(|asked| match asked.path.ends_with("/log") {
        true => Answer::Open("epoch=1\n"),
        false => honest(asked),
    });
    let home = Home::with_commands(&["logs"]);
    let kubeconfig = faulty.kubeconfig(&home);
    let mut terminal = Terminal::start(home.kf(["logs", "pod/web", "-f", "--kubeconfig", &kubeconfig]));
    terminal.expect("epoch=1");
    assert_eq!(terminal.interrupt(), "epoch=1\n^C\ninterrupted\n");
}

/// The session is refused before the server could start anything.
#[test]
fn old_server_starts_no_command_whose_stdin_it_cannot_end() {
    let faulty = Faulty::serve(|asked| match asked.header("sec-websocket-protocol") {
        Some(offered) if offered.contains("v4.channel.k8s.io") => Answer::Session("v4.channel.k8s.io"),
        Some(_) => Answer::Text(403, ""),
        None => honest(asked),
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
    assert_eq!(faulty.asked().iter().filter(|asked| asked.contains("/exec?")).count(), 1);
}
