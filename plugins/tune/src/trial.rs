//! A trial, of either engine.

use std::collections::BTreeMap;
use std::time::Duration;

use kf_training_job::metrics::Observed;

use crate::objective::Objective;
use crate::search::Assignment;

/// One set of values and its result.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Trial {
    /// Counted from 1.
    pub(crate) number: usize,
    /// The name of its object.
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) parameters: Assignment,
    pub(crate) observed: BTreeMap<String, Observed>,
    pub(crate) took: Option<Duration>,
    /// Why it failed.
    pub(crate) why: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// Would be created.
    Planned,
    /// Waiting in a queue or for its pods.
    Waiting,
    Running,
    /// Succeeded; its log has not been read.
    Unread,
    Succeeded,
    Failed,
    /// Succeeded without reporting the objective.
    NoMetric,
}

impl State {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Planned => "Planned",
            Self::Waiting => "Waiting",
            Self::Running => "Running",
            Self::Unread => "Complete",
            Self::Succeeded => "Succeeded",
            Self::Failed => "Failed",
            Self::NoMetric => "NoMetric",
        }
    }

    pub(crate) fn has_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::NoMetric)
    }
}

impl Trial {
    /// The value that counts for the objective.
    pub(crate) fn value(&self, objective: &Objective) -> Option<f64> {
        self.observed.get(&objective.metric).map(|observed| objective.take.of(observed))
    }

    /// `lr=0.01 opt=adam`.
    pub(crate) fn parameters_text(&self) -> String {
        let pairs: Vec<_> = self.parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join(" ")
    }
}

/// The best successful trial; the first one of equals.
pub(crate) fn best<'t>(trials: &'t [Trial], objective: &Objective) -> Option<&'t Trial> {
    let mut best: Option<(&Trial, f64)> = None;
    for trial in trials.iter().filter(|trial| trial.state == State::Succeeded) {
        let Some(value) = trial.value(objective) else { continue };
        if best.is_none_or(|(_, known)| objective.direction.is_better(value, known)) {
            best = Some((trial, value));
        }
    }
    best.map(|(trial, _)| trial)
}

/// How many trials failed or did not report the objective.
pub(crate) fn failed(trials: &[Trial]) -> usize {
    trials.iter().filter(|trial| matches!(trial.state, State::Failed | State::NoMetric)).count()
}
