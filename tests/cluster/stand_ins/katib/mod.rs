//! Katib: its controllers and its webhooks.
//!
//! An Experiment makes a Suggestion, which makes a Deployment and a Service; once that Deployment is available the
//! Suggestion has values, of which the Experiment makes Trials, of which come training jobs. The webhooks set defaults,
//! refuse what upstream's refuse, and wrap the command of each trial so that its output goes to a file, which a second
//! container repeats.
//!
//! Traps that are kept: a Suggestion makes its Deployment and Service again as long as it is there, so what is deleted in
//! the foreground never goes; words of a command are joined by spaces; the training job of a Trial that has ended is
//! deleted. Left out are the database (observations are read from the collector's log), early stopping, and algorithms:
//! values are spread over their range.

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

pub(super) use webhook::wait_until_it_refuses;

const GROUP: &str = "kubeflow.org";
const API_VERSION: &str = "kubeflow.org/v1beta1";
const EXPERIMENT: &str = "katib.kubeflow.org/experiment";
const SUGGESTION: &str = "katib.kubeflow.org/suggestion";
const TRIAL: &str = "katib.kubeflow.org/trial";
const COLLECTOR: &str = "metrics-logger-and-collector";
/// Where the output of a trial goes.
const METRICS: &str = "/var/log/katib/metrics.log";

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

/// `address` is where the API server reaches this machine.
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

/// Holds an object with a finalizer while it is there, and lets it go when it is deleted. True if it changed it.
async fn finalize(
    client: &Client,
    object: &DynamicObject,
    kind: &ApiResource,
    finalizer: &str,
) -> Result<bool, kube::Error> {
    let held = object.finalizers();
    let is_held = held.iter().any(|held| held == finalizer);
    let is_leaving = object.metadata.deletion_timestamp.is_some();
    let wanted: Vec<&str> = match (is_leaving, is_held) {
        (false, false) => held.iter().map(String::as_str).chain([finalizer]).collect(),
        (true, true) => held.iter().map(String::as_str).filter(|held| *held != finalizer).collect(),
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

/// Whether a condition of an object holds.
fn holds(object: &DynamicObject, kind: &str) -> bool {
    holds_in(object.data.get("status"), kind)
}

fn holds_in(status: Option<&Value>, kind: &str) -> bool {
    let conditions = status.and_then(|status| status.get("conditions")?.as_array());
    conditions.into_iter().flatten().any(|condition| {
        condition.get("type").and_then(Value::as_str) == Some(kind)
            && condition.get("status").and_then(Value::as_str) == Some("True")
    })
}

/// Sets a condition; where another kind of running or ending takes its place, that no longer holds.
fn mark(status: &mut Value, kind: &str, reason: &str, message: &str) {
    if holds_in(Some(status), kind) {
        return;
    }
    let now = jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
    let old = status.get("conditions").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut conditions: Vec<Value> = Vec::new();
    for mut condition in old {
        let of = condition.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        if of == kind {
            continue;
        }
        if of == "Running"
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
