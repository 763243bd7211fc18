//! `kf run` in the pods of a workload.

use kf_plugin_run::Plugin;
use kf_plugin_sdk::ProcessOutput;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use serde_json::{Value, json};

fn pod(name: &str, minute: u32) -> Value {
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {
            "name": name, "labels": { "app": "web" },
            "creationTimestamp": format!("2026-01-01T12:{minute:02}:00Z"),
        },
        "spec": { "containers": [{ "name": "istio-proxy" }, { "name": "main" }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    })
}

fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("apps", "v1", "Deployment", "deployments");
    host.put(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "web" }, "spec": { "selector": { "matchLabels": { "app": "web" } } },
    }));
    host.put(pod("web-old", 1));
    host.put(pod("web-new", 2));
    host
}

fn ends(host: &FakeHost, code: i32) {
    host.on_session(move |_| Ok(ProcessOutput { exit_code: code, ..ProcessOutput::default() }));
}

#[test]
fn newest_pod_is_used_and_its_exit_code_returned() {
    let host = cluster();
    ends(&host, 7);
    let exit = host.run::<Plugin>(&["web", "--", "sh", "-c", "exit 7"]).unwrap();
    assert_eq!(exit.code(), 7);
    let opened = host.opened_sessions();
    assert_eq!(opened[0].pod, "web-new");
    assert_eq!(opened[0].command, ["sh", "-c", "exit 7"]);
    assert_eq!(opened[0].options.container.as_deref(), Some("main"));
    assert!(host.terminal().notes.iter().any(|note| note == "in pod web-new, container main"));
}

#[test]
fn exit_code_of_command_is_passed_on() {
    for (code, expected) in [(0, 0), (1, 1), (2, 2), (137, 137), (255, 255), (256, 1), (-1, 1)] {
        let host = cluster();
        ends(&host, code);
        assert_eq!(host.run::<Plugin>(&["web", "--", "x"]).unwrap().code(), expected);
    }
}

#[test]
fn stdin_is_passed_if_piped_or_requested() {
    let asked = |interactive: bool, words: &[&str]| {
        let host = cluster();
        host.change_context(|context| context.interactive = interactive);
        let words: Vec<&str> = [&["web"], words, &["--", "cat"]].concat();
        host.run::<Plugin>(&words).unwrap();
        let options = host.opened_sessions().remove(0).options;
        (options.stdin, options.tty)
    };
    assert_eq!(asked(true, &[]), (false, false));
    assert_eq!(asked(true, &["-i"]), (true, false));
    assert_eq!(asked(true, &["-t"]), (true, true));
    assert_eq!(asked(true, &["-it"]), (true, true));
    assert_eq!(asked(false, &[]), (true, false));
    assert_eq!(asked(false, &["--no-stdin"]), (false, false));
}

#[test]
fn only_pods_and_containers_of_workload_can_be_chosen() {
    let host = cluster();
    host.put(pod("other", 3));
    host.run::<Plugin>(&["web", "--pod", "web-old", "-c", "istio-proxy", "--", "x"]).unwrap();
    let opened = host.opened_sessions();
    assert_eq!(opened[0].pod, "web-old");
    assert_eq!(opened[0].options.container.as_deref(), Some("istio-proxy"));
    let error = host.run::<Plugin>(&["web", "--pod", "gone", "--", "x"]).unwrap_err();
    assert!(error.is(ErrorCode::NotFound), "{error}");
    let error = host.run::<Plugin>(&["web", "-c", "nope", "--", "x"]).unwrap_err();
    assert!(error.is(ErrorCode::Invalid), "{error}");
}

#[test]
fn workload_without_running_pod_is_refused() {
    let host = cluster();
    for name in ["web-old", "web-new"] {
        host.cluster(|cluster| cluster.remove("Pod", name));
    }
    let error = host.run::<Plugin>(&["web", "--", "x"]).unwrap_err();
    assert!(error.message.contains("no running pod"), "{error}");
    assert!(host.opened_sessions().is_empty());
}

#[test]
fn shell_line_hints_at_sh() {
    let host = cluster();
    host.on_session(|_| Err(Error::not_found("program `ls -l` not found in the container")));
    let error = host.run::<Plugin>(&["web", "--no-stdin", "--", "ls -l"]).unwrap_err();
    assert_eq!(error.hint.as_deref(), Some("kf run web --no-stdin -- sh -c 'ls -l'"));
}

#[test]
fn viewer_is_forbidden() {
    let host = cluster();
    host.cluster(|cluster| cluster.deny("create", "", "pods/exec"));
    let error = host.run::<Plugin>(&["web", "--", "x"]).unwrap_err();
    assert!(error.is(ErrorCode::Forbidden), "{error}");
}

fn with_container(phase: &str, state: &Value) -> FakeHost {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.remove("Pod", "web-old");
        cluster.change("Pod", "web-new", |pod| {
            pod.set("/status/phase", phase);
            let side = json!({ "name": "istio-proxy", "state": { "running": {} } });
            let mut main = Object::from(state.clone());
            main.set("/name", "main");
            pod.set("/status/containerStatuses", json!([side, main.into_value()]));
        });
    });
    host
}

#[test]
fn container_not_running_is_refused_with_reason() {
    let crash = json!({ "restartCount": 4, "state": { "waiting": { "reason": "CrashLoopBackOff" } },
                        "lastState": { "terminated": { "exitCode": 1, "reason": "Error" } } });
    let pull = json!({ "image": "web:1", "state": { "waiting": { "reason": "ErrImagePull", "message": "not found" } } });
    for (state, why, hint) in [
        (crash, "crashes: exit 1, 4 restarts", "kf logs pod/web-new -c main"),
        (pull, "cannot pull image web:1: image not found", "kf status pod/web-new"),
        (
            json!({ "state": { "waiting": { "reason": "ContainerCreating" } } }),
            "starting",
            "kf status pod/web-new",
        ),
        (
            json!({ "state": { "terminated": { "exitCode": 0 } } }),
            "terminated",
            "kf logs pod/web-new -c main",
        ),
    ] {
        let host = with_container("Running", &state);
        let error = host.run::<Plugin>(&["web", "--", "x"]).unwrap_err();
        let message = format!("container main of pod web-new is not running: {why}");
        assert_eq!(error, Error::failed(message).hint(hint));
        assert!(host.opened_sessions().is_empty());
        host.run::<Plugin>(&["web", "-c", "istio-proxy", "--", "x"]).unwrap();
    }
}

#[test]
fn pending_pod_is_refused() {
    let host = cluster();
    host.cluster(|cluster| {
        cluster.change("Pod", "web-new", |pod| pod.set("/status/phase", "Pending"));
    });
    let error = host.run::<Plugin>(&["web", "--pod", "web-new", "--", "x"]).unwrap_err();
    assert_eq!(error.message, "container main of pod web-new is not running: waiting for a node");
    assert!(host.opened_sessions().is_empty());
}

#[test]
fn old_cluster_hints_at_no_stdin_if_stdin_was_implicit() {
    for (words, hint) in [(&["web"][..], Some("kf run web --no-stdin -- cat")), (&["web", "-i"], None)] {
        let host = cluster();
        host.on_session(|_| Err(Error::unsupported("this cluster does not support closing stdin")));
        let words: Vec<&str> = [words, &["--", "cat"]].concat();
        let error = host.run::<Plugin>(&words).unwrap_err();
        assert_eq!((error.code, error.hint.as_deref()), (ErrorCode::Unsupported, hint));
    }
}

#[test]
fn broken_kind_does_not_stop_command() {
    let host = cluster();
    host.serve("kubeflow.org", "v1", "Notebook", "notebooks");
    host.cluster(|cluster| {
        cluster.fail("get", "Notebook", Error::new(ErrorCode::Internal, "webhook failed"))
    });
    ends(&host, 0);
    assert_eq!(host.run::<Plugin>(&["web", "--", "x"]), Ok(Exit::OK));
    assert_eq!(host.terminal().notes[0], "warning: skipped: notebooks (webhook failed)");
}

#[test]
fn container_exit_while_session_opens_is_reported() {
    let host = with_container("Running", &json!({ "state": { "running": {} } }));
    let other = host.clone();
    host.on_session(move |_| {
        other.cluster(|cluster| {
            cluster.change("Pod", "web-new", |pod| {
                let ended = json!({ "name": "main", "state": { "terminated": { "exitCode": 3, "reason": "Error" } } });
                pod.set("/status/containerStatuses", json!([ended]));
            });
        });
        Err(Error::new(ErrorCode::Internal, "the API server answered 500: container not found"))
    });
    let error = host.run::<Plugin>(&["web", "--", "x"]).unwrap_err();
    assert_eq!(error.message, "container main of pod web-new is not running: exit 3");
}
