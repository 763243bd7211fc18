//! Other clusters than the one that the harness builds: an existing one, and envtest's binaries.

use std::process::Command;

use kf_tests::cluster::{
    ASSETS_VARIABLE, Cluster, Part, Profile, TEAM_A, TEAM_B, TestNamespace, User, progress,
};

use super::hold;
use crate::common::wait_for_exit;

fn can(cluster: &Cluster, user: User, verb: &str, resource: &str, namespace: &str) -> bool {
    Command::new(cluster.kubectl())
        .arg("--kubeconfig")
        .arg(cluster.kubeconfig(user))
        .args(["auth", "can-i", "--quiet", verb, resource, "--namespace", namespace])
        .status()
        .unwrap()
        .success()
}

fn check_users(cluster: &Cluster) {
    let jobs = "trainjobs.trainer.kubeflow.org";
    assert!(can(cluster, User::Admin, "create", jobs, TEAM_B));
    assert!(can(cluster, User::DataScientist, "create", jobs, TEAM_A));
    assert!(can(cluster, User::DataScientist, "create", "pods", TEAM_A));
    assert!(!can(cluster, User::DataScientist, "create", jobs, TEAM_B));
    assert!(can(cluster, User::Viewer, "list", jobs, TEAM_A));
    assert!(!can(cluster, User::Viewer, "create", jobs, TEAM_A));
    assert!(!can(cluster, User::NoRights, "list", jobs, TEAM_A));
    let namespace = TestNamespace::new(cluster, "elsewhere").unwrap();
    assert!(can(cluster, User::DataScientist, "create", jobs, namespace.name()));
}

#[test]
fn existing_cluster_gets_the_same_users() {
    let own = Cluster::attach_or_start(Profile::Api).unwrap();
    let existing = Cluster::existing(&own.kubeconfig(User::Admin), Profile::Api, progress::silent).unwrap();
    assert_eq!(existing.server(), own.server());
    assert_ne!(existing.directory(), own.directory());
    check_users(&existing);
}

/// setup-envtest has no controller manager, so the harness does its work.
#[test]
fn envtest_binaries_suffice_for_api_profile() {
    let own = Cluster::attach_or_start(Profile::Api).unwrap();
    let assets = tempfile::tempdir().unwrap();
    for program in ["etcd", "kube-apiserver", "kubectl"] {
        let built = own.kubectl().with_file_name(program);
        std::os::unix::fs::symlink(built, assets.path().join(program)).unwrap();
    }
    let (mut holder, directory) = hold("api", &[(ASSETS_VARIABLE, assets.path())]);
    let cluster = Cluster::attach(&directory).unwrap();
    check_users(&cluster);
    assert_eq!(cluster.kubectl(), assets.path().join("kubectl"));
    let refused = cluster.require(Part::Dns).unwrap_err().to_string();
    assert!(refused.starts_with("dns runs only on a node, and this cluster has none\nhint: "), "{refused}");
    drop(holder.stdin.take());
    assert!(wait_for_exit(&mut holder).success());
    assert!(!cluster.directory().exists());
}
