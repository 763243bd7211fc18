//! The names of a job's children.
//!
//! The API server accepts a job with a long name, but its controller then cannot create the job set, jobs or pods
//! that are named after it: the job never runs and never ends.

use kf_plugin_sdk::{Error, Object, Result};
use serde_json::Value;

/// The limit of Kubernetes for labels, host names and the names of services.
const MAX_LABEL_LEN: usize = 63;

/// The length of the random end of a pod's name: a dash and five characters.
const RANDOM_SUFFIX_LEN: usize = 6;

/// The step that trains, if the runtime cannot be read.
const DEFAULT_STEP: &str = "node";

const ANCESTOR: &str = "trainer.kubeflow.org/trainjob-ancestor-step";

/// Checks that the names of a training job's pods are valid: `NAME-node-0-1-abcde`, and the same for each other
/// step of its runtime.
pub fn check_child_names(job: &Object, runtime: Option<&Object>) -> Result<()> {
    let nodes =
        job.int("/spec/trainer/numNodes").or_else(|| runtime?.int("/spec/mlPolicy/numNodes")).unwrap_or(1);
    let steps = runtime.map(|runtime| runtime.list("/spec/template/spec/replicatedJobs")).unwrap_or_default();
    let of_steps = steps.iter().map(|step| {
        let number = |pointer: &str| step.pointer(pointer).and_then(Value::as_i64).unwrap_or(1);
        let trains = step.pointer("/template/metadata/labels").and_then(|labels| labels.get(ANCESTOR));
        let name = step.get("name").and_then(Value::as_str).unwrap_or_default();
        let is_trainer = name == DEFAULT_STEP || trains.and_then(Value::as_str) == Some("trainer");
        let pods = if is_trainer { nodes } else { number("/template/spec/completions") };
        format!("-{name}-{}-{}", last(number("/replicas")), last(pods))
    });
    let longest =
        of_steps.max_by_key(String::len).unwrap_or_else(|| format!("-{DEFAULT_STEP}-0-{}", last(nodes)));
    check_length(job.name(), &longest, RANDOM_SUFFIX_LEN)
}

/// The same for a job of the Training Operator, whose pods and services are named `NAME-worker-1`.
pub fn check_role_child_names(job: &Object) -> Result<()> {
    let spec = job.at("/spec").and_then(Value::as_object).into_iter().flatten();
    let roles =
        spec.filter(|(field, _)| field.ends_with("ReplicaSpecs")).filter_map(|(_, roles)| roles.as_object());
    let of_roles = roles.flatten().map(|(role, spec)| {
        let replicas = spec.get("replicas").and_then(Value::as_i64).unwrap_or(1);
        format!("-{}-{}", role.to_lowercase(), last(replicas))
    });
    check_length(job.name(), &of_roles.max_by_key(String::len).unwrap_or_default(), 0)
}

/// The index of the last of `count`.
fn last(count: i64) -> i64 {
    count.max(1).saturating_sub(1)
}

fn check_length(name: &str, longest: &str, suffix: usize) -> Result<()> {
    let max = MAX_LABEL_LEN.saturating_sub(longest.len() + suffix);
    if name.len() <= max {
        return Ok(());
    }
    let random = if suffix > 0 { "-…" } else { "" };
    Err(Error::invalid(format!(
        "name `{name}` is too long: {} characters, at most {max} for valid pod names (`NAME{longest}{random}`)",
        name.len()
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn job(name: &str, nodes: Option<i64>) -> Object {
        json!({ "metadata": { "name": name }, "spec": { "trainer": { "numNodes": nodes } } }).into()
    }

    fn runtime(steps: &Value, nodes: i64) -> Object {
        json!({ "spec": { "mlPolicy": { "numNodes": nodes }, "template": { "spec": { "replicatedJobs": steps } } } }).into()
    }

    fn max_len(nodes: Option<i64>, runtime: Option<&Object>) -> usize {
        (1..=63)
            .rev()
            .find(|length| check_child_names(&job(&"a".repeat(*length), nodes), runtime).is_ok())
            .unwrap()
    }

    #[test]
    fn name_leaves_room_for_pod_names() {
        // JobSet 0.12 refuses `NAME-node-0-0-abcde` beyond 63 characters.
        assert_eq!(max_len(None, None), 63 - "-node-0-0-abcde".len());
        assert_eq!(max_len(Some(10), None), 63 - "-node-0-9-abcde".len());
        assert_eq!(max_len(Some(11), None), 63 - "-node-0-10-abcde".len());
        let node = json!([{ "name": "node" }]);
        assert_eq!(max_len(None, Some(&runtime(&node, 101))), 63 - "-node-0-100-abcde".len());
        let fetches = json!([{ "name": "dataset-initializer", "replicas": 1 }, { "name": "node" }]);
        assert_eq!(
            max_len(Some(2), Some(&runtime(&fetches, 1))),
            63 - "-dataset-initializer-0-0-abcde".len()
        );
        let own =
            json!([{ "name": "work", "template": { "metadata": { "labels": { ANCESTOR: "trainer" } } } }]);
        assert_eq!(max_len(Some(1000), Some(&runtime(&own, 1))), 63 - "-work-0-999-abcde".len());
        let error = check_child_names(&job(&"a".repeat(60), None), None).unwrap_err();
        let expected = "is too long: 60 characters, at most 48 for valid pod names (`NAME-node-0-0-…`)";
        assert!(error.message.ends_with(expected), "{error}");
    }

    #[test]
    fn negative_and_huge_counts_do_not_overflow() {
        for number in [0, -1, i64::MAX, i64::MIN] {
            let steps = json!([{ "name": "node", "replicas": number, "template": { "spec": { "completions": number } } }, {}]);
            assert_eq!(check_child_names(&job("a", Some(number)), Some(&runtime(&steps, number))), Ok(()));
        }
    }

    #[test]
    fn role_names_count_towards_pod_names() {
        let job = |name: &str| -> Object {
            json!({ "metadata": { "name": name }, "spec": { "pytorchReplicaSpecs": {
                "Master": { "replicas": 1 }, "Worker": { "replicas": 12 } } } })
            .into()
        };
        assert_eq!(check_role_child_names(&job(&"a".repeat(53))), Ok(()));
        assert!(check_role_child_names(&job(&"a".repeat(54))).is_err());
    }
}
