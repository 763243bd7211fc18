//! The `api` profile has what the other tests rely on.

use std::path::Path;

use kf_tests::cluster::{Cluster, Profile, TEAM_A, TEAM_B, TestNamespace, User};

use super::kubectl_of;

fn cluster() -> &'static Cluster {
    Cluster::attach_or_start(Profile::Api).unwrap()
}

/// Whether `kubectl` succeeded, and its output.
fn kubectl(kubeconfig: &Path, arguments: &[&str]) -> (bool, String) {
    let (code, text) = kubectl_of(cluster(), kubeconfig, arguments);
    (code == Some(0), text)
}

fn can(user: User, namespace: &str, verb: &str, resource: &str) -> bool {
    let (yes, answer) =
        kubectl(&cluster().kubeconfig(user), &["auth", "can-i", verb, resource, "--namespace", namespace]);
    assert_eq!(answer.contains("yes"), yes, "{answer}");
    yes
}

/// A server built with Go's newer JSON package works otherwise, but has no OpenAPI document in this encoding, which
/// breaks `kubectl apply`.
#[test]
fn open_api_is_served_as_protobuf() {
    let response = cluster()
        .get(User::Admin, "/openapi/v2", "application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
        .unwrap();
    assert!(response.len() > 100_000, "{} bytes", response.len());
}

#[test]
fn edit_role_has_rules() {
    let (ok, rules) = kubectl(
        &cluster().kubeconfig(User::Admin),
        &["get", "clusterrole", "edit", "--output=jsonpath={.rules}"],
    );
    assert!(ok && rules.contains("trainjobs") && rules.contains("pods/exec"), "{rules}");
}

#[test]
fn users_have_exactly_the_rights_of_their_role() {
    for (user, namespace, verb, resource, expected) in [
        (User::Admin, TEAM_B, "create", "trainjobs.trainer.kubeflow.org", true),
        (User::DataScientist, TEAM_A, "create", "trainjobs.trainer.kubeflow.org", true),
        (User::DataScientist, TEAM_A, "create", "pods/exec", true),
        (User::DataScientist, TEAM_B, "create", "trainjobs.trainer.kubeflow.org", false),
        (User::DataScientist, TEAM_A, "create", "clustertrainingruntimes.trainer.kubeflow.org", false),
        (User::Viewer, TEAM_A, "list", "trainjobs.trainer.kubeflow.org", true),
        (User::Viewer, TEAM_A, "get", "pods/log", true),
        (User::Viewer, TEAM_A, "get", "secrets", false),
        (User::Viewer, TEAM_A, "create", "trainjobs.trainer.kubeflow.org", false),
        (User::NoRights, TEAM_A, "list", "pods", false),
        (User::NoRights, TEAM_A, "list", "trainjobs.trainer.kubeflow.org", false),
        (User::NoRights, TEAM_A, "list", "clustertrainingruntimes.trainer.kubeflow.org", true),
    ] {
        assert_eq!(
            can(user, namespace, verb, resource),
            expected,
            "{} {verb} {resource} in {namespace}",
            user.name()
        );
    }
}

#[test]
fn each_test_has_its_own_namespace() {
    let namespace = TestNamespace::new(cluster(), "own namespace").unwrap();
    let dana = namespace.kubeconfig(User::DataScientist);
    let manifest = namespace.directory().join("job.json");
    fs_err::write(
        &manifest,
        r#"{"apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
            "metadata": {"name": "hello"}, "spec": {"runtimeRef": {"name": "kf-test"}}}"#,
    )
    .unwrap();
    let (ok, answer) = kubectl(&dana, &["apply", "--filename", manifest.to_str().unwrap()]);
    assert!(ok, "{answer}");

    let vic = namespace.kubeconfig(User::Viewer);
    let (ok, answer) = kubectl(&vic, &["get", "trainjobs", "--output=name"]);
    assert!(ok && answer.trim() == "trainjob.trainer.kubeflow.org/hello", "{answer}");
    let (ok, answer) = kubectl(&vic, &["delete", "trainjob", "hello"]);
    assert!(!ok && answer.contains("Forbidden"), "{answer}");

    let nils = namespace.kubeconfig(User::NoRights);
    let (ok, answer) = kubectl(&nils, &["get", "trainjobs"]);
    assert!(!ok && answer.contains("Forbidden"), "{answer}");

    let gone = namespace.name().to_owned();
    drop(namespace);
    let admin = cluster().kubeconfig(User::Admin);
    let (there, phase) = kubectl(&admin, &["get", "namespace", &gone, "--output=jsonpath={.status.phase}"]);
    assert!(!there || phase == "Terminating", "{phase}");
}

#[tokio::test]
async fn namespace_can_be_created_inside_async_runtime() {
    let namespace = TestNamespace::new(cluster(), "async").unwrap();
    assert!(namespace.name().starts_with("async-"));
}
