//! `kf shell` and its debug container.

use std::time::Duration;

use kf_plugin_sdk::ProcessOutput;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::FakeHost;
use kf_plugin_shell::Plugin;
use serde_json::json;

fn cluster(interactive: bool) -> FakeHost {
    let host = FakeHost::new("team-a");
    host.change_context(|context| context.interactive = interactive);
    host.put(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web" },
        "spec": { "containers": [{ "name": "main", "securityContext": { "runAsUser": 1000 } }] },
        "status": { "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] },
    }));
    host
}

fn without_shell(host: &FakeHost) {
    host.on_session(|session| match session.command.is_empty() {
        true => Ok(ProcessOutput { exit_code: 3, ..ProcessOutput::default() }),
        false => Err(Error::not_found("program `sh` not found in the container")),
    });
}

#[test]
fn interactive_session_gets_terminal_and_pipe_does_not() {
    for interactive in [true, false] {
        let host = cluster(interactive);
        host.run::<Plugin>(&["web"]).unwrap();
        let opened = host.opened_sessions().remove(0);
        assert_eq!((opened.options.stdin, opened.options.tty), (true, interactive));
        assert_eq!(opened.command[..2], ["sh", "-c"]);
        assert!(opened.command[2].contains("exec bash"));
    }
}

#[test]
fn shell_flag_is_one_word() {
    let host = cluster(true);
    host.run::<Plugin>(&["web", "--shell", "/bin/zsh -x"]).unwrap();
    assert_eq!(host.opened_sessions()[0].command, ["/bin/zsh -x"]);
}

#[test]
fn image_without_shell_hints_at_debug() {
    let host = cluster(true);
    without_shell(&host);
    let error = host.run::<Plugin>(&["web"]).unwrap_err();
    assert_eq!(error.message, "the image of container main in pod web has no shell");
    assert_eq!(error.hint.as_deref(), Some("kf shell web --debug"));
}

/// Sets the status of the debug container after a second.
fn soon(host: &FakeHost, state: serde_json::Value) {
    host.at(Duration::from_secs(1), move |cluster| {
        cluster.change("Pod", "web", |pod| {
            pod.set("/status/ephemeralContainerStatuses", json!([{ "name": "kf-debug-1", "state": state }]));
        });
    });
}

#[test]
fn debug_container_copies_security_context_of_target() {
    let host = cluster(true);
    without_shell(&host);
    soon(&host, json!({ "running": {} }));
    let exit = host.run::<Plugin>(&["web", "--debug"]).unwrap();
    assert_eq!(exit.code(), 3);
    let patch = host.cluster(|cluster| cluster.writes()[0].body.clone());
    let container = &patch["spec"]["ephemeralContainers"][0];
    assert_eq!(container["name"], "kf-debug-1");
    assert_eq!(container["targetContainerName"], "main");
    assert_eq!(container["securityContext"], json!({ "runAsUser": 1000 }));
    let opened = host.opened_sessions().remove(0);
    assert_eq!(opened.options.container.as_deref(), Some("kf-debug-1"));
    assert!(opened.options.tty);
}

#[test]
fn debug_image_pull_failure_is_reported() {
    let host = cluster(true);
    soon(&host, json!({ "waiting": { "reason": "ErrImagePull", "message": "no such host" } }));
    let error = host.run::<Plugin>(&["web", "--debug", "--debug-image", "x"]).unwrap_err();
    assert_eq!(error.message, "container kf-debug-1 failed to start: ErrImagePull: no such host");
    assert!(host.opened_sessions().is_empty());
}
