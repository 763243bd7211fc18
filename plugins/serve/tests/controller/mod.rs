//! Fakes of KServe in Standard mode and of the Deployment controller.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::testing::{FakeCluster, FakeHost};
use serde_json::{Value, json};

const SERVICE: &str = "serving.kserve.io/InferenceService";
const DEPLOYMENT: &str = "apps/Deployment";
const MODE: &str = "serving.kserve.io/deploymentMode";

/// A cluster with KServe, with Standard as the default mode.
pub(crate) fn cluster() -> FakeHost {
    let host = FakeHost::new("team-a");
    host.serve("serving.kserve.io", "v1beta1", "InferenceService", "inferenceservices");
    host.serve("serving.kserve.io", "v1alpha1", "ServingRuntime", "servingruntimes");
    host.serve_cluster("serving.kserve.io", "v1alpha1", "ClusterServingRuntime", "clusterservingruntimes");
    host.serve("apps", "v1", "Deployment", "deployments");
    host.serve("apps", "v1", "ReplicaSet", "replicasets");
    host.serve("", "v1", "ConfigMap", "configmaps");
    host.cluster(|cluster| {
        cluster.mutate("InferenceService", |service| {
            if service.annotation(MODE).is_none() {
                service.set("/metadata/annotations/serving.kserve.io~1deploymentMode", "Standard");
            }
        });
    });
    host
}

pub(crate) fn object(host: &FakeHost, kind: &str, name: &str) -> Object {
    host.cluster(|cluster| cluster.object(kind, name)).unwrap()
}

pub(crate) fn writes(host: &FakeHost) -> Vec<(&'static str, bool)> {
    host.cluster(|cluster| cluster.writes().iter().map(|write| (write.verb, write.dry_run)).collect())
}

/// The outcome for the pods of the newest revision.
#[derive(Clone, Copy)]
pub(crate) enum Pods {
    Ready,
    NotReady,
    NoImage,
    /// With this log.
    Crash(&'static str),
}

/// After this many seconds, KServe reconciles the service `iris` with this outcome for its pods.
pub(crate) fn kserve(host: &FakeHost, after: u64, pods: Pods) {
    host.at(Duration::from_secs(after), move |cluster| reconcile(cluster, pods));
}

fn reconcile(cluster: &mut FakeCluster, pods: Pods) {
    let Some(service) = cluster.object(SERVICE, "iris") else { return };
    let labels = json!({ "serving.kserve.io/inferenceservice": "iris" });
    let number = cluster
        .object(DEPLOYMENT, "iris-predictor")
        .and_then(|deployment| deployment.int("/metadata/generation"))
        .unwrap_or(0)
        + 1;
    let ready = matches!(pods, Pods::Ready);
    let count = i64::from(ready);
    let old = i64::from(number > 1 && !ready);
    let annotations = service.at("/spec/predictor/annotations").cloned();
    cluster.put(json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": "iris-predictor", "generation": number, "labels": labels,
            "annotations": { "deployment.kubernetes.io/revision": number.to_string() } },
        "spec": { "replicas": 1, "template": { "metadata": { "annotations": annotations } } },
        "status": { "observedGeneration": number, "replicas": 1 + old, "updatedReplicas": 1,
            "availableReplicas": count + old },
    }));
    let mut of_pods = labels.clone();
    of_pods["pod-template-hash"] = json!(number.to_string());
    cluster.put(json!({
        "apiVersion": "apps/v1", "kind": "ReplicaSet",
        "metadata": { "name": format!("iris-predictor-{number}"), "labels": of_pods,
            "annotations": { "deployment.kubernetes.io/revision": number.to_string() },
            "ownerReferences": [{ "kind": "Deployment", "name": "iris-predictor", "controller": true }] },
    }));
    if ready && number > 1 {
        cluster.remove("Pod", &format!("iris-predictor-{}-0", number - 1));
    }
    let image = service.str("/spec/predictor/containers/0/image").unwrap_or_default().to_owned();
    let name = format!("iris-predictor-{number}-0");
    cluster.put(json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": { "name": name, "labels": of_pods },
        "spec": { "containers": [{ "name": "kserve-container", "image": image }] },
        "status": status(pods, &image),
    }));
    if let Pods::Crash(log) = pods {
        cluster.previous_log(&name, "kserve-container", log);
    }
    // True while the new revision rolls out, and if it cannot start.
    let service_is_ready = ready || number > 1;
    cluster.change(SERVICE, "iris", |service| {
        let status = if service_is_ready { "True" } else { "False" };
        service.set("/status/deploymentMode", "Standard");
        service.set("/status/address/url", "http://iris-predictor.team-a.svc.cluster.local");
        service.set("/status/conditions", json!([{ "type": "Ready", "status": status }]));
    });
}

fn status(pods: Pods, image: &str) -> Value {
    let container = |state: Value, restarts: u32| {
        json!([{
            "name": "kserve-container", "image": image, "restartCount": restarts, "state": state,
            "lastState": { "terminated": { "exitCode": 1 } },
        }])
    };
    let waiting =
        |reason: &str, message: &str| json!({ "waiting": { "reason": reason, "message": message } });
    match pods {
        Pods::Ready => json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "True" }] }),
        Pods::NotReady => {
            json!({ "phase": "Running", "conditions": [{ "type": "Ready", "status": "False" }] })
        }
        Pods::NoImage => json!({ "phase": "Pending",
            "containerStatuses": container(waiting("ImagePullBackOff", "nope: not found"), 0) }),
        Pods::Crash(_) => json!({ "phase": "Running",
            "containerStatuses": container(waiting("CrashLoopBackOff", "back-off"), 2) }),
    }
}
