//! The test cluster has what the other tests rely on, and is removed completely.

mod api_profile;
mod cleanup;
mod node_profile;
mod other_clusters;
mod parts;

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use kf_tests::cluster::{Cluster, Profile, TestNamespace, User};

use crate::common::lines::lines_of;
use crate::common::{TIMEOUT, output_of};

/// The shared cluster of this run.
fn cluster() -> &'static Cluster {
    Cluster::attach_or_start(Profile::Node).unwrap()
}

/// The exit code and the output of a kubectl call.
fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    kubectl_of(cluster(), kubeconfig, arguments)
}

fn kubectl_of(cluster: &Cluster, kubeconfig: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let mut kubectl = Command::new(cluster.kubectl());
    let output = output_of(kubectl.arg("--kubeconfig").arg(kubeconfig).args(arguments));
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// The output of a kubectl call; panics if it fails.
fn kubectl_ok(kubeconfig: &Path, arguments: &[&str]) -> String {
    let (code, answer) = kubectl(kubeconfig, arguments);
    assert_eq!(code, Some(0), "kubectl {}: {answer}", arguments.join(" "));
    answer
}

fn apply(namespace: &TestNamespace, user: User, manifest: &str) {
    let file = namespace.directory().join("manifest.yaml");
    fs_err::write(&file, manifest).unwrap();
    kubectl_ok(&namespace.kubeconfig(user), &["apply", "-f", file.to_str().unwrap()]);
}

#[track_caller]
fn wait_for(namespace: &TestNamespace, condition: &str, object: &str) {
    let dana = namespace.kubeconfig(User::DataScientist);
    let timeout = format!("--timeout={}s", TIMEOUT.as_secs());
    let (code, answer) = kubectl(&dana, &["wait", condition, &timeout, object]);
    if code != Some(0) {
        let (_, described) = kubectl(&dana, &["describe", "pods"]);
        panic!("{object}: {answer}\n{described}");
    }
}

/// A process that holds a cluster, as a test program does, and the cluster's directory.
fn hold(profile: &str, environment: &[(&str, &Path)]) -> (Child, PathBuf) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_kf-test-cluster"))
        .args(["hold", profile])
        .envs(environment.iter().copied())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = lines_of(process.stdout.take().unwrap());
    // Each step of the start has its own deadline.
    let directory = lines.recv_timeout(3 * TIMEOUT).unwrap_or_else(|_| panic!("the cluster did not start"));
    (process, PathBuf::from(directory))
}
