//! Experiments.

use serde_json::Value;

use super::{Evidence, Judgement, State, failed_condition};
use crate::objects::Object;
use crate::workloads::katib::is_suggestion;
use crate::workloads::own_experiments::is_own_experiment;
use crate::workloads::{Severity, Trouble, is_ready, outcome};

impl Evidence<'_> {
    pub(super) fn experiment(&self, object: &Object) -> Judgement {
        let tally = tally(object);
        if let Some(outcome) = outcome(object) {
            let why = match (outcome.succeeded, outcome.summary()) {
                (false, Some(said)) => Some(format!("{said}; {tally}")),
                _ => Some(tally),
            };
            let state = if outcome.succeeded { State::Complete } else { State::Failed };
            return Judgement::new(state, why);
        }
        // The trouble of one trial is likely that of all.
        let trouble = self.trouble_of(|pod| !is_suggestion(pod));
        let trouble = trouble.filter(|trouble| trouble.severity >= Severity::Waiting);
        let number = |field: &str| object.int(&format!("/status/{field}")).unwrap_or(0);
        let (runs, waits) = (number("trialsRunning") > 0, number("trialsPending") > 0);
        match trouble {
            Some(mut trouble) => {
                trouble.text = format!("{tally}; {}", trouble.text);
                Judgement::troubled(if runs { State::Degraded } else { State::Pending }, trouble)
            }
            None if runs || (waits && object.condition_holds("Running")) => {
                Judgement::new(State::Running, tally)
            }
            None if is_own_experiment(object) && !waits => {
                // A running `kf tune` creates the next trial immediately.
                Judgement::new(State::Stopped, format!("{tally}; run the same `kf tune` again to resume"))
            }
            None if waits => Judgement::new(State::Pending, self.complaint().unwrap_or(tally)),
            None => match self.suggestion() {
                Some(trouble) => Judgement::troubled(State::Pending, trouble),
                None if object.condition_holds("Running") => Judgement::new(State::Running, tally),
                None => Judgement::new(State::Pending, self.complaint().unwrap_or(tally)),
            },
        }
    }

    /// Returns why there are no trials: the suggestion service is not running.
    fn suggestion(&self) -> Option<Trouble> {
        let of = |text: &str| format!("waiting for suggestion service: {text}");
        if let Some(trouble) = self.trouble_of(is_suggestion) {
            return Some(Trouble { text: of(&trouble.text), ..trouble });
        }
        let mut pods = self.pods.iter().filter(|pod| is_suggestion(pod)).peekable();
        let why = if pods.peek().is_some() {
            if pods.any(|pod| is_ready(pod)) {
                return None;
            }
            "starting".to_owned()
        } else {
            let deployment = self.parts.iter().find(|part| part.kind() == "Deployment")?;
            self.complaint().or_else(|| failed_condition(deployment)).unwrap_or_else(|| "no pod".to_owned())
        };
        Some(Trouble::new(Severity::Waiting, of(&why)))
    }
}

/// Returns the number of trials that have succeeded, and the maximum number.
pub(super) fn counts(object: &Object) -> (i64, i64) {
    let known = object.int("/status/trials").unwrap_or(0);
    (done(object), object.int("/spec/maxTrialCount").unwrap_or(known))
}

fn done(object: &Object) -> i64 {
    let number = |field: &str| object.int(&format!("/status/{field}")).unwrap_or(0);
    number("trialsSucceeded").saturating_add(number("trialsEarlyStopped"))
}

/// Summarizes the trials: `7 of 12 trials done, 2 running, 1 failed; best accuracy=0.94 (lr=0.01)`.
fn tally(object: &Object) -> String {
    let number = |field: &str| object.int(&format!("/status/{field}")).unwrap_or(0);
    let (done, max) = counts(object);
    let mut tally = format!("{done} of {max} trials done");
    let states = [("running", "trialsRunning"), ("pending", "trialsPending"), ("failed", "trialsFailed")];
    for (word, field) in states {
        match number(field) {
            0 => {}
            some => tally.push_str(&format!(", {some} {word}")),
        }
    }
    if let Some(best) = best(object) {
        tally.push_str(&format!("; best {best}"));
    }
    tally
}

/// Returns the best value of the objective so far, and its parameters.
fn best(object: &Object) -> Option<String> {
    let metric = object.str("/spec/objective/objectiveMetricName")?;
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    let strategy = object.list("/spec/objective/metricStrategies").iter().find_map(|strategy| {
        (text(strategy, "name").as_deref() == Some(metric)).then(|| text(strategy, "value"))?
    });
    let extreme = if object.str("/spec/objective/type") == Some("minimize") { "min" } else { "max" };
    let extreme = strategy.as_deref().unwrap_or(extreme);
    let observed = object
        .list("/status/currentOptimalTrial/observation/metrics")
        .iter()
        .find(|observed| text(observed, "name").as_deref() == Some(metric))?;
    let value = [extreme, "latest"].into_iter().find_map(|field| text(observed, field))?;
    let parameters = object.list("/status/currentOptimalTrial/parameterAssignments").iter();
    let parameters: Vec<_> = parameters
        .filter_map(|parameter| Some(format!("{}={}", text(parameter, "name")?, text(parameter, "value")?)))
        .collect();
    let parameters =
        if parameters.is_empty() { String::new() } else { format!(" ({})", parameters.join(", ")) };
    Some(format!("{metric}={value}{parameters}"))
}
