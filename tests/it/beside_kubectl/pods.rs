//! The status of pods, and exec and logs of pods that are not running.

use kf_tests::cluster::{User, skip_without_node};
use serde_json::{Value, json};

use super::{Differences, kubectl, ran};
use crate::common::team::Team;
use crate::common::until_true;

fn waiting(reason: &str) -> Value {
    json!({ "phase": "Pending", "containerStatuses": [status("main", json!({ "waiting": { "reason": reason } }))] })
}

fn ended(phase: &str, reason: &str, code: i32) -> Value {
    let state = json!({ "terminated": { "reason": reason, "exitCode": code } });
    json!({ "phase": phase, "containerStatuses": [status("main", state)] })
}

fn status(container: &str, state: Value) -> Value {
    json!({ "name": container, "state": state, "ready": false, "restartCount": 0, "image": "i", "imageID": "" })
}

fn with(mut status: Value, field: &str, value: Value) -> Value {
    status[field] = value;
    status
}

/// kf's status of a pod contains the reason of kubectl's STATUS column, unless kf describes it in words.
#[test]
fn pod_reasons_match_kubectl() {
    let team = Team::new("pod-reasons");
    let home = team.home(User::DataScientist, &["status"]);
    team.apply(
        "apiVersion: v1
kind: Pod
metadata: {name: web}
spec:
  schedulerName: nobody
  initContainers: [{name: prepare, image: 'kf.test/none'}]
  containers: [{name: main, image: 'kf.test/none'}]
",
    );
    let init = |state: Value| {
        json!({ "phase": "Pending", "initContainerStatuses": [status("prepare", state)],
                "containerStatuses": [status("main", json!({ "waiting": { "reason": "PodInitializing" } }))] })
    };
    let evicted = with(
        json!({ "phase": "Failed", "reason": "Evicted" }),
        "message",
        json!("Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Gi\"."),
    );
    let mut differences = Differences::default();
    for (status, theirs, ours) in [
        (evicted.clone(), "Evicted", "Evicted"),
        (
            json!({ "phase": "Failed", "reason": "DeadlineExceeded", "message": "Pod was active on the node longer than the \
                specified deadline" }),
            "DeadlineExceeded",
            "DeadlineExceeded",
        ),
        (
            json!({ "phase": "Failed", "reason": "UnexpectedAdmissionError", "message": "no devices left" }),
            "UnexpectedAdmissionError",
            "UnexpectedAdmissionError",
        ),
        (json!({ "phase": "Unknown", "reason": "NodeLost" }), "NodeLost", "NodeLost"),
        (waiting("CreateContainerConfigError"), "CreateContainerConfigError", "CreateContainerConfigError"),
        (waiting("RunContainerError"), "RunContainerError", "RunContainerError"),
        // kf describes these reasons in words.
        (waiting("ErrImageNeverPull"), "ErrImageNeverPull", "imagePullPolicy is Never"),
        (ended("Failed", "OOMKilled", 137), "OOMKilled", "exit 137, out of memory"),
        (ended("Failed", "ContainerCannotRun", 128), "ContainerCannotRun", "cannot start"),
        (ended("Failed", "Error", 3), "Error", "exit 3"),
        (ended("Succeeded", "Completed", 0), "Completed", "Complete"),
        (waiting("ImagePullBackOff"), "ImagePullBackOff", "cannot pull image"),
        (waiting("CrashLoopBackOff"), "CrashLoopBackOff", "crashes"),
        (init(json!({ "terminated": { "reason": "Error", "exitCode": 4 } })), "Init:Error", "exit 4"),
        (init(json!({ "waiting": { "reason": "CrashLoopBackOff" } })), "Init:CrashLoopBackOff", "crashes"),
        // kubectl shows the state of the container, which the eviction caused; kf shows the pod's own reason.
        (
            with(evicted, "containerStatuses", ended("Failed", "Error", 137)["containerStatuses"].clone()),
            "Error",
            "Evicted",
        ),
    ] {
        let patch = json!({ "status": with(with(json!({ "reason": null, "message": null, "initContainerStatuses": null,
            "containerStatuses": null }), "phase", json!("Pending")), "conditions", json!(null)) });
        for body in [patch, json!({ "status": status })] {
            team.admin(&[
                "patch",
                "pod",
                "web",
                "--subresource=status",
                "--type=merge",
                "-p",
                &body.to_string(),
            ]);
        }
        let cluster = team.kubeconfig(User::DataScientist);
        let shown = ran(kubectl(&team, &home, &cluster).args(["get", "pod", "web", "--no-headers"]), &home);
        let word = shown.stdout.split_whitespace().nth(2).unwrap_or_default();
        differences.check(&format!("kubectl: {status}"), &word, &theirs, &shown);
        let described = home.run(["status", "pod/web", "-o", "json"]);
        let object: Value = serde_json::from_str(&described.stdout).unwrap_or_default();
        let text = format!(
            "{} {}",
            object["state"].as_str().unwrap_or_default(),
            object["why"].as_str().unwrap_or_default()
        );
        differences.check(&format!("kf: {status}: {text}"), &text.contains(ours), &true, &described);
    }
}

const PODS_NOT_RUNNING: &str = "apiVersion: v1
kind: Pod
metadata: {name: init-fails}
spec:
  restartPolicy: Never
  initContainers: [{name: prepare, image: 'kf.test/busybox:1', command: [sh, -c, 'echo no dataset; exit 4']}]
  containers: [{name: main, image: 'kf.test/busybox:1', command: [sleep, '100000']}]
---
apiVersion: v1
kind: Pod
metadata: {name: done}
spec:
  restartPolicy: Never
  containers: [{name: main, image: 'kf.test/busybox:1', command: [echo, trained]}]
---
apiVersion: v1
kind: Pod
metadata: {name: nopull}
spec:
  containers: [{name: main, image: 'kf.test/none:1', imagePullPolicy: Never}]
";

#[test]
fn logs_and_exec_of_pod_not_running_report_why() {
    if skip_without_node("logs_and_exec_of_pod_not_running_report_why") {
        return;
    }
    let team = Team::with_node("not-up");
    let home = team.home(User::DataScientist, &["logs", "run"]);
    team.apply(PODS_NOT_RUNNING);
    let phase = |pod: &str| team.admin(&["get", "pod", pod, "-o", "jsonpath={.status.phase}"]);
    until_true("the init container has failed", || phase("init-fails") == "Failed");
    until_true("the pod has ended", || phase("done") == "Succeeded");
    let why = "jsonpath={.status.containerStatuses[0].state.waiting.reason}";
    until_true("the image is missing", || {
        team.admin(&["get", "pod", "nopull", "-o", why]) == "ErrImageNeverPull"
    });
    let cluster = team.kubeconfig(User::DataScientist);
    let theirs = |words: &[&str]| ran(kubectl(&team, &home, &cluster).args(words), &home);

    let log = theirs(&["logs", "done"]).success().stdout;
    assert_eq!(home.run(["logs", "done"]).success().stdout, log);
    // kubectl needs the container's name. kf shows the container that failed.
    theirs(&["logs", "init-fails"]).code(1);
    let log = theirs(&["logs", "init-fails", "-c", "prepare"]).success().stdout;
    assert_eq!(log, "no dataset\n");
    let ours = home.run(["logs", "init-fails"]);
    assert!(ours.stdout.contains("no dataset"), "{}", ours.transcript());
    // A container without output: both fail with the reason.
    let refused = theirs(&["logs", "nopull"]).code(1);
    assert!(refused.stderr.contains("is waiting to start: ErrImageNeverPull"), "{}", refused.transcript());
    let ours = home.run(["logs", "nopull"]);
    assert!(ours.code == Some(5) && ours.stderr.contains("cannot pull image"), "{}", ours.transcript());

    // kubectl passes on the message of the kubelet or the API server; kf reports what the container waits for.
    for (pod, words, reason) in [
        ("done", "cannot exec", "done"),
        ("init-fails", "cannot exec", "init-fails"),
        ("nopull", "container not found", "cannot pull image"),
    ] {
        let refused = theirs(&["exec", pod, "--", "id"]).code(1);
        assert!(refused.stderr.contains(words), "{}", refused.transcript());
        let ours = home.run(["run", &format!("pod/{pod}"), "--", "id"]);
        assert_ne!(ours.code, Some(0), "{}", ours.transcript());
        assert!(ours.stderr.contains(reason) && !ours.stderr.contains("500"), "{}", ours.transcript());
    }
}
