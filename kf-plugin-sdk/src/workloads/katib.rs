//! The pods of Katib experiments.
//!
//! Katib wraps the command of a trial so that its output goes to a file instead of the log. A second container, the
//! metrics collector, reads the file and prints it. One pod with the label of the experiment is not a trial: the
//! suggestion service, which suggests the values to try.

use serde_json::Value;

use crate::objects::Object;

/// The label on all objects of an experiment.
pub(super) const EXPERIMENT_LABEL: &str = "katib.kubeflow.org/experiment";
const SUGGESTION_LABEL: &str = "katib.kubeflow.org/suggestion";
/// The container that prints the output of a trial.
pub(super) const COLLECTOR: &str = "metrics-logger-and-collector";

/// Returns whether a pod is the suggestion service of an experiment.
pub(super) fn is_suggestion(pod: &Object) -> bool {
    pod.label(SUGGESTION_LABEL).is_some()
}

/// Returns the container whose log has the output of `container`.
pub(super) fn log_of<'a>(pod: &'a Object, container: &'a str) -> &'a str {
    if is_redirected(pod, container) { COLLECTOR } else { container }
}

/// Returns whether the output of a container is redirected to the file that the collector reads. A collector of the kind
/// `File` reads a file that the trial writes, without redirecting its output.
fn is_redirected(pod: &Object, container: &str) -> bool {
    let words = |name: &str| -> Vec<&str> {
        let spec = pod.list("/spec/containers").iter().find(|spec| text(spec, "name") == Some(name));
        let words = spec.and_then(|spec| spec.get("args")?.as_array());
        words.into_iter().flatten().filter_map(Value::as_str).collect()
    };
    let collector = words(COLLECTOR);
    let path = collector.iter().skip_while(|word| **word != "-path").nth(1);
    path.is_some_and(|path| words(container).iter().any(|word| word.contains(&format!("1>{path} 2>&1"))))
}

fn text<'a>(value: &'a Value, field: &str) -> Option<&'a str> {
    value.get(field)?.as_str()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn pod(command: &str) -> Object {
        json!({ "kind": "Pod", "metadata": { "name": "lr-x-node-0-0" }, "spec": { "containers": [
            { "name": "node", "command": ["sh", "-c"], "args": [command] },
            { "name": "proxy" },
            { "name": COLLECTOR, "args": ["-t", "lr-x", "-path", "/var/log/katib/metrics.log", "-format", "TEXT"] },
        ] } })
        .into()
    }

    #[test]
    fn log_of_redirected_container_is_the_collectors() {
        let redirected =
            pod("train 0.1 1>/var/log/katib/metrics.log 2>&1 && echo completed > /var/log/katib/$$$$.pid");
        assert_eq!(log_of(&redirected, "node"), COLLECTOR);
        assert_eq!(log_of(&redirected, "proxy"), "proxy");
        assert_eq!(log_of(&redirected, COLLECTOR), COLLECTOR);
        let own_file = pod("train 1>/tmp/out 2>&1 && echo completed > /var/log/katib/$$$$.pid");
        assert_eq!(log_of(&own_file, "node"), "node");
        let plain = json!({ "spec": { "containers": [{ "name": "node", "args": ["1> 2>&1"] }] } }).into();
        assert_eq!(log_of(&plain, "node"), "node");
    }
}
