//! Pods that fail or hang: what `kf status` and `kf logs` report of each.
//!
//! One set of pods fails on a real node. What a single node cannot show, such as a lost node, is written into the
//! status of pods as the cluster's components would.

use kf_tests::cluster::{BUSYBOX, User, skip_without_node};
use serde_json::{Value, json};

use crate::common::lines::Following;
use crate::common::team::Team;
use crate::common::{Home, Ran, until};
use crate::kf_snapshot;

/// State and reason of a workload.
fn status_of(home: &Home, workload: &str) -> (String, String) {
    let ran = home.run(["status", workload, "-o", "json"]).success();
    let status: Value = serde_json::from_str(&ran.stdout).unwrap();
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    (text("state"), text("why"))
}

#[track_caller]
fn until_status(home: &Home, workload: &str, state: &str, why: &str) {
    until(|| match status_of(home, workload) {
        (now, because) if (now.as_str(), because.as_str()) == (state, why) => Ok(()),
        other => Err(format!("{workload} is {other:?}, not {state}: {why}")),
    });
}

/// The rows of a table without its header and the age, with single spaces.
fn lines(ran: &Ran) -> Vec<String> {
    let without_age = |line: &str| {
        let mut words: Vec<&str> = line.split_whitespace().collect();
        assert!(words.remove(4).ends_with(['s', 'm']), "{line}");
        words.join(" ")
    };
    ran.stdout.lines().skip(1).map(without_age).collect()
}

fn on_the_node() -> String {
    format!(
        "apiVersion: v1
kind: Pod
metadata: {{name: evicted}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  volumes: [{{name: scratch, emptyDir: {{sizeLimit: 1Mi}}}}]
  containers:
  - name: main
    image: {BUSYBOX}
    command: [sh, -c, 'echo writing; head -c 8000000 /dev/zero > /scratch/weights; exec sleep 3600']
    volumeMounts: [{{name: scratch, mountPath: /scratch}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: late}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  activeDeadlineSeconds: 5
  containers: [{{name: main, image: {BUSYBOX}, command: [sleep, '3600']}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: beside}}
spec:
  restartPolicy: Never
  initContainers:
  - name: proxy
    image: {BUSYBOX}
    restartPolicy: Always
    command: [sh, -c, 'trap \"exit 143\" TERM; echo listening; sleep 3600 & wait']
  containers: [{{name: main, image: {BUSYBOX}, command: [sh, -c, 'echo no data; exit 3']}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: prepare}}
spec:
  restartPolicy: Never
  initContainers: [{{name: fetch, image: {BUSYBOX}, command: [sh, -c, 'echo no route to the bucket; exit 4']}}]
  containers: [{{name: main, image: {BUSYBOX}, command: [echo, trained]}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: held, finalizers: [team.example/backup]}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{{name: main, image: {BUSYBOX}, command: [sleep, '3600']}}]
---
apiVersion: batch/v1
kind: Job
metadata: {{name: kept, finalizers: [team.example/backup]}}
spec:
  suspend: true
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: {BUSYBOX}, command: [echo, trained]}}]
---
apiVersion: batch/v1
kind: Job
metadata: {{name: retried}}
spec:
  backoffLimit: 1
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: {BUSYBOX}, command: [sh, -c, 'echo tries as $HOSTNAME; exit 5']}}]
"
    )
}

/// Removes the finalizers at the end, also of a failed test, as the namespace waits for them.
struct RemoveFinalizers<'t>(&'t Team);

impl Drop for RemoveFinalizers<'_> {
    fn drop(&mut self) {
        for object in ["pod/held", "job/kept"] {
            let patch = ["patch", object, "--type=merge", "-p", r#"{"metadata": {"finalizers": null}}"#];
            let _gone = self.0.kubectl(User::Admin, &patch);
        }
    }
}

#[test]
fn failed_pods_on_node_report_reason() {
    if skip_without_node("failed_pods_on_node_report_reason") {
        return;
    }
    let team = Team::with_node("endings");
    let dana = team.home(User::DataScientist, &["status", "logs", "shell", "run"]);
    team.apply(&on_the_node());
    let _held = RemoveFinalizers(&team);

    // Two at once until both have ended, in any order.
    let following = Following::start(&dana, &["logs", "beside", "prepare", "--follow"]);
    let (status, mut stdout, stderr) = following.finish_with_lines();
    assert_eq!(status.code(), Some(1), "{stderr:#?}");
    stdout.sort();
    assert_eq!(stdout, ["[beside] no data", "[prepare] no route to the bucket"], "{stderr:#?}");
    for name in ["beside", "prepare"] {
        let failed = ["warning", "error"].map(|level| format!("{level}: logs: {name} failed"));
        assert!(failed.iter().any(|line| stderr.contains(line)), "{stderr:#?}");
    }

    // The exit code of a sidecar that is stopped at the end does not count.
    until_status(&dana, "beside", "Failed", "exit 3; last log line: no data");
    assert_eq!(dana.run(["logs", "beside"]).success().stdout, "no data\n");
    let too_long = "DeadlineExceeded: Pod was active on the node longer than the specified deadline";
    until_status(&dana, "late", "Failed", too_long);

    until_status(&dana, "prepare", "Failed", "exit 4; last log line: no route to the bucket");
    kf_snapshot!(dana.run(["logs", "prepare"]), @"
    exit: 0
    ----- stdout -----
    no route to the bucket
    ----- stderr -----
    logs: init container fetch of prepare failed (exit 4); showing its log
    ");

    team.admin(&["delete", "pod/held", "job/kept", "--wait=false"]);
    for held in ["pod/held", "job/kept"] {
        until_status(&dana, held, "Terminating", "blocked by finalizer team.example/backup");
    }

    // The attempts of a job are in chronological order.
    team.wait("condition=Failed", &["job/retried"]);
    let of_job = ["get", "pods", "-l", "job-name=retried", "--sort-by=.metadata.creationTimestamp"];
    let pods = team.admin(&[&of_job[..], &["-o", "name"]].concat());
    let tried: String = pods
        .lines()
        .filter_map(|line| line.strip_prefix("pod/"))
        .map(|pod| format!("[{pod}] tries as {pod}\n"))
        .collect();
    assert_eq!(tried.lines().count(), 2, "{pods}");
    assert_eq!(dana.run(["logs", "job/retried"]).success().stdout, tried);

    // The kubelet removes the containers of an evicted pod and their logs.
    let evicted = "Evicted: Usage of EmptyDir volume \"scratch\" exceeds the limit \"1Mi\"";
    until_status(&dana, "evicted", "Failed", evicted);
    let gone = until(|| {
        let ran = dana.run(["logs", "evicted"]);
        if ran.code == Some(0) { Err(ran.transcript()) } else { Ok(ran) }
    });
    kf_snapshot!(gone, @r#"
    exit: 5
    ----- stdout -----
    ----- stderr -----
    error: logs: log of evicted is no longer available: Evicted: Usage of EmptyDir volume "scratch" exceeds the limit "1Mi"
    hint: kf status pod/evicted
    "#);
    dana.run(["logs", "evicted", "-f"]).code(5);

    // A command cannot run in a pod that has ended.
    let ran = dana.run(["run", "pod/beside", "--", "true"]).code(1);
    let ended = "error: run: pod/beside has no running pod (failed): exit 3\n";
    assert!(ran.stderr.starts_with(ended), "{}", ran.transcript());
}

/// A pod that is never started, optionally on a node that does not exist.
fn pod(name: &str, node: Option<&str>) -> String {
    let node = node.map(|node| format!("nodeName: {node}, ")).unwrap_or_default();
    format!(
        "---
apiVersion: v1
kind: Pod
metadata: {{name: {name}}}
spec: {{{node}schedulerName: nobody, restartPolicy: Never, containers: [{{name: main, image: 'kf.test/none'}}]}}
"
    )
}

/// The status of a pod whose container waits for its image.
fn pulling(image: &str, message: &str) -> Value {
    let state = json!({ "waiting": { "reason": "ErrImagePull", "message": message } });
    json!({
        "phase": "Pending",
        "conditions": [{ "type": "PodScheduled", "status": "True" }],
        "containerStatuses": [{ "name": "main", "image": image, "imageID": "", "ready": false, "restartCount": 0,
                                "state": state }],
    })
}

/// The status of a pod's only container.
fn container(state: Value) -> Value {
    json!([{ "name": "main", "image": "kf.test/none", "imageID": "", "ready": false, "restartCount": 0,
             "containerID": "containerd://1", "state": state }])
}

const DIGEST: &str =
    "r.example/team/train@sha256:403403403403403403403403403403403403403403403403403403403403403e";

#[test]
fn lost_preempted_and_unpullable_pods_report_reason() {
    let team = Team::new("written");
    let vic = team.home(User::Viewer, &["status", "logs"]);
    let killed = || container(json!({ "terminated": { "exitCode": 137, "reason": "Error" } }));
    let running = || container(json!({ "running": { "startedAt": "2026-01-01T12:00:00Z" } }));
    let disrupted = |reason: &str, message: &str| json!([{ "type": "DisruptionTarget", "status": "True", "reason": reason, "message": message }]);
    let lost = "Node node-7 which was running pod lost is unresponsive";
    let digest = format!(
        "failed to pull and unpack image \"{DIGEST}\": failed to resolve reference \"{DIGEST}\": {DIGEST}: not found"
    );
    let platform = "rpc error: code = NotFound desc = failed to pull and unpack image \"r.example/train:1\": no match \
                    for platform in manifest: not found";
    // Name, node, status, and the row of `kf status`.
    let pods = [
        (
            "digest",
            None,
            pulling(DIGEST, &digest),
            format!("Failed 0/1 cannot pull image {DIGEST}: image not found"),
        ),
        (
            "lost",
            Some("node-7"),
            json!({ "phase": "Unknown", "reason": "NodeLost", "message": lost, "containerStatuses": running() }),
            format!("Degraded 0/1 NodeLost: {lost}"),
        ),
        (
            "platform",
            None,
            pulling("r.example/train:1", platform),
            "Failed 0/1 cannot pull image r.example/train:1: not built for the node's platform".to_owned(),
        ),
        (
            "preempted",
            Some("node-7"),
            json!({
                "phase": "Failed", "containerStatuses": killed(),
                "conditions": disrupted("PreemptionByScheduler", "default-scheduler: preempting to accommodate a higher priority pod"),
            }),
            "Failed 0/1 PreemptionByScheduler: default-scheduler: preempting to accommodate a higher priority pod"
                .to_owned(),
        ),
        (
            "silent",
            Some("node-7"),
            json!({ "phase": "Unknown", "containerStatuses": running() }),
            "Degraded 0/1 Unknown: node node-7 is not responding".to_owned(),
        ),
        (
            "tainted",
            Some("node-7"),
            json!({
                "phase": "Failed", "containerStatuses": killed(),
                "conditions": disrupted("DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint"),
            }),
            "Failed 0/1 DeletionByTaintManager: Taint manager: deleting due to NoExecute taint".to_owned(),
        ),
    ];
    team.apply(&pods.iter().map(|(name, node, ..)| pod(name, *node)).collect::<String>());
    for (name, _, status, _) in &pods {
        let patch = json!({ "status": status }).to_string();
        team.admin(&["patch", "pod", name, "--subresource=status", "--type=merge", "-p", &patch]);
    }
    let expected: Vec<_> = pods.iter().map(|(name, .., line)| format!("pod {name} {line}")).collect();
    assert_eq!(lines(&vic.run(["status"]).success()), expected);
    for ((name, ..), line) in pods.iter().zip(&expected) {
        assert_eq!(lines(&vic.run(["status", name]).success())[0], *line, "{name}");
    }

    // A pod that never ran has no log yet, with the reason; the log of a pod on a lost node is gone.
    for (name, error) in [
        ("digest", format!("digest has no logs yet: cannot pull image {DIGEST}: image not found")),
        (
            "preempted",
            "log of preempted is no longer available: PreemptionByScheduler: default-scheduler: preempting to accommodate a \
             higher priority pod"
                .to_owned(),
        ),
    ] {
        let ran = vic.run(["logs", name]).code(5);
        assert!(ran.stderr.starts_with(&format!("error: logs: {error}\nhint: kf ")), "{}", ran.transcript());
        assert_eq!(ran.stdout, "");
    }
}

#[test]
fn wait_fails_with_event_when_pod_cannot_be_created() {
    if skip_without_node("wait_fails_with_event_when_pod_cannot_be_created") {
        return;
    }
    let team = Team::with_node("refused");
    let dana = team.home(User::DataScientist, &["train", "logs", "remove"]);
    // A pod that requests more than its default limit is invalid.
    team.apply(&format!(
        "apiVersion: v1
kind: ResourceQuota
metadata: {{name: gpus}}
spec: {{hard: {{requests.nvidia.com/gpu: '0'}}}}
---
apiVersion: v1
kind: LimitRange
metadata: {{name: small}}
spec: {{limits: [{{type: Container, default: {{memory: 32Mi}}, defaultRequest: {{memory: 16Mi}}}}]}}
---
apiVersion: batch/v1
kind: Job
metadata: {{name: large}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: main, image: {BUSYBOX}, resources: {{requests: {{memory: 64Mi}}}}}}]
"
    ));
    let ran = dana.run(["logs", "large", "--follow"]).code(1);
    let invalid = ran.stderr.lines().find(|line| line.starts_with("error: ")).unwrap();
    assert!(
        invalid.starts_with("error: logs: large failed: FailedCreate: Pod \"large-"),
        "{}",
        ran.transcript()
    );
    assert!(invalid.ends_with("must be less than or equal to memory limit of 32Mi"), "{}", ran.transcript());
    assert!(ran.stderr.ends_with("hint: kf status job/large\n"), "{}", ran.transcript());

    let train = ["train", "greedy", "--runtime", "kf-test", "--cpu", "100m", "--memory", "32Mi"];
    let waits = ["--env", "EPOCHS=1", "--env", "EPOCH_SECONDS=0.1", "--wait"];
    let ran = dana.run(train.iter().chain(&waits).chain(&["--gpu", "1"])).code(1);
    let quota = "error: train: greedy failed: FailedCreate: exceeded quota: gpus, requested: requests.nvidia.com/gpu=1, \
                 used: requests.nvidia.com/gpu=0, limited: requests.nvidia.com/gpu=0\n\
                 hint: kf status trainjob/greedy\n";
    assert!(ran.stderr.ends_with(quota), "{}", ran.transcript());
    // The event outlives the job, and must not be reported for the next job of that name.
    dana.run(["remove", "greedy", "--yes"]).success();
    let ran = dana.run(train.iter().chain(&waits)).success();
    assert!(ran.stderr.contains("greedy complete"), "{}", ran.transcript());
}
