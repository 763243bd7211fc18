//! Kueue, which suspends jobs until their queue has quota.
//!
//! Upstream's webhooks handle every job and pod of the cluster, and nothing is admitted while they do not answer.
//! Here they handle only objects with a queue, so that Kueue does not affect other tests; and only Jobs, JobSets and
//! TrainJobs are queued.

use kf_toolchains::go;
use kf_toolchains::upstream::KUEUE;
use serde_json::{Value, json};

use super::super::access::{TEAM_A, TEAM_B};
use super::super::error::{ClusterError, Result};
use super::super::images;
use super::super::manifests::parse_yaml;
use super::super::objects::is;
use super::{BuildContext, Contents, upstream};

/// The name of a team's LocalQueue. Its quota is 1 CPU and 1 GiB of memory.
pub const QUEUE: &str = "training";

const MANAGER: &str = "kf.test/kueue-manager:1";
const CONFIGURATION: &str = "controller_manager_config.yaml";
const FRAMEWORKS: [&str; 3] = ["batch/job", "jobset.x-k8s.io/jobset", "trainer.kubeflow.org/trainjob"];
const QUEUED_GROUPS: [&str; 3] = ["batch", "jobset.x-k8s.io", "trainer.kubeflow.org"];
const GROUP: &str = "kueue.x-k8s.io";

pub(super) fn contents(context: &BuildContext) -> Result<Contents> {
    let manager = go::build(&KUEUE.manager(), context.progress)?;
    let mut objects = upstream::objects(&KUEUE, context)?;
    let definitions = upstream::take_definitions(&mut objects)?;
    for object in &mut objects {
        upstream::adapt_deployment(object, MANAGER);
        if is(object, "MutatingWebhookConfiguration") || is(object, "ValidatingWebhookConfiguration") {
            restrict(object);
        } else if is(object, "ConfigMap") {
            configure(object)?;
        } else if is_for_users(object) {
            upstream::extend(object, "view");
        }
    }
    let flavor = json!({
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "ResourceFlavor",
        "metadata": {"name": "default"},
    });
    let mut last = vec![flavor];
    last.extend([TEAM_A, TEAM_B].into_iter().flat_map(queue));
    Ok(Contents {
        images: vec![images::manager(MANAGER, "/manager", &manager)?],
        definitions,
        objects,
        last,
        groups: vec![GROUP],
        ..Contents::default()
    })
}

/// A queue for one namespace, so that tests do not wait for each other.
pub(super) fn queue(namespace: &str) -> [Value; 2] {
    let cluster_queue = json!({
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "ClusterQueue",
        "metadata": {"name": namespace},
        "spec": {
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "queueingStrategy": "BestEffortFIFO",
            "resourceGroups": [{
                "coveredResources": ["cpu", "memory"],
                "flavors": [{"name": "default", "resources": [
                    {"name": "cpu", "nominalQuota": "1"},
                    {"name": "memory", "nominalQuota": "1Gi"},
                ]}],
            }],
        },
    });
    let local_queue = json!({
        "apiVersion": "kueue.x-k8s.io/v1beta1",
        "kind": "LocalQueue",
        "metadata": {"name": QUEUE, "namespace": namespace},
        "spec": {"clusterQueue": namespace},
    });
    [cluster_queue, local_queue]
}

/// Keeps the webhooks of Kueue's own kinds and, for objects with a queue, those of the queued kinds.
fn restrict(configuration: &mut Value) {
    let Some(webhooks) = configuration.get_mut("webhooks").and_then(Value::as_array_mut) else { return };
    let group_of = |webhook: &Value| {
        webhook.pointer("/rules/0/apiGroups/0").and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let is_queued = |group: &str| QUEUED_GROUPS.contains(&group);
    webhooks.retain(|webhook| {
        let group = group_of(webhook);
        group == GROUP || is_queued(&group)
    });
    for webhook in webhooks {
        if is_queued(&group_of(webhook))
            && let Some(webhook) = webhook.as_object_mut()
        {
            let has_queue = json!({"key": "kueue.x-k8s.io/queue-name", "operator": "Exists"});
            webhook.insert("objectSelector".to_owned(), json!({"matchExpressions": [has_queue]}));
        }
    }
}

/// Sets the queued kinds, in the YAML document in the ConfigMap.
fn configure(object: &mut Value) -> Result<()> {
    let malformed = |reason: String| ClusterError::malformed(CONFIGURATION, reason);
    let Some(document) = object.get_mut("data").and_then(|data| data.get_mut(CONFIGURATION)) else {
        return Ok(());
    };
    let parsed = parse_yaml(document.as_str().unwrap_or_default()).map_err(malformed)?;
    let mut parsed = parsed.into_iter().next().ok_or_else(|| malformed("it is empty".to_owned()))?;
    if let Some(configuration) = parsed.as_object_mut() {
        configuration.insert("integrations".to_owned(), json!({"frameworks": FRAMEWORKS}));
    }
    *document = json!(parsed.to_string());
    Ok(())
}

/// Whether it is one of upstream's roles on Kueue's kinds for users who submit jobs.
fn is_for_users(object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let group = object.pointer("/rules/0/apiGroups/0").and_then(Value::as_str).unwrap_or_default();
    is(object, "ClusterRole")
        && labels.is_some_and(|labels| labels.contains_key("rbac.kueue.x-k8s.io/batch-user"))
        && group.ends_with(GROUP)
}
