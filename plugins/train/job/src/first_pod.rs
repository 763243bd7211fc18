use std::cmp::Reverse;

use kf_plugin_sdk::Object;
use kf_plugin_sdk::workloads::rank_of;

/// The steps whose logs show the progress of the training, in order of preference.
const STEPS: [&str; 5] = ["launcher", "node", "master", "chief", "worker"];

/// The pod of a job whose log shows the progress of the training: the newest pod of the first rank.
pub fn first_pod(pods: &[Object]) -> Option<&Object> {
    pods.iter().min_by_key(|pod| {
        let rank = rank_of(pod);
        let step = STEPS.iter().position(|step| rank.step == *step).unwrap_or(STEPS.len());
        (step, rank.index, Reverse(pod.created()), pod.name().to_owned())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(name: &str, step: &str, index: u32, minute: u32) -> Object {
        json!({ "metadata": {
            "name": name, "creationTimestamp": format!("2026-01-01T12:{minute:02}:00Z"),
            "labels": {
                "jobset.sigs.k8s.io/replicatedjob-name": step,
                "batch.kubernetes.io/job-completion-index": index.to_string(),
            },
        } })
        .into()
    }

    #[test]
    fn newest_pod_of_first_rank_is_chosen() {
        let pods = [
            pod("data", "dataset-initializer", 0, 9),
            pod("one", "node", 1, 5),
            pod("zero", "node", 0, 3),
            pod("again", "node", 0, 4),
        ];
        assert_eq!(first_pod(&pods).map(Object::name), Some("again"));
        let with_launcher = [pods[3].clone(), pod("launcher", "launcher", 0, 1)];
        assert_eq!(first_pod(&with_launcher).map(Object::name), Some("launcher"));
        assert!(first_pod(&[]).is_none());
    }
}
