use crate::objects::Object;

/// Which of a workload's pods a pod is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The step of a training job (`node`, `launcher`, `dataset-initializer`); empty for others.
    pub step: String,
    /// Counted from 0 within the step; none if the workload does not number its pods.
    pub index: Option<u32>,
    /// Without an index the pods are told apart by name.
    pub pod: String,
}

impl Rank {
    /// `node-0`, or the pod's name.
    pub fn label(&self) -> String {
        match (self.step.as_str(), self.index) {
            ("", Some(index)) => format!("rank-{index}"),
            ("", None) => self.pod.clone(),
            (step, Some(index)) => format!("{step}-{index}"),
            (step, None) => step.to_owned(),
        }
    }
}

/// Read from the labels JobSet and the Job controller put on pods.
pub fn rank_of(pod: &Object) -> Rank {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let step = pod.label("jobset.sigs.k8s.io/replicatedjob-name").unwrap_or_default();
    let completion = number(
        pod.label("batch.kubernetes.io/job-completion-index")
            .or_else(|| pod.annotation("batch.kubernetes.io/job-completion-index")),
    );
    // A step of several jobs numbers the jobs; a step of one job numbers its pods.
    let replicas = number(pod.label("jobset.sigs.k8s.io/replicatedjob-replicas")).unwrap_or(1);
    let job = number(pod.label("jobset.sigs.k8s.io/job-index"));
    let index = if replicas > 1 { job } else { completion.or(job) };
    let pod = if index.is_some() || !step.is_empty() { String::new() } else { pod.name().to_owned() };
    Rank { step: step.to_owned(), index, pod }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pods_of_a_training_job_are_numbered_by_step() {
        let pod = json!({ "metadata": { "name": "mnist-node-0-1-abcde", "labels": {
            "jobset.sigs.k8s.io/replicatedjob-name": "node",
            "jobset.sigs.k8s.io/replicatedjob-replicas": "1",
            "jobset.sigs.k8s.io/job-index": "0",
            "batch.kubernetes.io/job-completion-index": "1",
        } } });
        assert_eq!(rank_of(&pod.into()).label(), "node-1");
    }

    #[test]
    fn a_pod_without_a_number_goes_by_its_name() {
        let pod = json!({ "metadata": { "name": "worker-x7" } });
        assert_eq!(rank_of(&pod.into()).label(), "worker-x7");
    }
}
