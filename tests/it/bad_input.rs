//! Invalid arguments and files: one clear error, a distinct exit code, and nothing changed.

use kf_tests::cluster::User;

use crate::common::servers::{self, kubeconfig_for};
use crate::common::team::Team;
use crate::common::{Home, Ran};
use crate::kf_snapshot;

#[test]
fn invalid_timeout_is_refused() {
    let home = Home::with_commands(&["whoami"]);
    kf_snapshot!(home.run_unchanged(["whoami", "--request-timeout", "soon"]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid value 'soon' for '--request-timeout <DURATION>': expected a duration such as 90s or 2m
    ");
}

#[test]
fn errors_are_json_with_json_output() {
    let home = Home::with_commands(&["train", "whoami"]);
    let nowhere = kubeconfig_for(&home, &format!("https://{}", servers::closed()), None);
    for (arguments, code, word) in [
        (&["whoami"][..], 3, "unauthenticated"),
        (&["whoami", "--kubeconfig", &nowhere], 7, "unreachable"),
        (&["-n", "Team_A", "whoami", "--kubeconfig", &nowhere], 2, "usage"),
        (&["train", "mnist", "nowhere.yaml", "--kubeconfig", &nowhere], 2, "usage"),
        (&["command", "add", "train@9"], 5, "not-found"),
        (&["trian"], 5, "not-found"),
        (&["whoami", "--lod"], 2, "usage"),
    ] {
        let ran = home.run_unchanged(arguments.iter().chain(&["-o", "json"])).code(code);
        let error: serde_json::Value = serde_json::from_str(&ran.stderr).unwrap();
        assert_eq!(error["error"]["code"], word, "{}", ran.transcript());
        assert!(error["error"]["message"].is_string(), "{}", ran.transcript());
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn invalid_namespace_is_refused() {
    let home = Home::with_commands(&["status"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    kf_snapshot!(home.run_unchanged(["-n", "Team_A", "status", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: invalid namespace `Team_A`: only lower-case letters, digits and `-`
    ");
}

#[test]
fn namespace_without_access_is_forbidden() {
    let team = Team::new("elsewhere");
    let home = team.home(User::DataScientist, &["status"]);
    kf_snapshot!(home.run_unchanged(["-n", "nowhere", "status"]), @"
    exit: 4
    ----- stdout -----
    ----- stderr -----
    error: status is not allowed to list pods in nowhere
      requested by status ✓
      allowed by registry ✓
      accepted by you     ✓
      environment nowhere ✓
      your own rights     ✗ dana has no `list pods` in nowhere
      also missing: watch pods
    hint: ask an owner of nowhere (role admin or kubeflow-admin)
    ");
}

#[test]
fn job_in_missing_namespace_is_not_found() {
    let team = Team::new("no-such");
    let home = team.home(User::Admin, &["train"]);
    kf_snapshot!(home.run_unchanged(["-n", "nowhere", "train", "mnist", "--runtime", "kf-test"]), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: namespace nowhere not found
    ");
}

fn job_file(home: &Home, text: &str) {
    fs_err::write(home.path().join("job.yaml"), text).unwrap();
}

const JOB: &str = "apiVersion: trainer.kubeflow.org/v1alpha1\nkind: TrainJob\n";

#[test]
fn file_with_invalid_yaml_is_refused() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    job_file(&home, "spec:\n  trainer: {numNodes: 2\n  runtimeRef: [\n");
    kf_snapshot!(home.run_unchanged(["train", "mnist", "job.yaml", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: job.yaml is not valid YAML: line 3 column 13: while parsing a flow mapping, did not find expected ',' or '}'
    ");
}

#[test]
fn file_with_another_kind_is_refused() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    job_file(&home, "apiVersion: v1\nkind: Secret\nmetadata: {name: loot}\n");
    kf_snapshot!(home.run_unchanged(["train", "mnist", "job.yaml", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: job.yaml contains a Secret; kf train applies only TrainJobs of trainer.kubeflow.org, PyTorchJobs of kubeflow.org and similar kinds
    hint: train: move it to a separate file
    ");
}

#[test]
fn missing_file_is_reported() {
    let home = Home::with_commands(&["train"]);
    let kubeconfig = kubeconfig_for(&home, "https://127.0.0.1:1", None);
    kf_snapshot!(home.run_unchanged(["train", "mnist", "job.yaml", "--kubeconfig", &kubeconfig]), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: failed to open file `job.yaml`: No such file or directory (os error 2)
    ");
}

/// Runs kf with a job that the cluster refuses, and asserts that nothing was created.
#[track_caller]
fn refused_by_the_cluster(team: &Team, arguments: &[&str], file: &str) -> Ran {
    let home = team.home(User::DataScientist, &["train"]);
    job_file(&home, file);
    let before = team.versions();
    let ran = home.run_unchanged(arguments);
    assert_eq!(team.versions(), before);
    ran
}

#[test]
fn job_with_wrong_type_is_refused() {
    let team = Team::new("schema");
    let job = format!("{JOB}spec: {{runtimeRef: {{name: kf-test}}, trainer: {{numNodes: two}}}}\n");
    kf_snapshot!(refused_by_the_cluster(&team, &["train", "mnist", "job.yaml"], &job), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: the cluster rejected the training job: .spec.trainer.numNodes: expected numeric (int or float), got string
    ");
}

#[test]
fn job_with_unknown_field_is_refused() {
    let team = Team::new("field");
    let job = format!("{JOB}spec: {{runtimeRef: {{name: kf-test}}, trainer: {{nodes: 2}}}}\n");
    kf_snapshot!(refused_by_the_cluster(&team, &["train", "mnist", "job.yaml"], &job), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: the cluster rejected the training job: .spec.trainer.nodes: field not declared in schema
    ");
}

#[test]
fn unknown_runtime_lists_existing_ones() {
    let team = Team::new("runtime");
    let job = format!("{JOB}spec: {{runtimeRef: {{name: kf-tset}}}}\n");
    kf_snapshot!(refused_by_the_cluster(&team, &["train", "mnist", "job.yaml"], &job), @"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: train: no training runtime `kf-tset`; available: kf-test
    hint: kf train mnist job.yaml --runtime kf-test
    ");
}
