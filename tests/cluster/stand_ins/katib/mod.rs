//! Katib's controllers and webhooks.
//!
//! An Experiment creates a Suggestion, which creates a Deployment and a Service. Once the Deployment is available, the
//! Suggestion provides values, the Experiment creates Trials with them, and each Trial creates a training job. The
//! webhooks set defaults, refuse what upstream's refuse, and wrap the command of each trial so that its output goes to a
//! file, which a second container prints.
//!
//! Upstream's quirks are kept: an existing Suggestion recreates its Deployment and Service, so a foreground deletion
//! never ends; words of a command are joined with spaces; the training job of an ended Trial is deleted. Not implemented
//! are the database (observations are read from the collector's log), early stopping, and algorithms: values are spread
//! over their range.

use std::net::IpAddr;

use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::resource;

mod admission;
mod experiment;
mod suggestion;
mod trial;
mod webhook;

pub(super) use webhook::wait_for_webhooks;

const GROUP: &str = "kubeflow.org";
const API_VERSION: &str = "kubeflow.org/v1beta1";
const EXPERIMENT: &str = "katib.kubeflow.org/experiment";
const SUGGESTION: &str = "katib.kubeflow.org/suggestion";
const TRIAL: &str = "katib.kubeflow.org/trial";
const COLLECTOR: &str = "metrics-logger-and-collector";
/// The file with the output of a trial.
const METRICS_FILE: &str = "/var/log/katib/metrics.log";

fn experiments() -> ApiResource {
    resource(GROUP, "v1beta1", "Experiment", "experiments")
}

fn suggestions() -> ApiResource {
    resource(GROUP, "v1beta1", "Suggestion", "suggestions")
}

fn trials() -> ApiResource {
    resource(GROUP, "v1beta1", "Trial", "trials")
}

fn train_jobs() -> ApiResource {
    resource("trainer.kubeflow.org", "v1alpha1", "TrainJob", "trainjobs")
}

/// `address` is this machine's address for the API server.
pub(super) async fn run(client: Client, address: IpAddr) {
    let webhooks = webhook::serve(client.clone(), address);
    tokio::join!(
        webhooks,
        experiment::run(client.clone()),
        suggestion::run(client.clone()),
        trial::run(client)
    );
}

/// The objects of a kind that belong to an experiment.
async fn of_experiment(
    client: &Client,
    namespace: &str,
    kind: &ApiResource,
    experiment: &str,
) -> Result<Vec<DynamicObject>, kube::Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, kind);
    let mine = ListParams::default().labels(&format!("{EXPERIMENT}={experiment}"));
    Ok(api.list(&mine).await?.items)
}

/// Adds a finalizer to an object, or removes it if the object is being deleted. Returns true if it changed the object.
async fn finalize(
    client: &Client,
    object: &DynamicObject,
    kind: &ApiResource,
    finalizer: &str,
) -> Result<bool, kube::Error> {
    let finalizers = object.finalizers();
    let is_set = finalizers.iter().any(|other| other == finalizer);
    let is_terminating = object.metadata.deletion_timestamp.is_some();
    let wanted: Vec<&str> = match (is_terminating, is_set) {
        (false, false) => finalizers.iter().map(String::as_str).chain([finalizer]).collect(),
        (true, true) => finalizers.iter().map(String::as_str).filter(|other| *other != finalizer).collect(),
        _ => return Ok(false),
    };
    let api: Api<DynamicObject> =
        Api::namespaced_with(client.clone(), &object.namespace().unwrap_or_default(), kind);
    let patch = Patch::Merge(json!({"metadata": {"finalizers": wanted}}));
    match api.patch(&object.name_any(), &PatchParams::default(), &patch).await {
        Err(kube::Error::Api(status)) if status.code == 404 => Ok(true),
        patched => patched.map(|_| true),
    }
}

/// Whether a condition of an object is true.
fn has_condition(object: &DynamicObject, kind: &str) -> bool {
    status_has_condition(object.data.get("status"), kind)
}

fn status_has_condition(status: Option<&Value>, kind: &str) -> bool {
    let conditions = status.and_then(|status| status.get("conditions")?.as_array());
    conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some(kind)
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// Sets a condition to true, and `Running` to false.
fn set_condition(status: &mut Value, kind: &str, reason: &str, message: &str) {
    if status_has_condition(Some(status), kind) {
        return;
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let old = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut conditions: Vec<Value> = Vec::new();
    for mut condition in old {
        let other = condition.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if other == kind {
            continue;
        }
        if other == "Running"
            && let Some(fields) = condition.as_object_mut()
        {
            fields.insert("status".to_owned(), json!("False"));
        }
        conditions.push(condition);
    }
    conditions.push(json!({
        "type": kind, "status": "True", "reason": reason, "message": message,
        "lastTransitionTime": now, "lastUpdateTime": now,
    }));
    if let Some(fields) = status.as_object_mut() {
        fields.insert("conditions".to_owned(), json!(conditions));
    }
}

fn count(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}
