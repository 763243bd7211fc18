//! What the children of a job are called.
//!
//! A job is taken whatever its name, and then its controller cannot make the job set, jobs or pods that are
//! named after it: it never runs, and nothing ends it.

use kf_plugin_sdk::{Error, Object, Result};
use serde_json::Value;

/// What Kubernetes allows the names of services, labels and host names.
const MAX_LABEL: usize = 63;

/// What a pod's name ends with: a dash and five letters.
const SUFFIX: usize = 6;

/// The step of a runtime that trains, where the runtime cannot be read.
const NODE: &str = "node";

const ANCESTOR: &str = "trainer.kubeflow.org/trainjob-ancestor-step";

/// Whether the pods of a training job can be called after it: `NAME-node-0-1-abcde`, and the same for each
/// other step of its runtime.
pub fn check_children(job: &Object, runtime: Option<&Object>) -> Result<()> {
    let nodes =
        job.int("/spec/trainer/numNodes").or_else(|| runtime?.int("/spec/mlPolicy/numNodes")).unwrap_or(1);
    let steps = runtime.map(|runtime| runtime.list("/spec/template/spec/replicatedJobs")).unwrap_or_default();
    let of_steps = steps.iter().map(|step| {
        let number = |pointer: &str| step.pointer(pointer).and_then(Value::as_i64).unwrap_or(1);
        let trains = step.pointer("/template/metadata/labels").and_then(|labels| labels.get(ANCESTOR));
        let name = step.get("name").and_then(Value::as_str).unwrap_or_default();
        let is_trainer = name == NODE || trains.and_then(Value::as_str) == Some("trainer");
        let pods = if is_trainer { nodes } else { number("/template/spec/completions") };
        format!("-{name}-{}-{}", last(number("/replicas")), last(pods))
    });
    let longest = of_steps.max_by_key(String::len).unwrap_or_else(|| format!("-{NODE}-0-{}", last(nodes)));
    fits(job.name(), &longest, SUFFIX)
}

/// The same for a job of the Training Operator, whose pods and services are called `NAME-worker-1`.
pub fn check_children_of_roles(job: &Object) -> Result<()> {
    let spec = job.at("/spec").and_then(Value::as_object).into_iter().flatten();
    let roles =
        spec.filter(|(field, _)| field.ends_with("ReplicaSpecs")).filter_map(|(_, roles)| roles.as_object());
    let of_roles = roles.flatten().map(|(role, spec)| {
        let replicas = spec.get("replicas").and_then(Value::as_i64).unwrap_or(1);
        format!("-{}-{}", role.to_lowercase(), last(replicas))
    });
    fits(job.name(), &of_roles.max_by_key(String::len).unwrap_or_default(), 0)
}

/// The index of the last of so many.
fn last(count: i64) -> i64 {
    count.max(1).saturating_sub(1)
}

fn fits(name: &str, longest: &str, suffix: usize) -> Result<()> {
    let most = MAX_LABEL.saturating_sub(longest.len() + suffix);
    if name.len() <= most {
        return Ok(());
    }
    let random = if suffix > 0 { "-…" } else { "" };
    Err(Error::invalid(format!(
        "the name `{name}` is too long: it has {} characters, and its pods (`NAME{longest}{random}`) leave room for {most}",
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

    fn most(nodes: Option<i64>, runtime: Option<&Object>) -> usize {
        (1..=63)
            .rev()
            .find(|length| check_children(&job(&"a".repeat(*length), nodes), runtime).is_ok())
            .unwrap()
    }

    #[test]
    fn pods_get_names_that_kubernetes_takes() {
        // JobSet 0.12 refuses `NAME-node-0-0-abcde` beyond 63 characters.
        assert_eq!(most(None, None), 63 - "-node-0-0-abcde".len());
        assert_eq!(most(Some(10), None), 63 - "-node-0-9-abcde".len());
        assert_eq!(most(Some(11), None), 63 - "-node-0-10-abcde".len());
        let node = json!([{ "name": "node" }]);
        assert_eq!(most(None, Some(&runtime(&node, 101))), 63 - "-node-0-100-abcde".len());
        let fetches = json!([{ "name": "dataset-initializer", "replicas": 1 }, { "name": "node" }]);
        assert_eq!(most(Some(2), Some(&runtime(&fetches, 1))), 63 - "-dataset-initializer-0-0-abcde".len());
        let own =
            json!([{ "name": "work", "template": { "metadata": { "labels": { ANCESTOR: "trainer" } } } }]);
        assert_eq!(most(Some(1000), Some(&runtime(&own, 1))), 63 - "-work-0-999-abcde".len());
        let error = check_children(&job(&"a".repeat(60), None), None).unwrap_err();
        let expected =
            "is too long: it has 60 characters, and its pods (`NAME-node-0-0-…`) leave room for 48";
        assert!(error.message.ends_with(expected), "{error}");
    }

    #[test]
    fn odd_numbers_do_no_harm() {
        for number in [0, -1, i64::MAX, i64::MIN] {
            let steps = json!([{ "name": "node", "replicas": number, "template": { "spec": { "completions": number } } }, {}]);
            assert_eq!(check_children(&job("a", Some(number)), Some(&runtime(&steps, number))), Ok(()));
        }
    }

    #[test]
    fn pods_of_roles_are_called_after_their_role() {
        let job = |name: &str| -> Object {
            json!({ "metadata": { "name": name }, "spec": { "pytorchReplicaSpecs": {
                "Master": { "replicas": 1 }, "Worker": { "replicas": 12 } } } })
            .into()
        };
        assert_eq!(check_children_of_roles(&job(&"a".repeat(53))), Ok(()));
        assert!(check_children_of_roles(&job(&"a".repeat(54))).is_err());
    }
}
