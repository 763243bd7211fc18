use crate::objects::Object;

/// Identifies a pod within its workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// The trial of an experiment; empty for others.
    pub trial: String,
    /// The step of a training job (`node`, `launcher`, `dataset-initializer`) or the role of a legacy job (`master`,
    /// `worker`); empty for others.
    pub step: String,
    /// The index within the step, from 0; `None` if the workload does not number its pods.
    pub index: Option<u32>,
    /// The name of the pod, if it has neither a step nor an index.
    pub pod: String,
}

impl Rank {
    /// Returns whether it is identified only by the name of the pod.
    pub(super) fn is_unnumbered(&self) -> bool {
        self.index.is_none() && self.step.is_empty()
    }

    /// Returns a label such as `node-0` or `sweep-x1/node-0`, or the name of the pod.
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

/// Reads the rank of a pod from the labels that JobSet, the Job controller and the Training Operator set.
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
    fn pod_without_index_is_labelled_by_name() {
        let pod = json!({ "metadata": { "name": "worker-x7" } });
        assert_eq!(rank_of(&pod.into()).label(), "worker-x7");
    }
}
