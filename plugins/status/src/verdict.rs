//! How a component is doing, and why.

use std::time::Duration;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{
    PodState, Severity, Trouble, combine, is_ready, outcome, pod_state, pod_trouble,
};
use serde::Serialize;

use crate::components::Component;
use crate::snapshot::Snapshot;

/// How a component is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) enum State {
    Running,
    Complete,
    /// Not yet; the reason says what it waits for.
    Pending,
    /// Some of it works.
    Degraded,
    Failed,
    /// Someone or a queue holds it.
    Suspended,
    /// Scaled to nothing.
    Stopped,
    Terminating,
}

impl State {
    pub(crate) fn cell(self) -> Cell {
        let tone = match self {
            Self::Running | Self::Complete => Tone::Good,
            Self::Pending | Self::Degraded => Tone::Warning,
            Self::Failed => Tone::Bad,
            Self::Suspended | Self::Stopped | Self::Terminating => Tone::Faint,
        };
        Cell::toned(format!("{self:?}"), tone)
    }
}

/// What is said about a component.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) state: State,
    pub(crate) ready: i64,
    pub(crate) wanted: i64,
    pub(crate) why: Option<String>,
}

/// Judges a component by its object, its pods and the warnings about both.
pub(crate) fn verdict(component: &Component<'_>, snapshot: &Snapshot) -> Verdict {
    let case = Case { component, snapshot };
    let (state, why) = case.judge();
    Verdict { state, ready: case.ready(), wanted: case.wanted(), why }
}

struct Case<'a> {
    component: &'a Component<'a>,
    snapshot: &'a Snapshot,
}

type Judgement = (State, Option<String>);

impl Case<'_> {
    fn judge(&self) -> Judgement {
        let Some(object) = self.component.object else { return self.by_pods() };
        if object.str("/metadata/deletionTimestamp").is_some() {
            return (State::Terminating, self.trouble().map(|trouble| trouble.text));
        }
        match self.component.kind.as_str() {
            "TrainJob" | "JobSet" | "Job" => self.job(object),
            "Deployment" | "StatefulSet" => self.replicas(object),
            "Notebook" => self.notebook(object),
            "InferenceService" => self.inference(object),
            _ => self.by_pods(),
        }
    }

    /// Kinds that end. A training job has no condition for running: its pods say.
    fn job(&self, object: &Object) -> Judgement {
        if let Some(outcome) = outcome(object) {
            if outcome.succeeded {
                return (State::Complete, outcome.took.map(|took| format!("took {}", short_duration(took))));
            }
            let said = [outcome.reason, outcome.message];
            let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
            let said = (!said.is_empty()).then(|| said.join(": "));
            let pods = self.trouble().map(|trouble| trouble.text);
            // What the pods say is nearer to the cause than what the controller says about them.
            return (State::Failed, pods.or(said));
        }
        let held = object.bool("/spec/suspend") == Some(true) || object.condition_holds("Suspended");
        if held && !self.any(PodState::Running) {
            let message = object.condition("Suspended").map(|condition| condition.message.to_owned());
            return (State::Suspended, message.filter(|message| !message.is_empty()));
        }
        if self.component.pods.is_empty() {
            let why = self.complaint().unwrap_or_else(|| "no pods yet".to_owned());
            return (State::Pending, Some(why));
        }
        // Between the last pod's end and the job's the pods are complete and the job is not.
        let works = self.any(PodState::Running) || self.any(PodState::Complete);
        match self.trouble() {
            Some(trouble) if trouble.severity >= Severity::Waiting || !works => {
                let state = if works { State::Degraded } else { State::Pending };
                (state, Some(trouble.text))
            }
            _ if works => (State::Running, progress(object)),
            _ => (State::Pending, None),
        }
    }

    /// Kinds that are kept at a number of replicas.
    fn replicas(&self, object: &Object) -> Judgement {
        let (ready, wanted) = (self.ready(), self.wanted());
        if wanted == 0 {
            return (State::Stopped, None);
        }
        let trouble = self.trouble();
        let failing = trouble.as_ref().is_some_and(|trouble| trouble.severity == Severity::Failing);
        let why = trouble
            .map(|trouble| trouble.text)
            .or_else(|| failed_condition(object))
            .or_else(|| self.complaint().filter(|_| ready < wanted));
        let state = match (ready >= wanted, ready > 0, failing) {
            (true, _, false) => State::Running,
            (true, _, true) | (false, true, _) => State::Degraded,
            (false, false, true) => State::Failed,
            (false, false, false) => State::Pending,
        };
        (state, why.filter(|_| state != State::Running))
    }

    fn notebook(&self, object: &Object) -> Judgement {
        if let Some(since) = object.annotation("kubeflow-resource-stopped") {
            return (State::Stopped, Some(format!("stopped at {since}")));
        }
        self.replicas(object)
    }

    fn inference(&self, object: &Object) -> Judgement {
        if object.annotation("serving.kserve.io/stop") == Some("true") || object.condition_holds("Stopped") {
            return (State::Stopped, None);
        }
        if object.condition_holds("Ready") {
            return (State::Running, object.str("/status/url").map(str::to_owned));
        }
        let trouble = self.trouble();
        let failing = trouble.as_ref().is_some_and(|trouble| trouble.severity == Severity::Failing);
        let why = object
            .str("/status/modelStatus/lastFailureInfo/message")
            .map(str::to_owned)
            .or(trouble.map(|trouble| trouble.text))
            .or_else(|| failed_condition(object))
            .or_else(|| self.complaint())
            .or_else(|| Some("not ready yet".to_owned()));
        let state = match (self.ready() > 0, failing) {
            (true, _) => State::Degraded,
            (false, true) => State::Failed,
            (false, false) => State::Pending,
        };
        (state, why)
    }

    /// Bare pods, and pods of owners outside the picture.
    fn by_pods(&self) -> Judgement {
        let why = self.trouble().map(|trouble| trouble.text);
        let all = |state| self.component.pods.iter().all(|pod| pod_state(pod) == state);
        let state = if all(PodState::Complete) {
            State::Complete
        } else if self.any(PodState::Failed) {
            State::Failed
        } else if all(PodState::Terminating) {
            State::Terminating
        } else {
            let failing = self.trouble().is_some_and(|trouble| trouble.severity == Severity::Failing);
            match (self.any(PodState::Running), failing) {
                (true, false) => State::Running,
                (true, true) if self.ready() > 0 => State::Degraded,
                (_, true) => State::Failed,
                (false, false) => State::Pending,
            }
        };
        (state, why)
    }

    fn any(&self, state: PodState) -> bool {
        self.component.pods.iter().any(|pod| pod_state(pod) == state)
    }

    fn trouble(&self) -> Option<Trouble> {
        let alive = self.component.pods.iter().filter(|pod| pod_state(pod) != PodState::Terminating);
        combine(alive.filter_map(|pod| pod_trouble(pod, &self.snapshot.events)))
    }

    /// The latest warning about the component or what is between it and its pods.
    fn complaint(&self) -> Option<String> {
        let events = &self.snapshot.events;
        let of_parts = self.component.parts.iter().find_map(|part| events.warning(part));
        let (_, message) = self
            .component
            .object
            .and_then(|object| events.warning(object))
            .or(of_parts)
            .or_else(|| events.warning_like("ReplicaSet", &format!("{}-", self.component.name)))?;
        Some(message.to_owned())
    }

    fn ready(&self) -> i64 {
        let ends = matches!(self.component.kind.as_str(), "TrainJob" | "JobSet" | "Job" | "Pod");
        let counts = |pod: &&&Object| is_ready(pod) || (ends && pod_state(pod) == PodState::Complete);
        count(self.component.pods.iter().filter(counts).count())
    }

    fn wanted(&self) -> i64 {
        let pods = count(self.component.pods.len());
        let Some(object) = self.component.object else { return pods };
        match self.component.kind.as_str() {
            "Deployment" | "StatefulSet" => object.int("/spec/replicas").unwrap_or(1),
            "Job" => {
                let parallel = object.int("/spec/parallelism").unwrap_or(1);
                object.int("/spec/completions").map_or(parallel, |completions| completions.min(parallel))
            }
            "TrainJob" => object.int("/spec/trainer/numNodes").unwrap_or(pods.max(1)),
            "Notebook" if object.annotation("kubeflow-resource-stopped").is_some() => 0,
            "Notebook" => 1,
            "InferenceService" => object.int("/spec/predictor/minReplicas").unwrap_or(1).max(pods),
            _ => pods,
        }
    }
}

/// How far a training job is, if its trainer says.
fn progress(job: &Object) -> Option<String> {
    let percent = job.int("/status/trainerStatus/progressPercentage");
    let left =
        job.int("/status/trainerStatus/estimatedRemainingSeconds").and_then(|left| u64::try_from(left).ok());
    let left = left.map(|left| format!("about {} left", short_duration(Duration::from_secs(left))));
    let parts: Vec<_> = percent.map(|percent| format!("{percent} % done")).into_iter().chain(left).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// The message of a condition that says what is wrong.
fn failed_condition(object: &Object) -> Option<String> {
    let wrong = object.conditions().find(|condition| match condition.kind {
        "ReplicaFailure" => condition.status == "True",
        "Progressing" | "Ready" | "PredictorReady" | "IngressReady" => condition.status == "False",
        _ => false,
    })?;
    let message = if wrong.message.is_empty() { wrong.reason } else { wrong.message };
    (!message.is_empty()).then(|| message.to_owned())
}

fn count(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
