//! Notebooks of both APIs, and what else has one pod.
//!
//! The wish is an annotation (v1) or `spec.paused` (v2). The status is no guide: v1's is the same
//! for "stopped", "just created" and "no pod can be made", v2's passes through `Error` on every
//! normal start.

use super::{Evidence, Judgement, State, failed_condition};
use crate::objects::Object;
use crate::workloads::is_ready;

const STOPPED: &str = "kubeflow-resource-stopped";

impl Evidence<'_> {
    pub(super) fn notebook(&self, object: &Object) -> Judgement {
        if is_stopped(object) {
            if !self.pods.is_empty() {
                return Judgement::new(State::Terminating, "stopping, its pod is still there".to_owned());
            }
            let since = object.annotation(STOPPED).filter(|since| !since.is_empty());
            return Judgement::new(State::Stopped, since.map(|since| format!("stopped at {since}")));
        }
        if let Some(why) = misconfigured(object) {
            return Judgement::new(State::Failed, why);
        }
        let mut judgement = self.single(object);
        if self.keeps_an_old_pod() {
            let why = judgement.why.take().unwrap_or_else(|| "not ready".to_owned());
            judgement.why =
                Some(format!("{why}; it was changed since, which takes a stop and a start to reach its pod"));
        }
        judgement
    }

    /// What should have one pod.
    pub(super) fn single(&self, object: &Object) -> Judgement {
        if !self.pods.is_empty() {
            return self.replicas(object);
        }
        let nothing =
            if self.parts.is_empty() { "its controller has made nothing yet" } else { "no pod yet" };
        let why = self.complaint().or_else(|| failed_condition(object));
        Judgement::new(State::Pending, why.unwrap_or_else(|| nothing.to_owned()))
    }

    /// A stateful set replaces its pod only once that pod is ready: a change that would mend it never
    /// reaches it.
    fn keeps_an_old_pod(&self) -> bool {
        let stateful_set = self.parts.iter().find(|part| part.kind() == "StatefulSet");
        let Some(wanted) = stateful_set.and_then(|set| set.str("/status/updateRevision")) else {
            return false;
        };
        self.pods.iter().any(|pod| {
            !is_ready(pod) && pod.label("controller-revision-hash").is_some_and(|revision| revision != wanted)
        })
    }
}

/// Whether someone, or the culler, wishes it to be stopped.
pub(super) fn is_stopped(object: &Object) -> bool {
    object.annotation(STOPPED).is_some() || object.bool("/spec/paused") == Some(true)
}

/// The errors of a workspace that no waiting mends: its kind or an option is unknown.
fn misconfigured(object: &Object) -> Option<String> {
    let message =
        object.str("/status/stateMessage").filter(|_| object.str("/status/state") == Some("Error"))?;
    let told = message.strip_prefix("Workspace ").unwrap_or(message);
    (told.starts_with("references unknown") || told.starts_with("has invalid")).then(|| told.to_owned())
}
