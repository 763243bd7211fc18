//! Verdicts on workloads, from valid and odd objects.
#![expect(clippy::unwrap_used, reason = "helpers of tests, too")]

use kf_plugin_sdk::Object;
use kf_plugin_sdk::workloads::{
    Events, Evidence, State, Verdict, Workload, WorkloadKind, outcome, rank_of, verdict, workload_of,
};
use serde_json::{Value, json};

fn judge(
    object: &Object,
    parts: &[&Object],
    pods: &[&Object],
    queue: &[&Object],
    events: &Events,
) -> Verdict {
    let kind = WorkloadKind::of(object);
    verdict(&Evidence { kind, name: object.name(), object: Some(object), parts, pods, queue, events })
}

fn pod(step: &str, phase: &str) -> Object {
    let ready = if phase == "Running" { "True" } else { "False" };
    json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": { "name": step, "labels": { "jobset.sigs.k8s.io/replicatedjob-name": step } },
        "status": { "phase": phase, "conditions": [{ "type": "Ready", "status": ready }] },
    })
    .into()
}

fn of_kind(kind: WorkloadKind, spec: &Value) -> Object {
    let mut object = Object::new(&kind.kind().version("v1"), "mnist");
    object.set("/spec", spec.clone());
    object
}

#[test]
fn initializers_of_training_job_are_not_counted() {
    let job = of_kind(WorkloadKind::TrainJob, &json!({ "trainer": { "numNodes": 2 } }));
    let pods = [
        pod("dataset-initializer", "Succeeded"),
        pod("model-initializer", "Succeeded"),
        pod("node", "Running"),
        pod("node", "Pending"),
    ];
    let verdict = judge(&job, &[], &pods.each_ref(), &[], &Events::default());
    assert_eq!((verdict.ready, verdict.wanted), (1, 2));
}

#[test]
fn pods_of_job_are_counted_by_parallelism() {
    let job = of_kind(WorkloadKind::Job, &json!({ "completions": 9, "parallelism": 2 }));
    let pods = ["Succeeded", "Succeeded", "Succeeded", "Running", "Running"].map(|phase| pod("", phase));
    let verdict = judge(&job, &[], &pods.each_ref(), &[], &Events::default());
    assert_eq!((verdict.state, verdict.ready, verdict.wanted), (State::Running, 2, 2));
}

#[test]
fn failed_spark_submission_shows_reason() {
    let mut spark = of_kind(WorkloadKind::SparkApplication, &json!({}));
    let state =
        json!({ "state": "SUBMISSION_FAILED", "errorMessage": "failed to run spark-submit:\nno such file" });
    spark.set("/status/applicationState", state);
    let verdict = judge(&spark, &[], &[], &[], &Events::default());
    assert_eq!((verdict.state, verdict.why.as_deref()), (State::Pending, Some("no such file")));
}

#[test]
fn object_without_status_is_pending() {
    for kind in WorkloadKind::ALL.into_iter().filter(|kind| *kind != WorkloadKind::Pod) {
        let object = of_kind(kind, &Value::Null);
        let verdict = judge(&object, &[], &[], &[], &Events::default());
        assert_eq!(verdict.state, State::Pending, "{kind}: {verdict:?}");
    }
}

/// Returns an object with all fields that are read.
fn full(kind: WorkloadKind) -> Object {
    let mut object = Object::from(json!({
        "metadata": {
            "name": "mnist", "uid": "u1", "creationTimestamp": "2026-01-01T12:00:00Z",
            "labels": { "kueue.x-k8s.io/queue-name": "team" }, "annotations": { "a": "b" },
            "ownerReferences": [{ "kind": "Experiment", "name": "lr", "uid": "u0", "controller": true }],
        },
        "spec": {
            "suspend": true, "runPolicy": { "suspend": false }, "paused": false, "replicas": 2,
            "completions": 4, "parallelism": 2, "trainer": { "numNodes": 2 }, "maxTrialCount": 9,
            "predictor": { "minReplicas": 1 }, "selector": { "matchLabels": { "app": "x" } },
            "pytorchReplicaSpecs": { "Worker": { "replicas": 2 }, "Master": { "replicas": 1 } },
            "objective": { "type": "minimize", "objectiveMetricName": "loss" },
        },
        "status": {
            "conditions": [
                { "type": "Suspended", "status": "True", "reason": "Suspended", "message": "it is suspended" },
                { "type": "Ready", "status": "False", "reason": "No", "message": "it is not" },
                { "type": "Failed", "status": "True", "reason": "Deadline", "message": "too long",
                  "lastTransitionTime": "2026-01-01T12:10:00Z" },
            ],
            "phase": "Running", "state": "Error", "stateMessage": "Workspace has invalid imageConfig: x",
            "applicationState": { "state": "FAILED", "errorMessage": "x" }, "terminationTime": "2026-01-01T12:10:00Z",
            "modelStatus": { "transitionStatus": "InvalidSpec", "lastFailureInfo": { "message": "a\nb" } },
            "trainerStatus": { "progressPercentage": 40, "estimatedRemainingSeconds": 90 },
            "trials": 3, "trialsSucceeded": 1, "trialsEarlyStopped": 1, "trialsRunning": 1, "trialsFailed": 0,
            "currentOptimalTrial": {
                "observation": { "metrics": [{ "name": "loss", "min": "0.1", "latest": "0.2" }] },
                "parameterAssignments": [{ "name": "lr", "value": "0.1" }],
            },
            "containerStatuses": [{
                "name": "node", "image": "x:1", "restartCount": 3,
                "state": { "waiting": { "reason": "CrashLoopBackOff", "message": "back-off" } },
                "lastState": { "terminated": { "exitCode": 1, "reason": "Error", "message": "x" } },
            }],
        },
    }));
    object.set("/apiVersion", format!("{}/v1", kind.group()).trim_start_matches('/'));
    object.set("/kind", kind.kind().kind);
    object
}

fn queued() -> Object {
    json!({
        "kind": "Workload",
        "metadata": { "name": "w", "ownerReferences": [{ "kind": "TrainJob", "name": "mnist", "uid": "u1" }] },
        "spec": { "queueName": "team", "priority": 1, "active": true },
        "status": { "conditions": [{ "type": "QuotaReserved", "status": "False", "message": "no room" }] },
    })
    .into()
}

/// Every pointer into a document.
fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                pointers(value, &format!("{at}/{name}"), found);
            }
        }
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                pointers(value, &format!("{at}/{index}"), found);
            }
        }
        _ => {}
    }
}

/// Returns the document with each of its values replaced by odd ones.
fn odd(object: &Object) -> impl Iterator<Item = Object> {
    let mut places = Vec::new();
    pointers(object.value(), "", &mut places);
    let odd = [
        Value::Null,
        json!(""),
        json!(-1),
        json!(i64::MAX),
        json!(i64::MIN),
        json!([]),
        json!([null, [], "x"]),
        json!({}),
        json!({ "x": {} }),
    ];
    places.into_iter().flat_map(move |place| {
        let object = object.clone();
        odd.clone().into_iter().map(move |value| {
            let mut document = object.clone().into_value();
            *document.pointer_mut(&place).unwrap() = value;
            Object::from(document)
        })
    })
}

#[test]
fn odd_objects_do_not_panic() {
    use WorkloadKind::{Deployment, Experiment, InferenceService, Notebook, TrainJob};

    for kind in WorkloadKind::ALL {
        let (whole, crashing, queued) = (full(kind), full(WorkloadKind::Pod), queued());
        let judged = |object: &Object, pod: &Object, workload: &Object| {
            let events = Events::of(&[object.clone(), pod.clone()]);
            let verdict = judge(object, &[pod], &[pod], &[workload], &events);
            let of_pods = Evidence {
                kind: None,
                name: "x",
                object: None,
                parts: &[],
                pods: &[pod],
                queue: &[],
                events: &events,
            };
            drop((verdict, self::verdict(&of_pods), outcome(object), rank_of(pod), workload_of(pod)));
            if let Some(component) = Workload::of(object.clone()) {
                drop((component.ranks(), component.default_container(pod), component.owns(pod)));
            }
        };
        odd(&whole).for_each(|object| judged(&object, &crashing, &queued));
        // Each of these represents the kinds that are judged alike.
        if !matches!(kind, TrainJob | Experiment | Deployment | Notebook | InferenceService) {
            continue;
        }
        odd(&crashing).for_each(|pod| judged(&whole, &pod, &queued));
        odd(&queued).for_each(|workload| judged(&whole, &crashing, &workload));
    }
}
