//! The `node` profile runs real containers and Kubeflow Trainer.

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use super::{apply, cluster, kubectl, wait_for};
use crate::common::wait_for_exit;
use kf_tests::cluster::{TestNamespace, User, skip_without_node, skip_without_own_node};

/// Once it has mounted its own `/proc`, its identity can no longer be looked up by PID.
#[test]
fn first_node_process_waits_until_recorded() {
    if skip_without_own_node("first_node_process_waits_until_recorded") {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let plan = serde_json::json!({"programs": [], "node": {"link": {"number": 0}}});
    fs_err::write(directory.path().join("plan.json"), plan.to_string()).unwrap();
    let mut gate = Command::new(env!("CARGO_BIN_EXE_kf-test-cluster"))
        .arg("node-gate")
        .arg(directory.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut supervisor = gate.stdin.take().unwrap();
    let mut lines = BufReader::new(gate.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().as_deref(), Some("unshared"));
    supervisor.write_all(b"connected\n").unwrap();
    let first = lines.next().unwrap_or_default();
    // The supervisor ends instead of recording it.
    drop(supervisor);
    assert_eq!(wait_for_exit(&mut gate).code(), Some(1));
    assert!(!directory.path().join("mounts").exists(), "it mounted something");
    assert!(first.starts_with("first "), "{first}");
}

#[test]
fn train_job_of_two_nodes_completes() {
    if skip_without_node("train_job_of_two_nodes_completes") {
        return;
    }
    let namespace = TestNamespace::new(cluster(), "two-nodes").unwrap();
    let dana = namespace.kubeconfig(User::DataScientist);
    apply(
        &namespace,
        User::DataScientist,
        "apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: pair}
spec:
  runtimeRef: {name: kf-test}
  trainer:
    numNodes: 2
    env: [{name: EPOCHS, value: '3'}, {name: EPOCH_SECONDS, value: '0.1'}]
",
    );
    wait_for(&namespace, "--for=condition=Complete", "trainjob/pair");
    for rank in 0..2 {
        let (code, log) =
            kubectl(&dana, &["logs", "-l", &format!("batch.kubernetes.io/job-completion-index={rank}")]);
        assert_eq!(code, Some(0), "{log}");
        assert!(log.contains(&format!("rank={rank} nodes=2")), "{log}");
        let losses: Vec<f64> =
            log.lines().filter_map(|line| line.split_once("loss=")?.1.parse().ok()).collect();
        assert_eq!(losses.len(), 3, "{log}");
        assert!(losses.windows(2).all(|pair| pair[1] < pair[0]), "{log}");
    }
}

#[test]
fn failing_train_job_is_reported_as_failed() {
    if skip_without_node("failing_train_job_is_reported_as_failed") {
        return;
    }
    let namespace = TestNamespace::new(cluster(), "failing").unwrap();
    apply(
        &namespace,
        User::DataScientist,
        "apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {name: fails}
spec:
  runtimeRef: {name: kf-test}
  trainer:
    env: [{name: FAIL_AT, value: '2'}, {name: EPOCH_SECONDS, value: '0.1'}]
",
    );
    wait_for(&namespace, "--for=condition=Failed", "trainjob/fails");
}

#[test]
fn exec_returns_exit_code() {
    if skip_without_node("exec_returns_exit_code") {
        return;
    }
    let namespace = TestNamespace::new(cluster(), "exec").unwrap();
    apply(
        &namespace,
        User::DataScientist,
        "apiVersion: v1
kind: Pod
metadata: {name: shell}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: 'kf.test/busybox:1', command: [sleep, infinity]}]
",
    );
    let dana = namespace.kubeconfig(User::DataScientist);
    wait_for(&namespace, "--for=condition=Ready", "pod/shell");
    let (code, answer) = kubectl(&dana, &["exec", "shell", "--", "sh", "-c", "echo hello; exit 7"]);
    assert_eq!(code, Some(7), "{answer}");
    assert!(answer.starts_with("hello\n"), "{answer}");

    let vic = namespace.kubeconfig(User::Viewer);
    let (code, answer) = kubectl(&vic, &["exec", "shell", "--", "true"]);
    assert_eq!(code, Some(1), "{answer}");
    assert!(answer.contains("forbidden"), "{answer}");
}
