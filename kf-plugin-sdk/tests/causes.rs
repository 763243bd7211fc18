//! The reason of a failure is taken from the most relevant status.

use kf_plugin_sdk::Object;
use kf_plugin_sdk::workloads::{
    Events, Evidence, PodState, State, Verdict, WorkloadKind, combine, pod_state, pod_trouble, verdict,
};
use serde_json::{Value, json};

fn pod(spec: Value, status: Value) -> Object {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "mnist-node-0-0", "uid": "1" }, "spec": spec, "status": status })
        .into()
}

fn why(pod: &Object) -> String {
    pod_trouble(pod, &Events::default()).map(|trouble| trouble.text).unwrap_or_default()
}

fn ended(name: &str, code: i64, second: u32) -> Value {
    json!({ "name": name, "state": { "terminated": {
        "exitCode": code, "reason": "Error", "finishedAt": format!("2026-01-01T12:00:{second:02}Z") } } })
}

fn of_job(job: &Object, parts: &[&Object], pods: &[Object]) -> Verdict {
    let pods: Vec<_> = pods.iter().collect();
    let events = Events::default();
    let kind = WorkloadKind::of(job);
    let evidence = Evidence {
        kind,
        name: job.name(),
        object: Some(job),
        parts,
        pods: &pods,
        queue: &[],
        events: &events,
    };
    verdict(&evidence)
}

fn failed_job(reason: &str) -> Object {
    json!({
        "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": { "name": "mnist" },
        "status": { "conditions": [
            { "type": "Failed", "status": "True", "reason": reason, "message": "jobset failed due to one or more job failures" },
        ] },
    })
    .into()
}

#[test]
fn reason_of_pod_outranks_exit_codes() {
    for (reason, message, expected) in [
        (
            "Evicted",
            "Usage of EmptyDir volume \"scratch\" exceeds the limit \"10Mi\". ",
            "Evicted: Usage of EmptyDir volume \"scratch\" exceeds the limit \"10Mi\"",
        ),
        (
            "DeadlineExceeded",
            "Pod was active on the node longer than the specified deadline",
            "DeadlineExceeded: Pod was active on the node longer than the specified deadline",
        ),
        (
            "Preempting",
            "Preempted in order to admit critical pod",
            "Preempting: Preempted in order to admit critical pod",
        ),
        ("OutOfcpu", "", "OutOfcpu"),
        (
            "UnexpectedAdmissionError",
            "Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu",
            "UnexpectedAdmissionError: Allocate failed due to no healthy devices present; cannot allocate unhealthy devices nvidia.com/gpu",
        ),
    ] {
        let status = json!({ "phase": "Failed", "reason": reason, "message": message,
                             "containerStatuses": [ended("node", 137, 3), ended("istio-proxy", 143, 4)] });
        assert_eq!(why(&pod(json!({}), status)), expected);
    }
}

#[test]
fn preempted_pod_shows_disruption_condition() {
    let condition = json!({ "type": "DisruptionTarget", "status": "True", "reason": "PreemptionByScheduler",
                            "message": "default-scheduler: preempting to accommodate a higher priority pod" });
    let mut status =
        json!({ "phase": "Failed", "conditions": [condition], "containerStatuses": [ended("node", 143, 3)] });
    let expected =
        "PreemptionByScheduler: default-scheduler: preempting to accommodate a higher priority pod";
    assert_eq!(why(&pod(json!({}), status.clone())), expected);
    // A disruption condition with the status False is ignored.
    status["conditions"][0]["status"] = json!("False");
    assert_eq!(why(&pod(json!({}), status)), "exit 143, terminated");
}

#[test]
fn failed_pod_without_reason_shows_message() {
    let status = json!({ "phase": "Failed", "message": "Pod Predicate NodeAffinity failed" });
    assert_eq!(why(&pod(json!({}), status)), "failed: Pod Predicate NodeAffinity failed");
    assert_eq!(why(&pod(json!({}), json!({ "phase": "Failed" }))), "failed");
}

#[test]
fn sidecar_does_not_hide_exit_code_of_main_container() {
    let native = json!({ "initContainers": [{ "name": "proxy", "restartPolicy": "Always" }],
                         "containers": [{ "name": "train" }] });
    let status = json!({ "phase": "Failed", "initContainerStatuses": [ended("proxy", 143, 9)],
                         "containerStatuses": [ended("train", 3, 5)] });
    assert_eq!(why(&pod(native.clone(), status)), "exit 3");
    // A well-known name, listed first, and ended first.
    let named = json!({ "containers": [{ "name": "istio-proxy" }, { "name": "node" }] });
    let status =
        json!({ "phase": "Failed", "containerStatuses": [ended("istio-proxy", 1, 1), ended("node", 3, 5)] });
    assert_eq!(why(&pod(named, status)), "exit 3");
    // A failed init container is not a sidecar.
    let fails = json!({ "initContainers": [{ "name": "fetch" }], "containers": [{ "name": "train" }] });
    let waits = json!({ "name": "train", "state": { "waiting": { "reason": "PodInitializing" } } });
    let status = json!({ "phase": "Failed", "initContainerStatuses": [ended("fetch", 22, 1)], "containerStatuses": [waits] });
    assert_eq!(why(&pod(fails, status)), "exit 22");
    // A sidecar is shown if nothing else failed.
    let done = json!({ "name": "train", "state": { "terminated": { "exitCode": 0 } } });
    let status = json!({ "phase": "Failed", "containerStatuses": [done.clone()],
                         "initContainerStatuses": [ended("proxy", 1, 9)] });
    assert_eq!(why(&pod(native.clone(), status)), "exit 1");
    // After the main container completes, the sidecar is stopped normally.
    let status = json!({ "phase": "Running", "containerStatuses": [done], "conditions": [{ "type": "Ready", "status": "True" }],
                         "initContainerStatuses": [ended("proxy", 143, 9)] });
    assert_eq!(why(&pod(native, status)), "");
}

#[test]
fn main_container_or_first_failure_explains_pod() {
    let two = json!({ "containers": [{ "name": "metrics" }, { "name": "node" }] });
    let both = |metrics: Value, node: Value| {
        why(&pod(two.clone(), json!({ "phase": "Failed", "containerStatuses": [metrics, node] })))
    };
    assert_eq!(both(ended("metrics", 5, 1), ended("node", 3, 9)), "exit 3", "`node` is the main container");
    assert_eq!(
        both(ended("metrics", 5, 1), ended("node", 143, 9)),
        "exit 5",
        "it was stopped after the other failed"
    );
    let mut oom = ended("node", 137, 9);
    oom["state"]["terminated"]["reason"] = json!("OOMKilled");
    assert_eq!(both(ended("metrics", 5, 1), oom), "exit 137, out of memory");
    // Without a known main container, the first failure counts.
    let plain = json!({ "metadata": {}, "containers": [{ "name": "a" }, { "name": "b" }, { "name": "c" }] });
    let status = json!({ "phase": "Failed", "containerStatuses": [ended("b", 5, 8), ended("c", 3, 2)] });
    assert_eq!(why(&pod(plain.clone(), status.clone())), "exit 3");
    // The default container of the pod is the main container.
    let mut marked = pod(plain, status);
    marked.set("/metadata/annotations", json!({ "kubectl.kubernetes.io/default-container": "b" }));
    assert_eq!(why(&marked), "exit 5");
}

#[test]
fn rank_that_failed_first_outranks_later_ones() {
    let rank = |code: i64, second: u32| {
        pod(json!({}), json!({ "phase": "Failed", "containerStatuses": [ended("node", code, second)] }))
    };
    let text = |ranks: &[Object]| {
        combine(ranks.iter().filter_map(|rank| pod_trouble(rank, &Events::default()))).unwrap().text
    };
    assert_eq!(text(&[rank(143, 5), rank(143, 5), rank(143, 6), rank(3, 4)]), "exit 3");
    assert_eq!(text(&[rank(1, 8), rank(1, 9), rank(3, 4)]), "exit 3", "the others lost their peer");
    assert_eq!(text(&[rank(1, 4), rank(1, 5), rank(3, 9)]), "2 pods: exit 1");
    assert_eq!(text(&[rank(143, 5), rank(143, 6)]), "2 pods: exit 143, terminated");
    let verdict = of_job(&failed_job("JobsFailed"), &[], &[rank(143, 5), rank(143, 6), rank(3, 4)]);
    assert_eq!((verdict.state, verdict.why.as_deref()), (State::Failed, Some("exit 3")));
}

#[test]
fn deadline_of_job_outranks_exit_codes_of_pods() {
    let killed =
        || [pod(json!({}), json!({ "phase": "Failed", "containerStatuses": [ended("node", 143, 5)] }))];
    let late = of_job(&failed_job("DeadlineExceeded"), &[], &killed());
    assert_eq!(late.why.as_deref(), Some("DeadlineExceeded: jobset failed due to one or more job failures"));
    let part = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": { "name": "mnist-node-0" },
        "status": { "conditions": [{ "type": "Failed", "status": "True", "reason": "DeadlineExceeded",
                                     "message": "Job was active longer than specified deadline" }] },
    });
    let part = part.into();
    let late = of_job(&failed_job("JobsFailed"), &[&part], &killed());
    assert_eq!(late.why.as_deref(), Some("DeadlineExceeded: Job was active longer than specified deadline"));
    let other = of_job(&failed_job("JobsFailed"), &[], &killed());
    assert_eq!(other.why.as_deref(), Some("exit 143, terminated"));
}

#[test]
fn unresponsive_node_is_shown() {
    let lost = json!({ "phase": "Running", "reason": "NodeLost", "message": "Node gpu-7 which was running pod x is unresponsive",
                       "containerStatuses": [{ "name": "node", "state": { "running": {} } }] });
    let spec = json!({ "nodeName": "gpu-7" });
    let mut pod = pod(spec.clone(), lost);
    let expected = "NodeLost: Node gpu-7 which was running pod x is unresponsive";
    assert_eq!((pod_state(&pod), why(&pod).as_str()), (PodState::Unknown, expected));
    pod.set("/metadata/deletionTimestamp", "2026-01-01T12:00:00Z");
    assert_eq!(
        (pod_state(&pod), why(&pod).as_str()),
        (PodState::Unknown, expected),
        "it never ends by itself"
    );
    let of_itself = of_job(
        &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "x" } }).into(),
        &[],
        &[pod.clone()],
    );
    assert_eq!((of_itself.state, of_itself.why.as_deref()), (State::Degraded, Some(expected)));
    let job: Object = json!({ "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob", "metadata": { "name": "x" } }).into();
    let of_a_job = of_job(&job, &[], &[pod.clone()]);
    assert_eq!((of_a_job.state, of_a_job.why.as_deref()), (State::Degraded, Some(expected)));

    pod.set("/status", json!({ "phase": "Unknown" }));
    assert_eq!(why(&pod), "Unknown: node gpu-7 is not responding");
    // Before the pod is marked as lost there is only an event.
    let status = json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "False" }] });
    let unready = self::pod(spec, status);
    let event = json!({ "type": "Warning", "reason": "NodeNotReady", "message": "Node is not ready",
                        "involvedObject": { "kind": "Pod", "name": "mnist-node-0-0", "uid": "1" } });
    let text = pod_trouble(&unready, &Events::of(&[event.into()])).unwrap().text;
    assert_eq!(text, "NodeNotReady: node gpu-7 is not responding");
}

#[test]
fn finalizer_that_blocks_deletion_is_named() {
    let job = |finalizers: Value| -> Object {
        json!({
            "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
            "metadata": { "name": "mnist", "deletionTimestamp": "2026-01-01T12:00:00Z", "finalizers": finalizers },
        })
        .into()
    };
    let text = |finalizers: Value, pods: &[Object]| {
        let verdict = of_job(&job(finalizers), &[], pods);
        assert_eq!(verdict.state, State::Terminating);
        verdict.why
    };
    assert_eq!(
        text(json!(["team.example/backup"]), &[]).as_deref(),
        Some("blocked by finalizer team.example/backup")
    );
    assert_eq!(text(json!(["a.b/c", "d.e/f"]), &[]).as_deref(), Some("blocked by finalizers a.b/c, d.e/f"));
    assert_eq!(
        text(json!(["foregroundDeletion"]), &[]).as_deref(),
        Some("waiting for dependents to be deleted")
    );
    assert_eq!(text(json!([]), &[]), None);
    let mut deleted = pod(json!({}), json!({ "phase": "Running" }));
    deleted.set("/metadata/deletionTimestamp", "2026-01-01T12:00:00Z");
    assert_eq!(text(json!(["a.b/c"]), &[deleted.clone()]).as_deref(), Some("1 pod remaining"));
    deleted.set("/metadata/finalizers", json!(["batch.kubernetes.io/job-tracking"]));
    let blocked = "1 pod remaining, blocked by finalizer batch.kubernetes.io/job-tracking";
    assert_eq!(text(json!(["a.b/c"]), &[deleted.clone()]).as_deref(), Some(blocked));
    let bare = of_job(
        &json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "x" } }).into(),
        &[],
        &[deleted],
    );
    assert_eq!(bare.why.as_deref(), Some("blocked by finalizer batch.kubernetes.io/job-tracking"));
}

#[test]
fn error_chain_of_container_runtime_keeps_cause() {
    let chain = "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create \
                 failed: unable to start container process: error during container init: exec: \"pythn\": executable \
                 file not found in $PATH: unknown";
    let status = |state: Value| json!({ "phase": "Pending", "containerStatuses": [{ "name": "node", "state": state }] });
    let waiting = |reason: &str| status(json!({ "waiting": { "reason": reason, "message": chain } }));
    let end = "exec: \"pythn\": executable file not found in $PATH";
    for reason in ["RunContainerError", "CreateContainerError"] {
        let text = why(&pod(json!({}), waiting(reason)));
        assert!(text.starts_with(&format!("{reason}: ")) && text.ends_with(end), "{text}");
    }
    let ended = json!({ "terminated": { "exitCode": 128, "reason": "StartError", "message": chain } });
    let text = why(&pod(json!({}), status(ended)));
    assert!(text.starts_with("exit 128, cannot start: ") && text.ends_with(end), "{text}");
    let image = "registry.example.org/".to_owned() + &"team/".repeat(30) + "train:1";
    let mut pulls = waiting("ErrImagePull");
    pulls["containerStatuses"][0]["image"] = json!(image);
    pulls["containerStatuses"][0]["state"]["waiting"]["message"] =
        json!("unexpected media type text/html for x: not found");
    let text = why(&pod(json!({}), pulls));
    assert!(text.starts_with("cannot pull image ") && text.ends_with(" image not found"), "{text}");
}

#[test]
fn most_relevant_condition_is_shown() {
    let service: Object = json!({
        "apiVersion": "serving.kserve.io/v1beta1", "kind": "InferenceService", "metadata": { "name": "iris" },
        "status": { "conditions": [
            { "type": "IngressReady", "status": "False", "reason": "x", "message": "Predictor ingress not created" },
            { "type": "PredictorReady", "status": "False", "reason": "y", "message": "no runtime found to support model" },
            { "type": "Ready", "status": "False", "reason": "x", "message": "Predictor ingress not created" },
        ] },
    })
    .into();
    let verdict = of_job(&service, &[], &[]);
    assert_eq!(verdict.why.as_deref(), Some("no runtime found to support model"));
}
