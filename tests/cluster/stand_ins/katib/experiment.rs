//! The experiment controller: requests values from its Suggestion and creates Trials with them.

use std::time::Duration;

use kube::api::{DynamicObject, PostParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::super::controller::{Controller, Reconcile};
use super::super::{ensure, owner, text, write_status};
use super::{
    API_VERSION, EXPERIMENT, count, experiments, finalize, has_condition, of_experiment, set, set_condition,
    suggestions, trials,
};

const FINALIZER: &str = "update-prometheus-metrics";

pub(super) async fn run(client: Client) {
    Controller::new(client, experiments())
        .with_deleted()
        .watches_named(suggestions(), None)
        .watches_named(trials(), Some(EXPERIMENT))
        .run(|client, experiment| Box::pin(reconcile(client, experiment)) as Reconcile<'_>)
        .await;
}

async fn reconcile(client: &Client, experiment: &DynamicObject) -> Result<Option<Duration>, kube::Error> {
    if finalize(client, experiment, &experiments(), FINALIZER).await? {
        return Ok(None);
    }
    let (name, namespace) = (experiment.name_any(), experiment.namespace().unwrap_or_default());
    let before = experiment.data.get("status").cloned().unwrap_or_else(|| json!({}));
    let mut status = before.clone();
    if !has_condition(experiment, "Created") {
        set_condition(&mut status, "Created", "ExperimentCreated", "Experiment is created");
    }
    let known = of_experiment(client, &namespace, &trials(), &name).await?;
    summarize(&mut status, experiment, &known);
    let has_ended = super::status_has_condition(Some(&status), "Succeeded")
        || super::status_has_condition(Some(&status), "Failed");
    if has_ended {
        let max = count(&experiment.data, "/spec/maxTrialCount");
        let resumes = text(&experiment.data, "/spec/resumePolicy") != "Never"
            && super::status_has_condition(Some(&status), "Succeeded")
            && max > count(&status, "/trials");
        if resumes {
            set(&mut status, "conditions", json!([]));
            set_condition(&mut status, "Running", "ExperimentRunning", "Experiment is running");
        } else if text(&experiment.data, "/spec/resumePolicy") == "Never" {
            end_suggestion(client, &namespace, &name).await?;
        }
    } else {
        create_trials(client, experiment, &known, &status).await?;
    }
    if status != before {
        write_status(client, experiment, &experiments(), status).await?;
    }
    Ok(None)
}

/// Counts the trials, and sets the best one and the conditions.
fn summarize(status: &mut Value, experiment: &DynamicObject, trials: &[DynamicObject]) {
    let count_of = |kind: &str| trials.iter().filter(|trial| has_condition(trial, kind)).count();
    let (succeeded, unmeasured) = (count_of("Succeeded"), count_of("MetricsUnavailable"));
    let (failed, running) = (count_of("Failed"), count_of("Running"));
    let pending = trials.len().saturating_sub(succeeded + unmeasured + failed + running);
    for (field, number) in [
        ("trials", trials.len()),
        ("trialsSucceeded", succeeded),
        ("trialsFailed", failed),
        ("trialMetricsUnavailable", unmeasured),
        ("trialsRunning", running),
        ("trialsPending", pending),
    ] {
        set(status, field, json!(number));
    }
    if trials.is_empty() {
        return;
    }
    let minimize = text(&experiment.data, "/spec/objective/type") == "minimize";
    let value = |trial: &DynamicObject| {
        let strategy = text(&experiment.data, "/spec/objective/metricStrategies/0/value");
        text(&trial.data, &format!("/status/observation/metrics/0/{strategy}")).parse::<f64>().ok()
    };
    let best = trials
        .iter()
        .filter_map(|trial| Some((trial, value(trial)?)))
        .min_by(|(_, one), (_, other)| if minimize { one.total_cmp(other) } else { other.total_cmp(one) });
    if let Some((trial, _)) = best {
        let optimal = json!({
            "bestTrialName": trial.name_any(),
            "parameterAssignments": trial.data.pointer("/spec/parameterAssignments"),
            "observation": trial.data.pointer("/status/observation"),
        });
        set(status, "currentOptimalTrial", optimal);
    }
    if super::status_has_condition(Some(status), "Succeeded")
        || super::status_has_condition(Some(status), "Failed")
    {
        return;
    }
    let goal = experiment.data.pointer("/spec/objective/goal").and_then(Value::as_f64);
    let is_reached =
        best.zip(goal).is_some_and(|((_, best), goal)| if minimize { best <= goal } else { best >= goal });
    let limit = |field: &str| {
        count(&experiment.data, &format!("/spec/{field}")).and_then(|n| usize::try_from(n).ok())
    };
    let lost = failed + unmeasured;
    if is_reached {
        let message = "Experiment has succeeded because Objective goal has reached";
        set_condition(status, "Succeeded", "ExperimentGoalReached", message);
    } else if lost > 0 && limit("maxFailedTrialCount").is_some_and(|max| lost >= max) {
        let message = "Experiment has failed because max failed count has reached";
        set_condition(status, "Failed", "ExperimentFailed", message);
    } else if limit("maxTrialCount").is_some_and(|max| succeeded + lost >= max) {
        let message = "Experiment has succeeded because max trial count has reached";
        set_condition(status, "Succeeded", "ExperimentMaxTrialsReached", message);
    } else {
        set_condition(status, "Running", "ExperimentRunning", "Experiment is running");
    }
}

/// Ends the Suggestion, which is not needed any more.
async fn end_suggestion(client: &Client, namespace: &str, name: &str) -> Result<(), kube::Error> {
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &suggestions());
    let Some(suggestion) = api.get_opt(name).await? else { return Ok(()) };
    if has_condition(&suggestion, "Succeeded") {
        return Ok(());
    }
    let mut status = suggestion.data.get("status").cloned().unwrap_or_else(|| json!({}));
    set_condition(
        &mut status,
        "Succeeded",
        "ExperimentCompleted",
        "Suggestion is succeeded, can't be restarted",
    );
    write_status(client, &suggestion, &suggestions(), status).await
}

async fn create_trials(
    client: &Client,
    experiment: &DynamicObject,
    known: &[DynamicObject],
    status: &Value,
) -> Result<(), kube::Error> {
    let (name, namespace) = (experiment.name_any(), experiment.namespace().unwrap_or_default());
    let number = |field: &str| count(status, &format!("/{field}")).unwrap_or(0);
    let active = number("trialsRunning") + number("trialsPending");
    let done = number("trialsSucceeded") + number("trialsFailed");
    let parallel = count(&experiment.data, "/spec/parallelTrialCount").unwrap_or(3);
    let remaining = count(&experiment.data, "/spec/maxTrialCount").map_or(parallel, |max| max - done);
    let more = remaining.min(parallel) - active;
    if more <= 0 {
        return Ok(());
    }
    let requests = i64::try_from(known.len()).unwrap_or(i64::MAX) + more;
    let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &suggestions());
    let wanted = json!({
        "apiVersion": API_VERSION, "kind": "Suggestion",
        "metadata": {"name": name, "ownerReferences": owner(experiment, API_VERSION, "Experiment")},
        "spec": {
            "algorithm": experiment.data.pointer("/spec/algorithm"), "requests": requests,
            "resumePolicy": experiment.data.pointer("/spec/resumePolicy"),
        },
    });
    let Some(suggestion) = api.get_opt(&name).await? else {
        ensure(&api, &name, &wanted).await?;
        return Ok(());
    };
    if count(&suggestion.data, "/spec/requests") != Some(requests) {
        let patch = kube::api::Patch::Merge(json!({"spec": {"requests": requests}}));
        api.patch(&name, &kube::api::PatchParams::default(), &patch).await?;
    }
    let suggested = suggestion.data.pointer("/status/suggestions").and_then(Value::as_array).cloned();
    for assignment in suggested.unwrap_or_default() {
        let trial = text(&assignment, "/name");
        if known.iter().any(|known| known.name_any() == trial) {
            continue;
        }
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), &namespace, &trials());
        let object = trial_of(experiment, trial, &assignment);
        let object: DynamicObject = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
        match api.create(&PostParams::default(), &object).await {
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            created => drop(created?),
        }
    }
    Ok(())
}

fn trial_of(experiment: &DynamicObject, name: &str, assignment: &Value) -> Value {
    let spec =
        |pointer: &str| experiment.data.pointer(&format!("/spec/{pointer}")).cloned().unwrap_or_default();
    let values = assignment.get("parameterAssignments").cloned().unwrap_or_default();
    // Replaced in the text of the document, as in upstream.
    let mut template = spec("trialTemplate/trialSpec").to_string();
    for value in values.as_array().into_iter().flatten() {
        let placeholder = format!("${{trialParameters.{}}}", text(value, "/name"));
        template = template.replace(&placeholder, text(value, "/value"));
    }
    let mut run: Value = serde_json::from_str(&template).unwrap_or_default();
    let labels = run.pointer("/metadata/labels").cloned();
    set(&mut run, "metadata", json!({"name": name, "labels": labels}));
    json!({
        "apiVersion": API_VERSION, "kind": "Trial",
        "metadata": {
            "name": name, "labels": {EXPERIMENT: experiment.name_any()},
            "ownerReferences": owner(experiment, API_VERSION, "Experiment"),
        },
        "spec": {
            "objective": spec("objective"), "parameterAssignments": values, "runSpec": run,
            "metricsCollector": spec("metricsCollectorSpec"),
            "primaryPodLabels": spec("trialTemplate/primaryPodLabels"),
            "primaryContainerName": spec("trialTemplate/primaryContainerName"),
            "retainRun": spec("trialTemplate/retain").as_bool().unwrap_or(false),
        },
    })
}
