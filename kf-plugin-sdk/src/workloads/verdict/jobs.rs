//! Kinds that run to completion.

use std::time::Duration;

use super::{Evidence, Judgement, State, count, queue};
use crate::clock::short_duration;
use crate::objects::Object;
use crate::workloads::workload::replicas_of_roles;
use crate::workloads::{PodState, Severity, WorkloadKind, outcome, rank_of};

/// The reason if no other is known.
pub(in crate::workloads) const NO_PODS: &str = "no pods yet";

impl Evidence<'_> {
    /// Training jobs have no condition for running, so it is derived from their pods.
    pub(super) fn job(&self, object: &Object) -> Judgement {
        if let Some(outcome) = outcome(object) {
            if outcome.succeeded {
                let took = outcome.took.map(|took| format!("took {}", short_duration(took)));
                return Judgement::new(State::Complete, took);
            }
            // Pods are closer to the cause than the controller's conditions, unless the controller killed them.
            if let Some(deadline) = self.deadline() {
                return Judgement::new(State::Failed, deadline);
            }
            return match self.trouble() {
                Some(trouble) => Judgement::troubled(State::Failed, trouble),
                None => Judgement::new(State::Failed, outcome.summary()),
            };
        }
        if is_held(object) && !self.any(PodState::Running) {
            return match queue::place(object, self.queue) {
                Some((why, clue)) => Judgement { state: State::Queued, why: Some(why), clue },
                None => Judgement::new(State::Suspended, suspended(object)),
            };
        }
        if self.pods.is_empty() {
            let why =
                self.complaint().or_else(|| not_submitted(object)).unwrap_or_else(|| NO_PODS.to_owned());
            return Judgement::new(State::Pending, why);
        }
        // The pods complete before the job does.
        let is_active =
            [PodState::Running, PodState::Complete, PodState::Unknown].map(|state| self.any(state));
        let is_active = is_active.contains(&true);
        match self.trouble() {
            Some(trouble) if trouble.severity >= Severity::Waiting || !is_active => {
                Judgement::troubled(if is_active { State::Degraded } else { State::Pending }, trouble)
            }
            _ if is_active => Judgement::new(State::Running, progress(object)),
            _ => State::Pending.into(),
        }
    }

    /// Returns the reason if the job, or one of its parts, exceeded its deadline.
    fn deadline(&self) -> Option<String> {
        let all = self.object.into_iter().chain(self.parts.iter().copied());
        let late = |object: &Object| outcome(object).filter(|outcome| outcome.reason == "DeadlineExceeded");
        all.into_iter().find_map(late)?.summary()
    }

    /// Returns the number of ready pods and of wanted pods. The initializer steps of a training job are not counted.
    pub(super) fn counts_of_job(&self, kind: WorkloadKind, object: &Object) -> (i64, i64) {
        let is_initializer =
            |pod: &Object| kind == WorkloadKind::TrainJob && rank_of(pod).step.ends_with("-initializer");
        let pods: Vec<_> = self.pods.iter().filter(|pod| !is_initializer(pod)).collect();
        let ready = count(pods.iter().filter(|pod| self.is_ready_or_complete(pod)).count());
        let wanted = wanted_of_job(kind, object, count(pods.len()));
        // A job with many completions keeps its completed pods.
        (ready.min(wanted), wanted)
    }
}

fn wanted_of_job(kind: WorkloadKind, object: &Object, pods: i64) -> i64 {
    match kind {
        WorkloadKind::Job => {
            let parallel = object.int("/spec/parallelism").unwrap_or(1);
            object.int("/spec/completions").map_or(parallel, |completions| completions.min(parallel))
        }
        WorkloadKind::TrainJob => object.int("/spec/trainer/numNodes").unwrap_or(pods.max(1)),
        kind if kind.is_legacy_job() => replicas_of_roles(object).unwrap_or(pods),
        _ => pods,
    }
}

/// Returns whether a workload is suspended, by a user or by a queue.
pub(in crate::workloads) fn is_held(object: &Object) -> bool {
    let suspend = |pointer| object.bool(pointer) == Some(true);
    suspend("/spec/suspend") || suspend("/spec/runPolicy/suspend") || object.condition_holds("Suspended")
}

fn suspended(object: &Object) -> Option<String> {
    let queue = object.label("kueue.x-k8s.io/queue-name").map(|queue| format!("waiting in queue {queue}"));
    let message = object.condition("Suspended").map(|condition| condition.message.to_owned());
    queue.or(message.filter(|message| !message.is_empty()))
}

/// Returns why a Spark application has no driver; its operator retries.
fn not_submitted(object: &Object) -> Option<String> {
    let message = object.str("/status/applicationState/errorMessage")?;
    message.lines().rev().find(|line| !line.trim().is_empty()).map(str::to_owned)
}

/// Returns the progress of a training job, if its trainer reports it.
fn progress(job: &Object) -> Option<String> {
    let percent = job.int("/status/trainerStatus/progressPercentage");
    let left =
        job.int("/status/trainerStatus/estimatedRemainingSeconds").and_then(|left| u64::try_from(left).ok());
    let left = left.map(|left| format!("about {} left", short_duration(Duration::from_secs(left))));
    let parts: Vec<_> = percent.map(|percent| format!("{percent}% done")).into_iter().chain(left).collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}
