//! Applies flags to a job.

use kf_plugin_sdk::manifest::{amounts, set_resources, set_variable};
use kf_plugin_sdk::prelude::*;
use serde_json::Value;

use crate::{JobFlags, QUEUE_LABEL};

/// Applies all flags except `--runtime` and `--from-dir` to the training job; `--set` last, as it is the most
/// specific.
pub fn apply(flags: &JobFlags, job: &mut Object) -> Result<()> {
    if let Some(nodes) = flags.nodes {
        job.set("/spec/trainer/numNodes", nodes);
    }
    if let Some(image) = &flags.image {
        job.set("/spec/trainer/image", image.as_str());
    }
    let amounts = amounts(flags.cpu.as_ref(), flags.memory.as_ref(), flags.gpu.as_ref());
    set_resources(job, "/spec/trainer/resourcesPerNode", &amounts);
    set_queue(flags, job);
    if !flags.command.is_empty() {
        job.set("/spec/trainer/command", flags.command.clone());
        // The file's arguments belong to the file's command.
        if let Some(trainer) = job.at("/spec/trainer").and_then(Value::as_object) {
            let mut trainer = trainer.clone();
            trainer.remove("args");
            job.set("/spec/trainer", trainer);
        }
    }
    for variable in &flags.env {
        set_variable(job, "/spec/trainer/env", variable);
    }
    set_fields(flags, job)
}

/// Applies `--set`, which works for any kind of object.
pub fn set_fields(flags: &JobFlags, job: &mut Object) -> Result<()> {
    flags.set.iter().try_for_each(|assignment| assignment.apply(job))
}

/// Applies `--queue`, which works for every kind that Kueue manages.
pub fn set_queue(flags: &JobFlags, job: &mut Object) {
    if let Some(queue) = &flags.queue {
        job.set(&format!("/metadata/labels/{}", escaped(QUEUE_LABEL)), queue.as_str());
    }
}

/// Escapes a name for a JSON pointer.
fn escaped(name: &str) -> String {
    name.replace('~', "~0").replace('/', "~1")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job() -> Object {
        json!({ "spec": { "trainer": {
            "args": ["--old"], "env": [{ "name": "A", "value": "1" }, { "name": "B", "value": "2" }],
        } } })
        .into()
    }

    fn with(flags: JobFlags) -> Result<Object> {
        let mut job = job();
        apply(&flags, &mut job).map(|()| job)
    }

    #[test]
    fn command_replaces_arguments_of_file() {
        let job = with(JobFlags { command: vec!["python".into(), "train.py".into()], ..JobFlags::default() })
            .unwrap();
        assert_eq!(job.at("/spec/trainer/command"), Some(&json!(["python", "train.py"])));
        assert_eq!(job.at("/spec/trainer/args"), None);
    }

    #[test]
    fn resources_set_requests_and_limits() {
        let flags = JobFlags {
            cpu: Some("500m".parse().unwrap()),
            memory: Some("1Gi".parse().unwrap()),
            gpu: Some("2".parse().unwrap()),
            queue: Some("team".into()),
            ..JobFlags::default()
        };
        let job = with(flags).unwrap();
        let expected = json!({ "cpu": "500m", "memory": "1Gi", "nvidia.com/gpu": "2" });
        assert_eq!(job.at("/spec/trainer/resourcesPerNode/limits"), Some(&expected));
        assert_eq!(job.at("/spec/trainer/resourcesPerNode/requests"), Some(&expected));
        assert_eq!(job.label("kueue.x-k8s.io/queue-name"), Some("team"));
        let job =
            with(JobFlags { gpu: Some("amd.com/gpu=1".parse().unwrap()), ..JobFlags::default() }).unwrap();
        assert_eq!(job.str("/spec/trainer/resourcesPerNode/limits/amd.com~1gpu"), Some("1"));
    }

    #[test]
    fn variables_and_fields_override_file_and_flags() {
        let flags = JobFlags {
            env: vec!["A=x".parse().unwrap()],
            set: vec!["spec.trainer.numNodes=4".parse().unwrap()],
            nodes: Some(2),
            ..JobFlags::default()
        };
        let job = with(flags).unwrap();
        let expected = json!([{ "name": "B", "value": "2" }, { "name": "A", "value": "x" }]);
        assert_eq!(job.at("/spec/trainer/env"), Some(&expected));
        assert_eq!(job.int("/spec/trainer/numNodes"), Some(4));
    }
}
