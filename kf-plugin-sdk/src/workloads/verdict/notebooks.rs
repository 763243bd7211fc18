//! Notebooks of both APIs, and other kinds with one pod.
//!
//! A notebook is stopped by an annotation (v1) or `spec.paused` (v2). The status is not reliable: that of v1 is the same
//! for "stopped", "just created" and "cannot create a pod", and that of v2 is `Error` for a while on every normal start.

use super::{Evidence, Judgement, State, failed_condition};
use crate::objects::Object;
use crate::workloads::is_ready;

const STOPPED_ANNOTATION: &str = "kubeflow-resource-stopped";

impl Evidence<'_> {
    pub(super) fn notebook(&self, object: &Object) -> Judgement {
        if is_stopped(object) {
            if !self.pods.is_empty() {
                return Judgement::new(State::Terminating, "stopping, 1 pod remaining".to_owned());
            }
            let since = object.annotation(STOPPED_ANNOTATION).filter(|since| !since.is_empty());
            return Judgement::new(State::Stopped, since.map(|since| format!("stopped at {since}")));
        }
        if let Some(why) = misconfigured(object) {
            return Judgement::new(State::Failed, why);
        }
        let mut judgement = self.single(object);
        if self.has_outdated_pod() {
            let why = judgement.why.take().unwrap_or_else(|| "not ready".to_owned());
            judgement.why =
                Some(format!("{why}; changed since its pod started, stop and start it to apply the change"));
        }
        judgement
    }

    /// Judges a kind with one pod.
    pub(super) fn single(&self, object: &Object) -> Judgement {
        if !self.pods.is_empty() {
            return self.replicas(object);
        }
        let nothing =
            if self.parts.is_empty() { "no objects created by its controller yet" } else { "no pod yet" };
        let why = self.complaint().or_else(|| failed_condition(object));
        Judgement::new(State::Pending, why.unwrap_or_else(|| nothing.to_owned()))
    }

    /// Returns whether a pod that is not ready is of an old revision. A stateful set only replaces its pod once it is
    /// ready, so a change that would fix the pod is never applied.
    fn has_outdated_pod(&self) -> bool {
        let stateful_set = self.parts.iter().find(|part| part.kind() == "StatefulSet");
        let Some(wanted) = stateful_set.and_then(|set| set.str("/status/updateRevision")) else {
            return false;
        };
        self.pods.iter().any(|pod| {
            !is_ready(pod) && pod.label("controller-revision-hash").is_some_and(|revision| revision != wanted)
        })
    }
}

/// Returns whether it was stopped by a user or the culler.
pub(super) fn is_stopped(object: &Object) -> bool {
    object.annotation(STOPPED_ANNOTATION).is_some() || object.bool("/spec/paused") == Some(true)
}

/// Returns a permanent configuration error of a workspace: its kind or an option is unknown.
fn misconfigured(object: &Object) -> Option<String> {
    let message =
        object.str("/status/stateMessage").filter(|_| object.str("/status/state") == Some("Error"))?;
    let reason = message.strip_prefix("Workspace ").unwrap_or(message);
    (reason.starts_with("references unknown") || reason.starts_with("has invalid")).then(|| reason.to_owned())
}
