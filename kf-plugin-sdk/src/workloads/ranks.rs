use crate::objects::Object;

/// Which of a workload's pods a pod is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The trial of an experiment it belongs to; empty for others.
    pub trial: String,
    /// The step of a training job (`node`, `launcher`, `dataset-initializer`), or a legacy job's role
    /// (`master`, `worker`); empty for others.
    pub step: String,
    /// Counted from 0 within the step; none if the workload does not number its pods.
    pub index: Option<u32>,
    /// Without an index the pods are told apart by name.
    pub pod: String,
}

impl Rank {
    /// Told apart from the others by nothing but the pod's name.
    pub(super) fn is_unnumbered(&self) -> bool {
        self.index.is_none() && self.step.is_empty()
    }

    /// `node-0`, `sweep-x1/node-0`, or the pod's name.
    pub fn label(&self) -> String {
        let within = self.within();
        match self.trial.as_str() {
            "" => within,
            _ if self.step.is_empty() && self.index.is_none() => within,
            trial => format!("{trial}/{within}"),
        }
    }

    fn within(&self) -> String {
        match (self.step.as_str(), self.index) {
            ("", Some(index)) => format!("rank-{index}"),
            ("", None) => self.pod.clone(),
            (step, Some(index)) => format!("{step}-{index}"),
            (step, None) => step.to_owned(),
        }
    }
}

/// Read from the labels JobSet, the Job controller and the Training Operator put on pods.
pub fn rank_of(pod: &Object) -> Rank {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<u32>().ok());
    let trial = pod.label("katib.kubeflow.org/trial").unwrap_or_default().to_owned();
    let step = pod.label("jobset.sigs.k8s.io/replicatedjob-name");
    if let (None, Some(role)) = (step, pod.label("training.kubeflow.org/replica-type")) {
        let index = number(pod.label("training.kubeflow.org/replica-index"));
        return Rank { trial, step: role.to_owned(), index, pod: String::new() };
    }
    let step = step.unwrap_or_default();
    let completion = number(
        pod.label("batch.kubernetes.io/job-completion-index")
            .or_else(|| pod.annotation("batch.kubernetes.io/job-completion-index")),
    );
    // A step of several jobs numbers the jobs; a step of one job numbers its pods.
    let replicas = number(pod.label("jobset.sigs.k8s.io/replicatedjob-replicas")).unwrap_or(1);
    let job = number(pod.label("jobset.sigs.k8s.io/job-index"));
    let index = if replicas > 1 { job } else { completion.or(job) };
    let pod = if index.is_some() || !step.is_empty() { String::new() } else { pod.name().to_owned() };
    Rank { trial, step: step.to_owned(), index, pod }
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
    fn pods_of_a_legacy_job_are_numbered_by_role() {
        let pod = json!({ "metadata": { "name": "mnist-worker-1", "labels": {
            "training.kubeflow.org/replica-type": "worker", "training.kubeflow.org/replica-index": "1",
        } } });
        assert_eq!(rank_of(&pod.into()).label(), "worker-1");
    }

    #[test]
    fn a_pod_without_a_number_goes_by_its_name() {
        let pod = json!({ "metadata": { "name": "worker-x7" } });
        assert_eq!(rank_of(&pod.into()).label(), "worker-x7");
    }
}
