//! `kf train`: uploaded code, resources, runtimes, and legacy training jobs.

use std::path::Path;

use kf_tests::cluster::{Part, User, skip_without_node};
use serde_json::Value;

use crate::common::team::Team;
use crate::common::{Home, until, until_true};
use crate::kf_snapshot;

/// A directory of code in a home.
fn write_code(home: &Home, greeting: &str) {
    let code = home.path().join("src");
    let write = |path: &str, text: &str| {
        let path = code.join(path);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    };
    write("run.sh", "pwd; cat data/words.txt; ls -a; echo \"epoch=1 loss=0.5 $1\"\n");
    write("data/words.txt", &format!("{greeting}\n"));
    write(".git/config", "not to be shipped\n");
    write("__pycache__/x.pyc", "nor this\n");
    link(Path::new("/etc/hostname"), &code.join("link"));
}

fn link(to: &Path, at: &Path) {
    let _old = fs_err::remove_file(at);
    std::os::unix::fs::symlink(to, at).unwrap();
}

const FROM_DIR: [&str; 9] =
    ["train", "code", "--runtime", "kf-test", "--from-dir", "src", "--cpu", "100m", "--memory=64Mi"];
const COMMAND: [&str; 4] = ["--", "sh", "run.sh", "hello"];

fn train(more: &[&'static str]) -> Vec<&'static str> {
    [&FROM_DIR, more, &COMMAND].concat()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn local_code_runs_and_is_deleted_with_job() {
    if skip_without_node("local_code_runs_and_is_deleted_with_job") {
        return;
    }
    let team = Team::with_node("from-dir");
    let home = team.home(User::DataScientist, &["train"]);
    write_code(&home, "from here");
    let ran = home.run(train(&["--wait", "--logs"])).success();
    let lines: Vec<&str> = ran.stdout.lines().collect();
    assert_eq!(lines[..2], ["/workspace", "from here"], "{}", ran.transcript());
    assert!(lines.contains(&"epoch=1 loss=0.5 hello"), "{}", ran.transcript());
    for junk in [".git", "__pycache__", "link"] {
        assert!(!lines.contains(&junk), "{}", ran.transcript());
    }
    // The pod has the requested resources.
    let pods = json(&team.admin(&["get", "pods", "-o", "json"]));
    let resources = &pods["items"][0]["spec"]["containers"][0]["resources"];
    for part in ["limits", "requests"] {
        assert_eq!(resources[part], serde_json::json!({ "cpu": "100m", "memory": "64Mi" }), "{resources}");
    }
    let maps = || {
        let maps = json(&team.admin(&["get", "configmaps", "-o", "json"]));
        let names = maps["items"].as_array().unwrap().iter().map(|map| map["metadata"]["name"].clone());
        names.filter(|name| name.as_str().unwrap().starts_with("code-code-")).collect::<Vec<_>>()
    };
    assert_eq!(maps().len(), 1);
    team.admin(&["delete", "trainjob", "code", "--cascade=foreground", "--wait=true"]);
    until(|| match maps() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("the code was not deleted with its job: {left:?}")),
    });
}

#[test]
fn large_code_is_put_on_volume() {
    if skip_without_node("large_code_is_put_on_volume") {
        return;
    }
    let team = Team::with_node("from-dir-pvc");
    team.make_claim("data");
    let home = team.home(User::DataScientist, &["train"]);
    write_code(&home, "from the volume");
    let large: String = (0..400_000).map(|number| format!("{number}\n")).collect();
    assert!(large.len() > 2 << 20);
    fs_err::write(home.path().join("src/data/large.txt"), &large).unwrap();
    let script = "cat data/words.txt; wc -c < data/large.txt; tail -n 1 data/large.txt; touch x 2>&1\n";
    fs_err::write(home.path().join("src/run.sh"), script).unwrap();
    let ran = home.run(train(&["--pvc", "data", "--wait", "--logs"])).code(1);
    assert!(ran.stderr.contains("code uploaded to kf-code/code-code-"), "{}", ran.transcript());
    let expected = format!("from the volume\n{}\n399999\n", large.len());
    assert!(ran.stdout.contains(&expected), "{}", ran.transcript());
    assert!(ran.stdout.contains("Read-only file system"), "{}", ran.transcript());
    // The pod that wrote it is gone, and unchanged code is not uploaded again.
    team.admin(&["delete", "trainjob", "code", "--cascade=foreground", "--wait=true"]);
    let ran = home.run(train(&["--pvc", "data"])).success();
    assert!(ran.stderr.contains("code already uploaded to kf-code/code-code-"), "{}", ran.transcript());
    let jobs = team.admin(&["get", "jobs", "-o", "name"]);
    assert!(!jobs.contains("kf-load"), "{jobs}");
    let mut missing = train(&["--pvc", "dta"]);
    missing[1] = "other";
    let ran = home.run_unchanged(missing).code(5);
    assert!(ran.stderr.contains("no volume claim `dta` in"), "{}", ran.transcript());
}

#[test]
fn from_dir_is_checked_before_anything_is_stored() {
    let team = Team::new("code-checked");
    let home = team.home(User::DataScientist, &["train"]);
    write_code(&home, "from here");
    let before = team.versions();
    let ran = home.run(train(&["--dry-run"])).success();
    assert!(ran.stderr.contains("would create configmap/code-code-"), "{}", ran.transcript());
    assert_eq!(team.versions(), before);
    // A missing directory and too much code are refused.
    let mut elsewhere = train(&[]);
    elsewhere[5] = "missing";
    let ran = home.run_unchanged(elsewhere).code(2);
    assert!(ran.stderr.starts_with("error: train: cannot read `missing`"), "{}", ran.transcript());
    fs_err::write(home.path().join("src/large.bin"), vec![0; 2 << 20]).unwrap();
    kf_snapshot!(home.run_unchanged(train(&[])), @"
    exit: 2
    ----- stdout -----
    ----- stderr -----
    error: train: src is too large: 2.0 MiB, at most 1 MiB; largest file: large.bin (2.0 MiB)
    hint: train: kf train code --runtime kf-test --from-dir src --cpu 100m --memory=64Mi --pvc CLAIM -- sh run.sh hello, to upload it to a volume claim; or build an image and pass it with --image
    ");
    assert_eq!(team.versions(), before);
}

#[test]
fn viewer_cannot_upload_code() {
    let team = Team::new("code-viewer");
    let home = team.home(User::Viewer, &["train"]);
    write_code(&home, "from here");
    let before = team.versions();
    home.run_unchanged(train(&[])).code(4);
    home.run_unchanged(train(&["--pvc", "data"])).code(4);
    assert_eq!(team.versions(), before);
    // A viewer can list runtimes.
    kf_snapshot!(home.run(["train", "--list-runtimes"]), @"
    exit: 0
    ----- stdout -----
    NAME     FRAMEWORK  NODES  SUPPORT
    kf-test  torch      1
    ----- stderr -----
    ");
}

const PYTORCH_JOB: &str = "apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: mnist}
spec:
  runPolicy: {backoffLimit: 0}
  pytorchReplicaSpecs:
    Master:
      replicas: 1
      restartPolicy: Never
      template:
        spec:
          containers:
            - name: pytorch
              image: kf.test/trainer:1
              env: [{name: EPOCHS, value: '2'}, {name: EPOCH_SECONDS, value: '0.2'}]
";

#[test]
fn pytorch_job_trains_with_training_operator() {
    if skip_without_node("pytorch_job_trains_with_training_operator") {
        return;
    }
    let team = Team::with_node("pytorch");
    team.require(Part::TrainingOperator);
    let home = team.home(User::DataScientist, &["train"]);
    fs_err::write(home.path().join("job.yaml"), PYTORCH_JOB).unwrap();
    let ran = home.run(["train", "mnist", "job.yaml", "--logs"]).success();
    assert!(ran.stdout.lines().any(|line| line.contains("epoch=2 loss=")), "{}", ran.transcript());
    assert!(ran.stderr.contains("pytorchjob/mnist created"), "{}", ran.transcript());
    assert!(ran.stderr.lines().last().unwrap().starts_with("train: mnist complete"), "{}", ran.transcript());
    let viewer = team.home(User::Viewer, &["train"]);
    fs_err::write(viewer.path().join("job.yaml"), PYTORCH_JOB).unwrap();
    let refused = viewer.run_unchanged(["train", "other", "job.yaml"]).code(4);
    assert!(refused.stderr.contains("pytorchjobs.kubeflow.org"), "{}", refused.transcript());
}

/// A policy that accepts dry runs and refuses real requests, like a webhook without support for dry runs.
fn policy(namespace: &str) -> String {
    format!(
        "apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {{name: {namespace}}}
spec:
  matchConstraints:
    namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {namespace}}}}}
    resourceRules:
    - {{apiGroups: [trainer.kubeflow.org], apiVersions: ['*'], resources: [trainjobs], operations: [CREATE, UPDATE]}}
  validations: [{{expression: request.dryRun, message: no jobs today}}]
---
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicyBinding
metadata: {{name: {namespace}}}
spec: {{policyName: {namespace}, validationActions: [Deny]}}
"
    )
}

#[test]
fn job_refused_after_dry_run_leaves_no_code() {
    let team = Team::new("refused-code");
    let home = team.home(User::DataScientist, &["train", "tune"]);
    write_code(&home, "from here");
    team.apply(&policy(team.name()));
    let probe = "{apiVersion: trainer.kubeflow.org/v1alpha1, kind: TrainJob, metadata: {name: probe}, \
                 spec: {suspend: true, runtimeRef: {name: kf-test}}}";
    let file = home.path().join("probe.yaml");
    fs_err::write(&file, probe).unwrap();
    let file = file.to_str().unwrap();
    until_true("the policy is in force", || {
        let is_refused = !team.kubectl(User::Admin, &["create", "-f", file]).status.success();
        team.admin(&["delete", "trainjob", "probe", "--ignore-not-found"]);
        is_refused
    });
    let code = || team.admin(&["get", "configmaps", "-l", "app.kubernetes.io/managed-by=kf", "-o", "name"]);
    let ran = home.run(train(&[])).code(2);
    assert!(ran.stderr.contains("no jobs today"), "{}", ran.transcript());
    assert_eq!(code(), "");
    let tune =
        ["tune", "code", "--param", "lr=1,2", "--objective", "loss", "--minimize", "--engine", "trainer"];
    let more = ["--runtime", "kf-test", "--from-dir", "src", "--", "sh", "run.sh", "${lr}"];
    let ran = home.run(tune.into_iter().chain(more)).code(2);
    assert!(ran.stderr.contains("no jobs today"), "{}", ran.transcript());
    assert_eq!(code(), "");
    for kind in ["validatingadmissionpolicybinding", "validatingadmissionpolicy"] {
        team.admin(&["delete", kind, team.name()]);
    }
}
