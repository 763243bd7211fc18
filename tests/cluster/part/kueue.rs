//! Kueue, which holds jobs back until there is room in their queue.
//!
//! Upstream's webhooks look at every job, and at every pod, of the whole cluster, and nothing is
//! admitted while they do not answer. Here they look at what names a queue, so that tests without one
//! see nothing of Kueue; and only Jobs, JobSets and TrainJobs are queued.

use kf_toolchains::go;
use kf_toolchains::upstream::KUEUE;
use serde_json::{Value, json};

use super::super::access::{TEAM_A, TEAM_B};
use super::super::error::{ClusterError, Result};
use super::super::images;
use super::super::manifests::parse_yaml;
use super::super::objects::is;
use super::{Contents, Workshop, upstream};

/// The LocalQueue of each team, and of each namespace for which one is made. It has room for 1 CPU and
/// 1 GiB of memory.
pub const QUEUE: &str = "training";

const MANAGER: &str = "kf.test/kueue-manager:1";
const CONFIGURATION: &str = "controller_manager_config.yaml";
const FRAMEWORKS: [&str; 3] = ["batch/job", "jobset.x-k8s.io/jobset", "trainer.kubeflow.org/trainjob"];
const QUEUED_GROUPS: [&str; 3] = ["batch", "jobset.x-k8s.io", "trainer.kubeflow.org"];
const GROUP: &str = "kueue.x-k8s.io";

pub(super) fn contents(workshop: &Workshop) -> Result<Contents> {
    let manager = go::build(&KUEUE.manager(), workshop.progress)?;
    let mut objects = upstream::objects(&KUEUE, workshop)?;
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
    let mut afterwards = vec![flavor];
    afterwards.extend([TEAM_A, TEAM_B].into_iter().flat_map(queue));
    Ok(Contents {
        images: vec![images::manager(MANAGER, "/manager", &manager)?],
        definitions,
        objects,
        afterwards,
        groups: vec![GROUP],
        ..Contents::default()
    })
}

/// A queue of `namespace` alone, so that tests do not wait for each other.
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

/// Leaves the webhooks of Kueue's own kinds, and for the kinds that are queued those that look at
/// objects with a queue.
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
            let names_a_queue = json!({"key": "kueue.x-k8s.io/queue-name", "operator": "Exists"});
            webhook.insert("objectSelector".to_owned(), json!({"matchExpressions": [names_a_queue]}));
        }
    }
}

/// Sets which kinds are queued, in the ConfigMap whose value is a document of its own.
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

/// Whether it is one of upstream's roles for whoever submits jobs, about Kueue's own kinds.
fn is_for_users(object: &Value) -> bool {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object);
    let group = object.pointer("/rules/0/apiGroups/0").and_then(Value::as_str).unwrap_or_default();
    is(object, "ClusterRole")
        && labels.is_some_and(|labels| labels.contains_key("rbac.kueue.x-k8s.io/batch-user"))
        && group.ends_with(GROUP)
}
