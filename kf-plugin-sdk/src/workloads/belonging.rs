use super::WorkloadKind;
use super::kinds::PodsBy;
use crate::objects::Object;

/// Returns the kind and name of the workload that a pod belongs to, from the labels and owner of the pod alone. A pod
/// without an owner belongs to itself.
///
/// Owners outside the catalogue are returned by their kind, such as `daemonset`. Pods of a training job name only its
/// job set, which has the same name.
pub fn workload_of(pod: &Object) -> (String, String) {
    if let Some((kind, name)) = by_label(pod) {
        return (kind.word().to_owned(), name.to_owned());
    }
    match pod.controller() {
        None => (WorkloadKind::Pod.word().to_owned(), pod.name().to_owned()),
        Some(("ReplicaSet", name)) => match deployment(pod, name) {
            Some(deployment) => (WorkloadKind::Deployment.word().to_owned(), deployment.to_owned()),
            None => ("replicaset".to_owned(), name.to_owned()),
        },
        Some((kind, name)) => (kind.to_lowercase(), name.to_owned()),
    }
}

fn by_label(pod: &Object) -> Option<(WorkloadKind, &str)> {
    WorkloadKind::ALL.into_iter().find_map(|kind| {
        let PodsBy::Label(label) = kind.pods_by() else { return None };
        let name = pod.label(label)?;
        let meant = match kind {
            WorkloadKind::TrainJob => false,
            // Many other pods have the label `app` too.
            WorkloadKind::Tensorboard => false,
            // All legacy jobs share this label; the owner tells them apart.
            kind if kind.is_legacy_job() => pod.controller().is_some_and(|(of, _)| of == kind.kind().kind),
            _ => true,
        };
        meant.then_some((kind, name))
    })
}

/// Strips the hash, which the pod has as a label, from the name of a replica set.
fn deployment<'a>(pod: &Object, replica_set: &'a str) -> Option<&'a str> {
    replica_set.strip_suffix(pod.label("pod-template-hash")?)?.strip_suffix('-')
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(labels: Value, owner: Option<(&str, &str)>) -> String {
        let owners = owner.map(|(kind, name)| json!([{ "kind": kind, "name": name, "controller": true }]));
        let pod = json!({ "kind": "Pod", "metadata": {
            "name": "x-0", "labels": labels, "ownerReferences": owners,
        } });
        let (kind, name) = workload_of(&pod.into());
        format!("{kind}/{name}")
    }

    #[test]
    fn pod_names_its_workload() {
        let job_set = json!({ "jobset.sigs.k8s.io/jobset-name": "mnist", "batch.kubernetes.io/job-name": "mnist-node-0" });
        assert_eq!(of(job_set, Some(("Job", "mnist-node-0"))), "jobset/mnist");
        assert_eq!(of(json!({ "notebook-name": "alice" }), Some(("StatefulSet", "alice"))), "notebook/alice");
        let legacy = json!({ "training.kubeflow.org/job-name": "old" });
        assert_eq!(of(legacy, Some(("TFJob", "old"))), "tfjob/old");
        let web = json!({ "app": "web", "pod-template-hash": "5d9" });
        assert_eq!(of(web, Some(("ReplicaSet", "web-5d9"))), "deployment/web");
        assert_eq!(of(json!({ "app": "db" }), Some(("StatefulSet", "db"))), "statefulset/db");
        assert_eq!(of(json!({}), Some(("DaemonSet", "agent"))), "daemonset/agent");
        assert_eq!(of(json!({ "app": "x" }), None), "pod/x-0");
    }
}
