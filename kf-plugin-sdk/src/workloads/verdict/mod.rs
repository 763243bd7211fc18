//! The state of a workload, and why.
//!
//! A status can be outdated or missing: KServe's `Ready` stays true while a new revision cannot start, a notebook's says
//! "running" until its pod has ended and nothing if no pod could be created, and a training job has no condition for
//! running. So the desired state is read from the spec, the actual state from the pods, and the reasons from events.

mod clue;
mod jobs;
mod notebooks;
mod queue;
mod services;
mod tuning;

pub use clue::Clue;
pub(super) use jobs::{NO_PODS, is_held};

use serde::Serialize;
use serde_json::Value;

use super::{
    Events, PodState, Severity, Trouble, WorkloadKind, clip, combine, is_ready, pod_state, pod_trouble,
};
use crate::objects::{Condition, Object};
use crate::ui::{Cell, Tone};

/// The state of a workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum State {
    Running,
    Complete,
    /// Waiting; the reason says for what.
    Pending,
    /// Partly working.
    Degraded,
    Failed,
    /// Held by a queue until there is room.
    Queued,
    /// Suspended by a user.
    Suspended,
    /// Scaled to zero.
    Stopped,
    Terminating,
}

impl State {
    /// Returns it as a cell of a table.
    pub fn cell(self) -> Cell {
        let tone = match self {
            Self::Running | Self::Complete => Tone::Good,
            Self::Pending | Self::Queued | Self::Degraded => Tone::Warning,
            Self::Failed => Tone::Bad,
            Self::Suspended | Self::Stopped | Self::Terminating => Tone::Faint,
        };
        Cell::toned(format!("{self:?}"), tone)
    }
}

/// The state of a workload and the reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub state: State,
    /// The number of pods that are ready or complete; for an experiment, of trials.
    pub ready: i64,
    /// The desired number.
    pub wanted: i64,
    /// The reason as one line, if there is one.
    pub why: Option<String>,
    /// Where to find more; see [`Verdict::investigate`].
    pub clue: Option<Clue>,
}

/// The input for a verdict.
#[derive(Clone, Copy, Debug)]
pub struct Evidence<'a> {
    /// `None` for owners of pods that are not in the catalogue.
    pub kind: Option<WorkloadKind>,
    pub name: &'a str,
    /// `None` if only its pods are known.
    pub object: Option<&'a Object>,
    /// The known objects between it and its pods.
    pub parts: &'a [&'a Object],
    pub pods: &'a [&'a Object],
    /// The known Kueue workloads of the namespace.
    pub queue: &'a [&'a Object],
    pub events: &'a Events,
}

/// Determines the state of a workload and the reason.
pub fn verdict(evidence: &Evidence<'_>) -> Verdict {
    let Judgement { state, why, clue } = evidence.judge();
    let (ready, wanted) = evidence.counts();
    Verdict { state, ready, wanted, why: why.map(|why| clip(&why, 240)), clue }
}

struct Judgement {
    state: State,
    why: Option<String>,
    clue: Option<Clue>,
}

impl From<State> for Judgement {
    fn from(state: State) -> Self {
        Self { state, why: None, clue: None }
    }
}

impl Judgement {
    fn new(state: State, why: impl Into<Option<String>>) -> Self {
        Self { state, why: why.into(), clue: None }
    }

    fn troubled(state: State, trouble: Trouble) -> Self {
        Self { state, why: Some(trouble.text), clue: trouble.clue }
    }
}

impl Evidence<'_> {
    fn judge(&self) -> Judgement {
        let Some(object) = self.object else { return self.by_pods() };
        if object.str("/metadata/deletionTimestamp").is_some() {
            return Judgement::new(State::Terminating, self.blocks_deletion(object));
        }
        match self.kind {
            Some(WorkloadKind::Experiment) => self.experiment(object),
            Some(kind) if kind.ends() => self.job(object),
            Some(WorkloadKind::Deployment | WorkloadKind::StatefulSet) => self.replicas(object),
            Some(WorkloadKind::Notebook | WorkloadKind::Workspace) => self.notebook(object),
            Some(WorkloadKind::Tensorboard) => self.single(object),
            Some(WorkloadKind::InferenceService) => self.inference(object),
            _ => self.by_pods(),
        }
    }

    /// Judges bare pods, and pods whose owner is unknown.
    fn by_pods(&self) -> Judgement {
        if let Some((why, clue)) = self.object.and_then(|object| queue::place(object, self.queue)) {
            return Judgement { state: State::Queued, why: Some(why), clue };
        }
        let trouble = self.trouble();
        let all = |state| self.pods.iter().all(|pod| pod_state(pod) == state);
        let state = if all(PodState::Complete) {
            State::Complete
        } else if self.any(PodState::Failed) {
            State::Failed
        } else if self.any(PodState::Unknown) {
            State::Degraded
        } else if all(PodState::Terminating) {
            let why = self.pods.iter().find_map(|pod| finalizers(pod));
            return Judgement::new(State::Terminating, why);
        } else {
            let failing = trouble.as_ref().is_some_and(|trouble| trouble.severity == Severity::Failing);
            match (self.any(PodState::Running), failing) {
                (true, false) => State::Running,
                (true, true) if self.ready_pods() > 0 => State::Degraded,
                (_, true) => State::Failed,
                (false, false) => State::Pending,
            }
        };
        match trouble {
            Some(trouble) => Judgement::troubled(state, trouble),
            None => state.into(),
        }
    }

    /// Returns what blocks the deletion of an object: its pods, or finalizers.
    fn blocks_deletion(&self, object: &Object) -> Option<String> {
        let lost = self.pods.iter().find(|pod| pod_state(pod) == PodState::Unknown);
        let lost = lost.and_then(|pod| pod_trouble(pod, self.events));
        let pods = match count(self.pods.len()) {
            0 => None,
            _ if self.kind == Some(WorkloadKind::Pod) => None,
            1 => Some("1 pod remaining".to_owned()),
            left => Some(format!("{left} pods remaining")),
        };
        match (pods, lost) {
            (Some(pods), Some(lost)) => Some(format!("{pods}: {}", lost.text)),
            (Some(pods), None) => match self.pods.iter().find_map(|pod| finalizers(pod)) {
                Some(finalizers) => Some(format!("{pods}, {finalizers}")),
                None => Some(pods),
            },
            (None, Some(lost)) => Some(lost.text),
            (None, None) => finalizers(object),
        }
    }

    fn any(&self, state: PodState) -> bool {
        self.pods.iter().any(|pod| pod_state(pod) == state)
    }

    fn trouble(&self) -> Option<Trouble> {
        self.trouble_of(|_| true)
    }

    fn trouble_of(&self, chosen: impl Fn(&Object) -> bool) -> Option<Trouble> {
        let alive = self.pods.iter().filter(|pod| pod_state(pod) != PodState::Terminating && chosen(pod));
        combine(alive.filter_map(|pod| pod_trouble(pod, self.events)))
    }

    /// Returns the latest warning about the workload, or about the objects between it and its pods, such as a quota or a
    /// webhook that prevents pods from being created.
    fn complaint(&self) -> Option<String> {
        let events = self.events;
        let of_parts = || self.parts.iter().find_map(|part| events.warning(part));
        let own = || self.object.and_then(|object| events.warning(object));
        // Objects that were not read have names that begin with the name of the workload.
        let below = format!("{}-", self.name);
        let since = self.object.and_then(Object::created);
        let mut kinds = ["ReplicaSet", "Job", "StatefulSet"].into_iter();
        let like = || kinds.find_map(|kind| events.warning_like(kind, &below, since));
        let (_, message) = of_parts().or_else(own).or_else(like)?;
        Some(refusal(message))
    }

    fn ready_pods(&self) -> i64 {
        count(self.pods.iter().filter(|pod| self.is_ready_or_complete(pod)).count())
    }

    /// Returns whether a pod is ready or has completed its work.
    fn is_ready_or_complete(&self, pod: &Object) -> bool {
        let ends = self.kind.is_some_and(|kind| kind.ends() || kind == WorkloadKind::Pod);
        is_ready(pod) || (ends && pod_state(pod) == PodState::Complete)
    }

    /// Returns the ready and desired numbers.
    fn counts(&self) -> (i64, i64) {
        let (ready, pods) = (self.ready_pods(), count(self.pods.len()));
        let (Some(kind), Some(object)) = (self.kind, self.object) else { return (ready, pods) };
        match kind {
            WorkloadKind::Experiment => tuning::counts(object),
            kind if kind.ends() => self.counts_of_job(kind, object),
            WorkloadKind::Pod => (ready, pods),
            _ => {
                // During a rollout there are more pods than desired.
                let wanted = self.wanted_replicas(kind, object);
                (ready.min(wanted), wanted)
            }
        }
    }
}

/// Returns the finalizers that block the deletion of an object. `foregroundDeletion` waits for its dependents.
fn finalizers(object: &Object) -> Option<String> {
    let held: Vec<_> = object.list("/metadata/finalizers").iter().filter_map(Value::as_str).collect();
    let names: Vec<_> = held.iter().copied().filter(|name| *name != "foregroundDeletion").collect();
    match (held.as_slice(), names.as_slice()) {
        ([], _) => None,
        (_, []) => Some("waiting for dependents to be deleted".to_owned()),
        (_, [name]) => Some(format!("blocked by finalizer {name}")),
        (_, names) => Some(format!("blocked by finalizers {}", names.join(", "))),
    }
}

/// Returns the part of a controller's message that says why it could not create a pod.
pub fn refusal(message: &str) -> String {
    let after = |marks: &[&str]| marks.iter().find_map(|mark| message.find(mark)).map(|at| &message[at..]);
    let reason = match after(&["exceeded quota: ", "admission webhook ", "violates PodSecurity "]) {
        Some(reason) => reason,
        None => {
            let reason = message.rsplit_once("failed error: ").map_or(message, |(_, reason)| reason);
            let reason = reason.strip_prefix("Error creating: ").unwrap_or(reason);
            reason.split_once(" is forbidden: ").map_or(reason, |(_, reason)| reason)
        }
    };
    clip(reason, 240)
}

/// Returns the message of the most relevant failed condition. Conditions that summarize others, or depend on them, come
/// last.
fn failed_condition(object: &Object) -> Option<String> {
    const BY_RELEVANCE: [(&str, &str); 5] = [
        ("ReplicaFailure", "True"),
        ("PredictorReady", "False"),
        ("Progressing", "False"),
        ("Ready", "False"),
        ("IngressReady", "False"),
    ];
    let wrong = BY_RELEVANCE
        .iter()
        .filter_map(|(kind, status)| object.condition(kind).filter(|condition| condition.status == *status));
    let message = |wrong: Condition<'_>| {
        let message = if wrong.message.is_empty() { wrong.reason } else { wrong.message };
        (!message.is_empty()).then(|| refusal(message))
    };
    wrong.filter_map(message).next()
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusal_of_pod_is_shortened_to_reason() {
        let quota = "Reissued from statefulset/q: Create Pod q-0 in StatefulSet q failed error: pods \"q-0\" is \
                     forbidden: exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0";
        assert_eq!(refusal(quota), "exceeded quota: q, requested: pods=1, used: pods=0, limited: pods=0");
        let webhook =
            "Error creating: admission webhook \"images.example.org\" denied the request: not signed";
        assert_eq!(
            refusal(webhook),
            "admission webhook \"images.example.org\" denied the request: not signed"
        );
        let account = "Error creating: pods \"web-\" is forbidden: error looking up service account \
                       team-a/robot: serviceaccount \"robot\" not found";
        assert!(refusal(account).starts_with("error looking up service account team-a/robot"));
    }
}
