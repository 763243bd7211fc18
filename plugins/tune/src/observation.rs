//! The result of a trial: read once from the log of its first rank and stored on its job, because the log
//! is deleted with its pod.

use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, WorkloadKind, outcome};
use kf_training_job::first_pod;
use kf_training_job::metrics::{Collector, Observed};
use serde_json::{Map, Value, json};

use crate::objective::Objective;
use crate::trial::{State, Trial};

use kf_plugin_sdk::workloads::OWN_OBSERVATION as OBSERVATION;
/// The annotation on a trial's job with its parameter values.
pub(crate) use kf_plugin_sdk::workloads::OWN_PARAMETERS as PARAMETERS;

/// How many metrics are stored beside the objective.
const MAX_METRICS: usize = 20;

/// Reads the metrics that a trial's first rank printed.
pub(crate) fn observe(kf: &Kf, job: &Object) -> Result<BTreeMap<String, Observed>> {
    let component =
        Workload { kind: WorkloadKind::TrainJob, name: job.name().to_owned(), object: job.clone() };
    let pods = component.pods(kf)?;
    let Some(pod) = first_pod(&pods) else { return Ok(BTreeMap::new()) };
    let mut request = kf.log(pod.name());
    if let Some(container) = component.default_container(pod) {
        request = request.container(container);
    }
    let log = match request.open() {
        Ok(log) => log,
        // The log was deleted with its node.
        Err(error) if error.is(ErrorCode::NotFound) => return Ok(BTreeMap::new()),
        Err(error) => return Err(error.context(format!("the log of {}", pod.name()))),
    };
    let mut collector = Collector::default();
    loop {
        let bytes = log.next()?;
        if bytes.is_empty() {
            return Ok(collector.finish());
        }
        collector.push(&bytes);
    }
}

/// The patch that stores metrics on the job.
pub(crate) fn to_patch(observed: &BTreeMap<String, Observed>, objective: &Objective) -> Value {
    let mut kept: BTreeMap<_, _> = observed.iter().take(MAX_METRICS).collect();
    kept.extend(observed.get_key_value(&objective.metric));
    let values = |seen: &Observed| json!({ "latest": seen.latest, "min": seen.min, "max": seen.max });
    let text: Map<_, _> = kept.into_iter().map(|(name, seen)| (name.clone(), values(seen))).collect();
    json!({ "metadata": { "annotations": { OBSERVATION: Value::from(text).to_string() } } })
}

pub(crate) fn is_measured(job: &Object) -> bool {
    job.annotation(OBSERVATION).is_some()
}

/// A trial, from its job.
pub(crate) fn trial(number: usize, job: &Object, objective: &Objective) -> Trial {
    let observed = job.annotation(OBSERVATION).map(read).unwrap_or_default();
    let parameters = job.annotation(PARAMETERS).and_then(|text| serde_json::from_str(text).ok());
    let ended = outcome(job);
    let state = match &ended {
        Some(outcome) if !outcome.succeeded => State::Failed,
        Some(_) if !is_measured(job) => State::Unread,
        Some(_) if observed.contains_key(&objective.metric) => State::Succeeded,
        Some(_) => State::NoMetric,
        None if runs(job) => State::Running,
        None => State::Waiting,
    };
    let why = match state {
        State::Failed => ended.as_ref().map(|outcome| match outcome.message.as_str() {
            "" => outcome.reason.clone(),
            message => message.to_owned(),
        }),
        State::NoMetric => Some(format!("printed no {}=…", objective.metric)),
        _ => None,
    };
    Trial {
        number,
        name: job.name().to_owned(),
        state,
        parameters: parameters.unwrap_or_default(),
        observed,
        took: ended.and_then(|outcome| outcome.took),
        why,
    }
}

fn runs(job: &Object) -> bool {
    job.list("/status/jobsStatus").iter().any(|step| {
        let count = |field| step.get(field).and_then(Value::as_i64).unwrap_or_default();
        count("ready") > 0 || count("active") > 0
    })
}

fn read(text: &str) -> BTreeMap<String, Observed> {
    let Ok(Value::Object(metrics)) = serde_json::from_str(text) else { return BTreeMap::new() };
    let seen = |value: &Value| {
        let number = |field| value.get(field).and_then(Value::as_f64);
        Some(Observed { latest: number("latest")?, min: number("min")?, max: number("max")? })
    };
    metrics.iter().filter_map(|(name, value)| Some((name.clone(), seen(value)?))).collect()
}
