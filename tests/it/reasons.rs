//! The reasons in `kf status` for workloads that do not run, on a real node.

use kf_tests::cluster::{Part, QUEUE, User, skip_without_node};
use serde_json::Value;

use crate::common::team::Team;
use crate::common::{Home, until};

/// Waits until the reason of a workload fulfills the predicate, and returns it.
#[track_caller]
fn reason(home: &Home, workload: &str, holds: impl Fn(&str) -> bool) -> String {
    status(home, workload, |_, why| holds(why)).1
}

/// Waits until state and reason of a workload fulfill the predicate, and returns them.
#[track_caller]
fn status(home: &Home, workload: &str, holds: impl Fn(&str, &str) -> bool) -> (String, String) {
    until(|| {
        let ran = home.run(["status", workload, "-o", "json"]).success();
        let status: Value = serde_json::from_str(&ran.stdout).unwrap();
        let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
        let (state, why) = (text("state"), text("why"));
        let never = || format!("unexpected status of {workload}: {}", ran.transcript());
        if holds(&state, &why) { Ok((state, why)) } else { Err(never()) }
    })
}

#[test]
fn workloads_that_do_not_run_report_reason() {
    if skip_without_node("workloads_that_do_not_run_report_reason") {
        return;
    }
    let team = Team::with_node("reasons");
    team.apply(FAILING_WORKLOADS);
    let dana = team.home(User::DataScientist, &["status"]);
    let vic = team.home(User::Viewer, &["status"]);
    for (workload, expected) in [
        ("pod/huge", "0/1 nodes are available: 1 Insufficient cpu; requests 64 cpu"),
        ("pod/no-claim", "volume claim nowhere does not exist"),
        (
            "pod/unbound",
            "waiting for volume: slow; claim slow is pending: storageclass.storage.k8s.io \"fast\" not found",
        ),
        ("pod/no-secret", "secret \"nosuch\" not found"),
        (
            "job/greedy",
            "exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=0",
        ),
        (
            "statefulset/greedy",
            "exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=0",
        ),
        (
            "deployment/greedy",
            "exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=0",
        ),
    ] {
        reason(&dana, workload, |why| why == expected);
        reason(&vic, workload, |why| why == expected);
    }
    reason(&dana, "no-image", |why| why.starts_with("cannot pull image kf.test/none:1: "));
    reason(&dana, "not-ready", |why| why.starts_with("not ready: Readiness probe failed"));
    // It has crashed more than once by then, and the log of the previous run is read.
    let crash = "; last log line: no such model: iris";
    let why = reason(&dana, "crashes", |why| why.starts_with("crashes: exit 3, ") && why.ends_with(crash));
    assert!(why.contains("restart"), "{why}");

    let table = dana.run(["status"]).success();
    let fine = table.stdout.lines().find(|line| line.starts_with("pod") && line.contains("fine")).unwrap();
    assert!(fine.contains("Running") && fine.contains("1/1"), "{}", table.transcript());
    // An ambiguous name is refused with the choices.
    let ran = dana.run_unchanged(["status", "greedy"]).code(2);
    let choices =
        "error: status: `greedy` is ambiguous: job/greedy or deployment/greedy or statefulset/greedy";
    assert!(ran.stderr.starts_with(choices), "{}", ran.transcript());
}

/// A training job for the namespace's queue, which has quota for one.
pub fn queued(name: &str, epochs: u32) -> String {
    format!(
        "---
apiVersion: trainer.kubeflow.org/v1alpha1
kind: TrainJob
metadata: {{name: {name}, labels: {{kueue.x-k8s.io/queue-name: {QUEUE}}}}}
spec:
  runtimeRef: {{name: kf-test}}
  trainer:
    env: [{{name: EPOCHS, value: '{epochs}'}}]
    resourcesPerNode: {{requests: {{cpu: 600m, memory: 32Mi}}}}
"
    )
}

#[test]
fn queued_job_reports_reason_and_position() {
    if skip_without_node("queued_job_reports_reason_and_position") {
        return;
    }
    let team = Team::with_parts("queued", &[Part::Kueue]);
    let dana = team.home(User::DataScientist, &["status", "logs"]);
    team.apply(&queued("first", 100_000));
    status(&dana, "trainjob/first", |state, _| state == "Running");
    team.apply(&queued("second", 1));
    status(&dana, "trainjob/second", |state, _| state == "Queued");
    team.apply(&queued("third", 1));
    let place = format!("2nd of 2 in queue {QUEUE}: ");
    let why = reason(&dana, "trainjob/third", |why| why.starts_with(&place) && why.contains("cluster queue"));
    assert!(why.contains("insufficient unused quota for cpu"), "{why}");
    assert!(why.contains(" in the cluster queue, shared across namespaces"), "{why}");
    let vic = team.home(User::Viewer, &["status"]);
    reason(&vic, "trainjob/third", |why| why.starts_with(&place));

    team.admin(&["delete", "trainjob", "first", "--wait=false"]);
    dana.run(["logs", "third", "--follow"]).success();
    status(&dana, "trainjob/third", |state, why| state == "Complete" && why.starts_with("took "));
}

fn model(image: &str) -> String {
    format!(
        "apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata: {{name: sums}}
spec:
  predictor:
    containers:
    - name: kserve-container
      image: '{image}'
      args: [--model_name=sums]
      ports: [{{containerPort: 8080}}]
      readinessProbe: {{httpGet: {{path: /v1/models/sums, port: 8080}}, periodSeconds: 1}}
      resources: {{requests: {{cpu: 20m, memory: 16Mi}}}}
"
    )
}

#[test]
fn service_with_failing_revision_is_degraded() {
    if skip_without_node("service_with_failing_revision_is_degraded") {
        return;
    }
    let team = Team::with_parts("revision", &[Part::ModelServer, Part::KServe]);
    let dana = team.home(User::DataScientist, &["status", "logs"]);
    team.apply(&model("kf.test/model-server:1"));
    status(&dana, "isvc/sums", |state, _| state == "Running");
    let table = dana.run(["status"]).success();
    let kinds: Vec<_> = table.stdout.lines().skip(1).filter_map(|line| line.split(' ').next()).collect();
    assert_eq!(
        kinds,
        ["inferenceservice"],
        "its deployment and pods are not listed separately: {}",
        table.transcript()
    );

    team.apply(&model("kf.test/model-server:broken"));
    let crash = "last log line: model.pkl: no such file";
    let (state, why) = status(&dana, "isvc/sums", |_, why| why.ends_with(crash));
    assert_eq!(state, "Degraded");
    assert!(why.starts_with("new revision fails to start, old one still serving: "), "{why}");
    let ready = "jsonpath={.status.conditions[?(@.type=='Ready')].status}";
    assert_eq!(team.admin(&["get", "inferenceservice", "sums", "-o", ready]), "True", "its own condition");
    // A container that has just restarted has no output yet.
    until(|| {
        let logs = dana.run(["logs", "sums"]).success();
        if logs.stdout.contains("model.pkl: no such file") { Ok(()) } else { Err(logs.transcript()) }
    });
}

#[test]
fn legacy_job_reports_roles_and_completion() {
    if skip_without_node("legacy_job_reports_roles_and_completion") {
        return;
    }
    let team = Team::with_parts("legacy", &[Part::TrainingOperator]);
    let dana = team.home(User::DataScientist, &["status", "logs"]);
    team.apply(
        "apiVersion: kubeflow.org/v1
kind: PyTorchJob
metadata: {name: alone}
spec:
  pytorchReplicaSpecs:
    Master:
      replicas: 1
      restartPolicy: Never
      template:
        spec:
          containers:
          - {name: pytorch, image: 'kf.test/trainer:1', args: [--epochs=2, --epoch-seconds=0.1]}
",
    );
    let followed = dana.run(["logs", "alone", "-f"]).success();
    assert!(followed.stdout.contains("epoch=2 loss="), "{}", followed.transcript());
    assert!(followed.stderr.contains("alone complete"), "{}", followed.transcript());
    status(&dana, "pytorchjob/alone", |state, _| state == "Complete");
    assert_eq!(dana.run(["logs", "alone", "--step", "master"]).success().stdout, followed.stdout);
}

const FAILING_WORKLOADS: &str = r#"
apiVersion: v1
kind: ResourceQuota
metadata: {name: gpus}
spec: {hard: {requests.nvidia.com/gpu: "0"}}
---
apiVersion: v1
kind: Pod
metadata: {name: fine}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "kf.test/busybox:1", command: [sleep, "3600"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: huge}
spec:
  containers: [{name: main, image: "kf.test/busybox:1", resources: {requests: {cpu: "64"}}}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-claim}
spec:
  volumes: [{name: data, persistentVolumeClaim: {claimName: nowhere}}]
  containers: [{name: main, image: "kf.test/busybox:1"}]
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: slow}
spec: {storageClassName: fast, accessModes: [ReadWriteOnce], resources: {requests: {storage: 1Gi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: unbound}
spec:
  volumes: [{name: data, persistentVolumeClaim: {claimName: slow}}]
  containers: [{name: main, image: "kf.test/busybox:1"}]
---
apiVersion: v1
kind: Pod
metadata: {name: no-secret}
spec:
  containers: [{name: main, image: "kf.test/busybox:1", envFrom: [{secretRef: {name: nosuch}}]}]
---
apiVersion: batch/v1
kind: Job
metadata: {name: greedy}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{name: main, image: "kf.test/busybox:1", resources: {limits: {nvidia.com/gpu: "1"}}}]
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: greedy}
spec:
  serviceName: ""
  selector: {matchLabels: {app: greedy-set}}
  template:
    metadata: {labels: {app: greedy-set}}
    spec:
      containers: [{name: main, image: "kf.test/busybox:1", resources: {limits: {nvidia.com/gpu: "1"}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: greedy}
spec:
  selector: {matchLabels: {app: greedy}}
  template:
    metadata: {labels: {app: greedy}}
    spec:
      containers: [{name: main, image: "kf.test/busybox:1", resources: {limits: {nvidia.com/gpu: "1"}}}]
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: no-image}
spec:
  selector: {matchLabels: {app: no-image}}
  template:
    metadata: {labels: {app: no-image}}
    spec: {containers: [{name: main, image: "kf.test/none:1"}]}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: not-ready}
spec:
  selector: {matchLabels: {app: not-ready}}
  template:
    metadata: {labels: {app: not-ready}}
    spec:
      terminationGracePeriodSeconds: 0
      containers:
      - name: main
        image: "kf.test/busybox:1"
        command: [sleep, "3600"]
        readinessProbe: {exec: {command: ["false"]}, periodSeconds: 1}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: crashes}
spec:
  selector: {matchLabels: {app: crashes}}
  template:
    metadata: {labels: {app: crashes}}
    spec:
      containers:
      - name: main
        image: "kf.test/busybox:1"
        command: [sh, -c, "echo loading; echo 'no such model: iris' >&2; exit 3"]
"#;
