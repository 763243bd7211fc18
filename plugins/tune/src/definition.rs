//! The definition of an experiment, stored on each of its trials.
//!
//! All state is in the cluster: a trial has the definition, its number, its values and, once it has ended,
//! the observed metrics. So the same command resumes the experiment, on any machine, and another definition
//! under the same name is detected.

use std::collections::BTreeMap;

use kf_plugin_sdk::{Error, ErrorCode, Object, Result};
use kf_training_job::JobFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::objective::{Direction, Objective, Take};
use crate::plan::Plan;

/// The version of the stored format.
const FORMAT: u32 = 1;

/// The annotation on a trial with the definition of its experiment.
pub(crate) use kf_plugin_sdk::workloads::OWN_DEFINITION as ANNOTATION;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Definition {
    format: u32,
    /// The values that identify an experiment, by the name shown to users.
    fields: BTreeMap<String, String>,
    metric: String,
    direction: String,
    take: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    goal: Option<f64>,
    /// How many trials to run. May change.
    pub(crate) trials: usize,
    /// How many trials may fail. May change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) max_failed: Option<usize>,
}

impl Definition {
    /// `template` is a trial's job before its values are filled in.
    pub(crate) fn new(plan: &Plan, flags: &JobFlags, template: &Object, code: Option<&str>) -> Self {
        let objective = &plan.objective;
        let mut fields = BTreeMap::new();
        let mut field = |name: &str, value: &str| fields.insert(name.to_owned(), value.to_owned());
        field("--objective", &objective.metric);
        field("the direction", objective.direction.name());
        field("--take", objective.take.name());
        field("--algorithm", plan.algorithm.name());
        if plan.algorithm == crate::search::Algorithm::Random {
            field("--seed", &plan.seed.to_string());
        }
        // The trials of a seed depend on the order.
        let order: Vec<_> = plan.parameters.iter().map(|parameter| parameter.name.as_str()).collect();
        field("the order of --param", &order.join(","));
        for parameter in &plan.parameters {
            field(&format!("--param {}", parameter.name), &parameter.space.to_string());
        }
        for (name, pointer) in [("--runtime", "/spec/runtimeRef/name"), ("--image", "/spec/trainer/image")] {
            field(name, template.str(pointer).unwrap_or("none"));
        }
        if let Some(code) = code {
            field("the code of --from-dir", code);
        }
        field("the command", &flags.command.join(" "));
        field("the job", &digest(template));
        Self {
            format: FORMAT,
            fields,
            metric: objective.metric.clone(),
            direction: objective.direction.name().to_owned(),
            take: objective.take.name().to_owned(),
            goal: objective.goal,
            trials: plan.assignments.len(),
            max_failed: Some(plan.max_failed),
        }
    }

    /// The definition of a trial's experiment.
    pub(crate) fn of(trial: &Object) -> Result<Self> {
        let name = trial.name();
        let text = trial.annotation(ANNOTATION).ok_or_else(|| {
            Error::failed(format!("training job {name} has no definition of an experiment"))
        })?;
        let version = serde_json::from_str::<serde_json::Value>(text)
            .ok()
            .and_then(|value| value.get("format").and_then(serde_json::Value::as_u64));
        if version.is_some_and(|version| version > u64::from(FORMAT)) {
            return Err(Error::new(
                ErrorCode::Unsupported,
                format!("training job {name} was created by a newer kf tune"),
            )
            .hint("kf command upgrade tune"));
        }
        serde_json::from_str(text).map_err(|error| {
            Error::failed(format!("invalid experiment definition on training job {name}: {error}"))
        })
    }

    pub(crate) fn objective(&self) -> Objective {
        Objective {
            metric: self.metric.clone(),
            direction: if self.direction == "maximize" { Direction::Maximize } else { Direction::Minimize },
            take: match self.take.as_str() {
                "min" => Take::Min,
                "max" => Take::Max,
                _ => Take::Latest,
            },
            goal: self.goal,
        }
    }

    /// The differences from another definition, as phrases.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let names: std::collections::BTreeSet<_> = self.fields.keys().chain(other.fields.keys()).collect();
        let value = |fields: &BTreeMap<String, String>, name: &str| {
            fields.get(name).map_or_else(|| "unset".to_owned(), Clone::clone)
        };
        let mut differences: Vec<_> = names
            .into_iter()
            .filter(|name| name.as_str() != "the job" && self.fields.get(*name) != other.fields.get(*name))
            .map(|name| {
                format!("{name} is {}, was {}", value(&self.fields, name), value(&other.fields, name))
            })
            .collect();
        if differences.is_empty() && self.fields != other.fields {
            differences.push("other fields of its job".to_owned());
        }
        differences
    }

    pub(crate) fn to_text(&self) -> Result<String> {
        Ok(serde_json::to_string(self)?)
    }
}

/// The digest of a trial's job without its name.
fn digest(template: &Object) -> String {
    let text = serde_json::json!([template.at("/metadata/labels"), template.at("/spec")]).to_string();
    Sha256::digest(text).iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}
