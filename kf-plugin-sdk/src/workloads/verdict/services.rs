//! Kinds with a number of replicas.

use super::{Evidence, Judgement, State, failed_condition};
use crate::objects::Object;
use crate::workloads::{PodState, Severity, WorkloadKind, is_ready, pod_state};

impl Evidence<'_> {
    /// Judges a deployment or a stateful set.
    pub(super) fn replicas(&self, object: &Object) -> Judgement {
        let (ready, wanted) = self.counts();
        if wanted == 0 {
            return State::Stopped.into();
        }
        if ready >= wanted {
            return self.new_revision().unwrap_or_else(|| self.all_ready());
        }
        if let Some(trouble) = self.trouble() {
            let state = match (ready > 0, trouble.severity) {
                (true, _) => State::Degraded,
                (false, Severity::Failing) => State::Failed,
                (false, _) => State::Pending,
            };
            return Judgement::troubled(state, trouble);
        }
        let why = self.complaint().or_else(|| failed_condition(object));
        Judgement::new(if ready > 0 { State::Degraded } else { State::Pending }, why)
    }

    /// Judges a workload with enough ready pods; another pod may still fail.
    fn all_ready(&self) -> Judgement {
        match self.trouble().filter(|trouble| trouble.severity == Severity::Failing) {
            Some(trouble) => Judgement::troubled(State::Degraded, trouble),
            None => State::Running.into(),
        }
    }

    /// Judges a rollout: the old revision is still serving, so counts and conditions look fine even if the new one never
    /// starts.
    fn new_revision(&self) -> Option<Judgement> {
        let alive = self.pods.iter().filter(|pod| pod_state(pod) != PodState::Terminating);
        let newest = alive.clone().max_by_key(|pod| pod.created()).map(|pod| revision(pod))?;
        let is_new = |pod: &Object| revision(pod) == newest;
        if alive.clone().all(|pod| is_new(pod)) {
            return None;
        }
        let new: Vec<_> = alive.filter(|pod| is_new(pod)).collect();
        let ready = new.iter().filter(|pod| is_ready(pod)).count();
        let trouble = self.trouble_of(is_new).filter(|trouble| trouble.severity >= Severity::Waiting);
        Some(match trouble {
            Some(mut trouble) => {
                trouble.text =
                    format!("new revision fails to start, old one still serving: {}", trouble.text);
                Judgement::troubled(State::Degraded, trouble)
            }
            None => {
                let why = format!("rolling out new revision, {ready} of {} new pods ready", new.len());
                Judgement::new(State::Running, why)
            }
        })
    }

    /// Judges an inference service. KServe's conditions stay true while a new revision cannot start, and are the same for
    /// a slow start, a missing image and a crash, so the deployment and its pods are used.
    pub(super) fn inference(&self, object: &Object) -> Judgement {
        if object.annotation("serving.kserve.io/stop") == Some("true") || object.condition_holds("Stopped") {
            return State::Stopped.into();
        }
        let mut judgement = match not_loaded(object) {
            Some(why) if !object.condition_holds("Ready") && self.trouble().is_none() => {
                return Judgement::new(State::Failed, why);
            }
            _ if self.pods.is_empty() && object.condition_holds("Ready") => State::Running.into(),
            _ => self.replicas(object),
        };
        if judgement.state == State::Running && judgement.why.is_none() {
            judgement = match failed_condition(object) {
                Some(why) => Judgement::new(State::Degraded, why),
                None => Judgement::new(State::Running, object.str("/status/url").map(str::to_owned)),
            };
        }
        if judgement.state == State::Pending && judgement.why.is_none() {
            judgement.why = Some("not ready yet".to_owned());
        }
        judgement
    }

    pub(super) fn wanted_replicas(&self, kind: WorkloadKind, object: &Object) -> i64 {
        let replicas = |object: &Object| object.int("/spec/replicas").unwrap_or(1);
        match kind {
            WorkloadKind::Deployment | WorkloadKind::StatefulSet => replicas(object),
            WorkloadKind::InferenceService => {
                let deployments = self.parts.iter().filter(|part| part.kind() == "Deployment");
                let wanted: Vec<_> = deployments.map(|part| replicas(part)).collect();
                match wanted.is_empty() {
                    true => object.int("/spec/predictor/minReplicas").unwrap_or(1),
                    false => wanted.into_iter().fold(0, i64::saturating_add),
                }
            }
            _ => i64::from(!super::notebooks::is_stopped(object)),
        }
    }
}

/// Returns the revision of the pod template that a pod was created from.
fn revision(pod: &Object) -> &str {
    pod.label("pod-template-hash").or_else(|| pod.label("controller-revision-hash")).unwrap_or_default()
}

/// Returns why the model cannot be loaded. `lastFailureInfo` is kept after a later success, so it only counts while the
/// model is not loaded.
fn not_loaded(object: &Object) -> Option<String> {
    let transition = object.str("/status/modelStatus/transitionStatus")?;
    if !matches!(transition, "InvalidSpec" | "BlockedByFailedLoad") {
        return None;
    }
    let failure = |field: &str| object.str(&format!("/status/modelStatus/lastFailureInfo/{field}"));
    let message =
        failure("message").filter(|message| !message.trim().is_empty()).or_else(|| failure("reason"));
    let last = message?.lines().rev().find(|line| !line.trim().is_empty());
    last.map(str::to_owned)
}
