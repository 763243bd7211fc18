//! The trial controller: creates a training job for each trial and observes its result.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, DynamicObject, ListParams, LogParams, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::super::controller::{Controller, Reconcile};
use super::super::{owner, text, write_status};
use super::{API_VERSION, COLLECTOR, TRIAL, finalize, has_condition, set, set_condition, train_jobs, trials};

const FINALIZER: &str = "clean-metrics-in-db";
/// How often a missing observation is requested.
const RETRY_AFTER: Duration = Duration::from_secs(1);

pub(super) async fn run(client: Client) {
    Controller::new(client, trials())
        .with_deleted()
        .watches_named(train_jobs(), None)
        .run(|client, trial| Box::pin(reconcile(client, trial)) as Reconcile<'_>)
        .await;
}

async fn reconcile(client: &Client, trial: &DynamicObject) -> Result<Option<Duration>, kube::Error> {
    if finalize(client, trial, &trials(), FINALIZER).await? {
        return Ok(None);
    }
    let (name, namespace) = (trial.name_any(), trial.namespace().unwrap_or_default());
    let before = trial.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let mut status = before.clone();
    let now = || json!(jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string());
    if !has_condition(trial, "Created") {
        set(&mut status, "startTime", now());
        set_condition(&mut status, "Created", "TrialCreated", "Trial is created");
    }
    let jobs: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &train_jobs());
    let job = jobs.get_opt(&name).await?;
    let has_ended =
        ["Succeeded", "Failed", "MetricsUnavailable"].iter().any(|kind| has_condition(trial, kind));
    match job {
        Some(_) if has_ended => {
            if trial.data.pointer("/spec/retainRun").and_then(Value::as_bool) != Some(true) {
                match jobs.delete(&name, &DeleteParams::foreground()).await {
                    Err(kube::Error::Api(status)) if status.code == 404 => {}
                    deleted => drop(deleted?),
                }
            }
        }
        None if has_ended => {}
        None => {
            let mut job = trial.data.pointer("/spec/runSpec").cloned().unwrap_or_default();
            if let Some(metadata) = job.get_mut("metadata") {
                set(metadata, "ownerReferences", owner(trial, API_VERSION, "Trial"));
            }
            let job: DynamicObject = serde_json::from_value(job).map_err(kube::Error::SerdeError)?;
            jobs.create(&PostParams::default(), &job).await?;
        }
        Some(job) if has_condition(&job, "Failed") => {
            let message = "Trial has failed. Job message: jobset failed due to one or more job failures";
            set_condition(&mut status, "Failed", "TrialFailed. Job reason: JobsFailed", message);
            set(&mut status, "completionTime", now());
        }
        Some(job) if has_condition(&job, "Complete") => {
            let Some(observed) = observe(client, trial, &namespace, &name).await? else {
                return Ok(Some(RETRY_AFTER));
            };
            set(&mut status, "observation", json!({"metrics": [observed]}));
            if text(&observed, "/latest") == "unavailable" {
                let reason = "MetricsUnavailable. Job reason: AllJobsCompleted";
                set_condition(&mut status, "MetricsUnavailable", reason, "Metrics are not available");
            } else {
                set_condition(
                    &mut status,
                    "Succeeded",
                    "TrialSucceeded. Job reason: AllJobsCompleted",
                    "Trial has succeeded",
                );
            }
            set(&mut status, "completionTime", now());
        }
        Some(_) => set_condition(&mut status, "Running", "TrialRunning", "Trial is running"),
    }
    if status != before {
        write_status(client, trial, &trials(), status).await?;
    }
    Ok(None)
}

/// The observation that the collector has printed, if any.
async fn observe(
    client: &Client,
    trial: &DynamicObject,
    namespace: &str,
    name: &str,
) -> Result<Option<Value>, kube::Error> {
    let metric = text(&trial.data, "/spec/objective/objectiveMetricName").to_owned();
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    let found = pods.list(&ListParams::default().labels(&format!("{TRIAL}={name}"))).await?;
    let has_collector = |pod: &&Pod| {
        pod.spec.as_ref().is_some_and(|spec| spec.containers.iter().any(|one| one.name == COLLECTOR))
    };
    let Some(pod) = found.items.iter().find(has_collector) else { return Ok(None) };
    let parameters = LogParams { container: Some(COLLECTOR.to_owned()), ..LogParams::default() };
    let log = pods.logs(&pod.name_any(), &parameters).await?;
    let values: Vec<f64> = log
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .filter(|(found, _)| *found == metric)
        .filter_map(|(_, value)| value.parse().ok())
        .collect();
    let mut observed: BTreeMap<&str, String> = BTreeMap::new();
    let of = |value: Option<f64>| value.map_or_else(|| "unavailable".to_owned(), |value| value.to_string());
    observed.insert("latest", of(values.last().copied()));
    observed.insert("min", of(values.iter().copied().reduce(f64::min)));
    observed.insert("max", of(values.iter().copied().reduce(f64::max)));
    let mut observed = json!(observed);
    set(&mut observed, "name", json!(metric));
    Ok(Some(observed))
}
