//! Experiments: many trials, one best.

use serde_json::Value;

use super::{Evidence, Judgement, State};
use crate::objects::Object;
use crate::workloads::{Severity, outcome};

impl Evidence<'_> {
    pub(super) fn experiment(&self, object: &Object) -> Judgement {
        let tally = tally(object);
        if let Some(outcome) = outcome(object) {
            let why = match (outcome.succeeded, outcome.said()) {
                (false, Some(said)) => Some(format!("{said}; {tally}")),
                _ => Some(tally),
            };
            let state = if outcome.succeeded { State::Complete } else { State::Failed };
            return Judgement::new(state, why);
        }
        // What stops one trial is likely to stop them all.
        let trouble = self.trouble().filter(|trouble| trouble.severity >= Severity::Waiting);
        let runs = object.int("/status/trialsRunning").unwrap_or(0) > 0;
        match trouble {
            Some(mut trouble) => {
                trouble.text = format!("{tally}; {}", trouble.text);
                Judgement::troubled(if runs { State::Degraded } else { State::Pending }, trouble)
            }
            None if runs || object.condition_holds("Running") => Judgement::new(State::Running, tally),
            None => Judgement::new(State::Pending, self.complaint().unwrap_or(tally)),
        }
    }
}

/// Trials that have succeeded, and how many there may be.
pub(super) fn counts(object: &Object) -> (i64, i64) {
    let known = object.int("/status/trials").unwrap_or(0);
    (done(object), object.int("/spec/maxTrialCount").unwrap_or(known))
}

fn done(object: &Object) -> i64 {
    let number = |field: &str| object.int(&format!("/status/{field}")).unwrap_or(0);
    number("trialsSucceeded").saturating_add(number("trialsEarlyStopped"))
}

/// `7 of 12 trials done, 2 running, 1 failed; best accuracy=0.94 (lr=0.01)`
fn tally(object: &Object) -> String {
    let number = |field: &str| object.int(&format!("/status/{field}")).unwrap_or(0);
    let (done, most) = counts(object);
    let mut tally = format!("{done} of {most} trials done");
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

/// The best value of the objective so far, and the parameters that gave it.
fn best(object: &Object) -> Option<String> {
    let metric = object.str("/spec/objective/objectiveMetricName")?;
    let extreme = if object.str("/spec/objective/type") == Some("minimize") { "min" } else { "max" };
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
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
