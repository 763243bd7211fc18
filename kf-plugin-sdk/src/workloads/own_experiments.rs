//! Experiments that `kf tune` runs itself, without Katib.
//!
//! Such an experiment has no object on the server. Its trials are training jobs whose labels and annotations hold the
//! name and definition of the experiment and, after they end, the observed metrics. [`own_experiments`] builds the
//! document that Katib would have written from them, so that all code for experiments works with these too.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{WorkloadKind, outcome};
use crate::error::{ErrorCode, Optional as _, Result};
use crate::kf::Kf;
use crate::objects::Object;

/// Label of a training job: the experiment that it is a trial of.
pub const OWN_EXPERIMENT_LABEL: &str = "kf-cli.dev/experiment";
/// Label of a training job: the number of the trial, from 1.
pub const OWN_TRIAL_LABEL: &str = "kf-cli.dev/trial";
/// Annotation of a training job: the definition of its experiment.
pub const OWN_DEFINITION: &str = "kf-cli.dev/tune-definition";
/// Annotation of a training job: the values of its parameters.
pub const OWN_PARAMETERS: &str = "kf-cli.dev/tune-parameters";
/// Annotation of a training job that has ended: the observed metrics.
pub const OWN_OBSERVATION: &str = "kf-cli.dev/tune-observation";

/// Label of the pods of a training job: its name.
pub(super) const JOB_LABEL: &str = "jobset.sigs.k8s.io/jobset-name";

/// An API group that no server serves.
const GROUP: &str = "kf-cli.dev";

/// Builds the experiments whose trials are among these training jobs, sorted by name.
pub fn own_experiments<'a>(jobs: impl IntoIterator<Item = &'a Object>) -> Vec<Object> {
    let mut trials: BTreeMap<&str, Vec<&Object>> = BTreeMap::new();
    for job in jobs {
        if let Some(name) = job.label(OWN_EXPERIMENT_LABEL) {
            trials.entry(name).or_default().push(job);
        }
    }
    trials.into_iter().map(|(name, trials)| experiment(name, trials)).collect()
}

/// Returns whether a document was built by [`own_experiments`].
pub fn is_own_experiment(object: &Object) -> bool {
    object.group() == GROUP && object.kind() == "Experiment"
}

/// Returns the label selector of the trials of an experiment; `None` if the name is not a valid label value.
pub(super) fn selector(name: &str) -> Option<String> {
    let fits = !name.is_empty()
        && name.len() <= 63
        && name.chars().all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    fits.then(|| format!("{OWN_EXPERIMENT_LABEL}={name}"))
}

/// Finds an experiment by name. `None` also without permission to list training jobs.
pub(super) fn find(kf: &Kf, name: &str) -> Result<Option<Object>> {
    let Some(selector) = selector(name) else { return Ok(None) };
    match kf.api(WorkloadKind::TrainJob.kind()).labels(selector).list() {
        Err(error) if error.is(ErrorCode::Forbidden) => Ok(None),
        listed => Ok(own_experiments(&listed.optional()?.unwrap_or_default()).pop()),
    }
}

/// Returns whether a pod belongs to a trial of an experiment: its training job is named after the experiment and a
/// number.
pub(super) fn owns(name: &str, pod: &Object) -> bool {
    trial_of(pod)
        .and_then(|trial| trial.strip_prefix(name)?.strip_prefix('-'))
        .is_some_and(|number| !number.is_empty() && number.chars().all(|digit| digit.is_ascii_digit()))
}

/// Returns the name of the training job of a pod.
pub(super) fn trial_of(pod: &Object) -> Option<&str> {
    pod.label(JOB_LABEL)
}

/// The state of a trial.
#[derive(Clone, Copy, PartialEq, Eq)]
enum TrialState {
    Pending,
    Running,
    Succeeded,
    Failed,
}

fn experiment(name: &str, mut jobs: Vec<&Object>) -> Object {
    jobs.sort_by_key(|job| number(job));
    // Later trials have the latest definition, such as a larger number of trials.
    let definition: Value = jobs.iter().rev().find_map(|job| read(job, OWN_DEFINITION)).unwrap_or_default();
    let text = |field: &str| definition.get(field).and_then(Value::as_str).unwrap_or_default();
    let count =
        |field: &str| definition.get(field).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
    let (metric, minimize, take) = (text("metric"), text("direction") == "minimize", text("take"));
    let states: Vec<_> = jobs.iter().map(|job| trial_state(job, metric)).collect();
    let count_of = |wanted: TrialState| states.iter().filter(|state| **state == wanted).count();
    let (succeeded, failed) = (count_of(TrialState::Succeeded), count_of(TrialState::Failed));
    let (running, pending) = (count_of(TrialState::Running), count_of(TrialState::Pending));
    let total = count("trials").unwrap_or(jobs.len()).max(jobs.len());
    let best = best(&jobs, metric, minimize, take);

    let goal = definition.get("goal").and_then(Value::as_f64);
    let reached =
        best.as_ref().zip(goal).is_some_and(|((value, _), goal)| is_as_good(*value, goal, minimize));
    let open = running + pending;
    let condition = if count("max_failed").is_some_and(|max| failed > max) {
        Some(("Failed", "too many trials failed"))
    } else if open == 0 && (reached || succeeded + failed >= total) {
        // Like `kf tune`: without a best trial, the experiment failed.
        Some(if succeeded > 0 { ("Succeeded", "") } else { ("Failed", "no trial succeeded") })
    } else {
        (running > 0).then_some(("Running", ""))
    };
    let ended = jobs.iter().filter_map(|job| ended(job)).max();
    let conditions: Vec<Value> = condition
        .into_iter()
        .map(|(kind, message)| json!({ "type": kind, "status": "True", "message": message, "lastTransitionTime": ended }))
        .collect();
    let created = jobs.iter().filter_map(|job| job.str("/metadata/creationTimestamp")).min();
    let namespace = jobs.iter().find_map(|job| job.namespace());
    let mut document = json!({
        "apiVersion": format!("{GROUP}/v1"), "kind": "Experiment",
        "metadata": { "name": name, "namespace": namespace, "creationTimestamp": created },
        "spec": {
            "maxTrialCount": total,
            "objective": {
                "type": if minimize { "minimize" } else { "maximize" }, "objectiveMetricName": metric,
                "metricStrategies": [{ "name": metric, "value": take }],
            },
            "trialTemplate": { "primaryContainerName": "node" },
        },
        "status": {
            "conditions": conditions, "trials": jobs.len(), "trialsRunning": running, "trialsPending": pending,
            "trialsSucceeded": succeeded, "trialsFailed": failed,
            "currentOptimalTrial": best.map(|(_, trial)| trial),
        },
    });
    let deleted = jobs.iter().map(|job| job.str("/metadata/deletionTimestamp"));
    if let (Some(Some(since)), Some(metadata)) = (deleted.min(), document.pointer_mut("/metadata")) {
        // `None` sorts first, so all trials are being deleted.
        merge(metadata, "deletionTimestamp", since.into());
    }
    document.into()
}

fn merge(target: &mut Value, field: &str, value: Value) {
    if let Some(fields) = target.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

fn number(job: &Object) -> Option<u32> {
    job.label(OWN_TRIAL_LABEL)?.parse().ok()
}

fn read(job: &Object, annotation: &str) -> Option<Value> {
    serde_json::from_str(job.annotation(annotation)?).ok()
}

fn trial_state(job: &Object, metric: &str) -> TrialState {
    match outcome(job) {
        Some(outcome) if !outcome.succeeded => TrialState::Failed,
        // Without an observation, its log may not have been read yet.
        Some(_) => match read(job, OWN_OBSERVATION) {
            Some(observed) if observed.get(metric).is_none() => TrialState::Failed,
            _ => TrialState::Succeeded,
        },
        None => {
            let count = |step: &Value, field: &str| step.get(field).and_then(Value::as_i64).unwrap_or(0);
            let runs = |step: &Value| count(step, "ready") > 0 || count(step, "active") > 0;
            let runs = job.list("/status/jobsStatus").iter().any(runs);
            if runs { TrialState::Running } else { TrialState::Pending }
        }
    }
}

/// Returns when it ended, as RFC 3339 text, which sorts by time.
fn ended(job: &Object) -> Option<&str> {
    let conditions = job.list("/status/conditions").iter().filter(|condition| {
        let text = |field: &str| condition.get(field).and_then(Value::as_str);
        matches!(text("type"), Some("Complete" | "Failed")) && text("status") == Some("True")
    });
    conditions.filter_map(|condition| condition.get("lastTransitionTime")?.as_str()).max()
}

fn is_as_good(value: f64, goal: f64, minimize: bool) -> bool {
    if minimize { value <= goal } else { value >= goal }
}

/// Returns the best value and its trial in the format of Katib; of equal values the first.
fn best(jobs: &[&Object], metric: &str, minimize: bool, take: &str) -> Option<(f64, Value)> {
    let mut best: Option<(f64, Value)> = None;
    for job in jobs.iter().filter(|job| trial_state(job, metric) == TrialState::Succeeded) {
        let Some(seen) = read(job, OWN_OBSERVATION).and_then(|observed| observed.get(metric).cloned()) else {
            continue;
        };
        let number = |field: &str| seen.get(field).and_then(Value::as_f64);
        let Some(value) = number(take).or_else(|| number("latest")) else { continue };
        if best.as_ref().is_some_and(|(known, _)| is_as_good(*known, value, minimize)) {
            continue;
        }
        let text = |field: &str| number(field).map(|number| number.to_string());
        let assignments: Vec<Value> = read(job, OWN_PARAMETERS)
            .and_then(|pairs| serde_json::from_value::<Vec<(String, String)>>(pairs).ok())
            .unwrap_or_default()
            .into_iter()
            .map(|(name, value)| json!({ "name": name, "value": value }))
            .collect();
        let metrics =
            json!([{ "name": metric, "min": text("min"), "max": text("max"), "latest": text("latest") }]);
        let trial = json!({
            "bestTrialName": job.name(), "parameterAssignments": assignments, "observation": { "metrics": metrics },
        });
        best = Some((value, trial));
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trial(experiment: &str, number: u32, trials: u32, status: Value, observed: Option<Value>) -> Object {
        let definition = json!({ "format": 1, "metric": "loss", "direction": "minimize", "take": "min", "trials": trials,
            "max_failed": 1, "goal": 0.01 });
        let mut job = Object::from(json!({
            "apiVersion": "trainer.kubeflow.org/v1alpha1", "kind": "TrainJob",
            "metadata": {
                "name": format!("{experiment}-{number}"), "namespace": "team-a",
                "creationTimestamp": format!("2026-01-01T12:00:0{number}Z"),
                "labels": { OWN_EXPERIMENT_LABEL: experiment, OWN_TRIAL_LABEL: number.to_string() },
                "annotations": {
                    OWN_DEFINITION: definition.to_string(),
                    OWN_PARAMETERS: json!([["lr", format!("0.{number}")]]).to_string(),
                },
            },
            "status": status,
        }));
        if let Some(observed) = observed {
            job.set("/metadata/annotations/kf-cli.dev~1tune-observation", observed.to_string());
        }
        job
    }

    fn complete() -> Value {
        json!({ "conditions": [{ "type": "Complete", "status": "True", "lastTransitionTime": "2026-01-01T12:01:00Z" }] })
    }

    fn failed() -> Value {
        json!({ "conditions": [{ "type": "Failed", "status": "True", "lastTransitionTime": "2026-01-01T12:02:00Z" }] })
    }

    fn running() -> Value {
        json!({ "jobsStatus": [{ "name": "node", "active": 1 }] })
    }

    fn loss(value: f64) -> Option<Value> {
        Some(json!({ "loss": { "latest": 9.0, "min": value, "max": 9.5 } }))
    }

    #[test]
    fn experiments_are_built_from_their_trials() {
        let jobs = [
            trial("lr", 1, 4, complete(), loss(0.5)),
            trial("lr", 2, 4, complete(), loss(0.1)),
            trial("lr", 3, 4, running(), None),
            trial("lr", 4, 4, json!(null), None),
            trial("other", 1, 1, complete(), loss(0.2)),
            json!({ "kind": "TrainJob", "metadata": { "name": "mnist" } }).into(),
        ];
        let all = own_experiments(&jobs);
        assert_eq!(all.iter().map(Object::name).collect::<Vec<_>>(), ["lr", "other"]);
        let lr = &all[0];
        assert!(is_own_experiment(lr));
        assert_eq!(lr.str("/metadata/creationTimestamp"), Some("2026-01-01T12:00:01Z"));
        let count = |field: &str| lr.int(&format!("/status/{field}"));
        assert_eq!((count("trials"), count("trialsSucceeded")), (Some(4), Some(2)));
        assert_eq!((count("trialsRunning"), count("trialsPending")), (Some(1), Some(1)));
        assert_eq!(lr.str("/status/currentOptimalTrial/bestTrialName"), Some("lr-2"));
        assert_eq!(outcome(lr), None);
        assert!(outcome(&all[1]).unwrap().succeeded);
    }

    #[test]
    fn experiment_ends_with_its_trials() {
        let of = |jobs: &[Object]| outcome(&own_experiments(jobs)[0]).map(|outcome| outcome.succeeded);
        let bad = || trial("lr", 2, 2, complete(), Some(json!({ "acc": {} })));
        assert_eq!(of(&[trial("lr", 1, 2, complete(), loss(0.5)), bad()]), Some(true));
        assert_eq!(of(&[trial("lr", 1, 2, failed(), None), bad()]), Some(false), "more than one failed");
        assert_eq!(of(&[trial("lr", 1, 1, failed(), None)]), Some(false), "no trial succeeded");
        assert_eq!(of(&[trial("lr", 1, 9, complete(), loss(0.5))]), None, "there are more to come");
        assert_eq!(of(&[trial("lr", 1, 9, complete(), loss(0.001))]), Some(true), "the goal was reached");
        let extended = [trial("lr", 1, 1, complete(), loss(0.5)), trial("lr", 2, 3, complete(), loss(0.5))];
        assert_eq!(of(&extended), None, "the latest definition counts");
    }

    #[test]
    fn pods_of_trials_are_owned_by_job_name() {
        let of = |job: &str| {
            let labels = json!({ "jobset.sigs.k8s.io/jobset-name": job });
            owns("lr", &json!({ "metadata": { "name": "p", "labels": labels } }).into())
        };
        assert!(of("lr-1") && of("lr-12"));
        for other in ["lr", "lr-", "lr-x", "lr-1x", "lrx-1", "my-lr-1", "lr-1-2"] {
            assert!(!of(other), "{other}");
        }
    }

    #[test]
    fn invalid_label_value_has_no_selector() {
        assert_eq!(selector("lr"), Some(format!("{OWN_EXPERIMENT_LABEL}=lr")));
        for name in ["", "a,b", "a b", "a=b", "x,app", &"a".repeat(64)] {
            assert_eq!(selector(name), None, "{name}");
        }
    }
}
