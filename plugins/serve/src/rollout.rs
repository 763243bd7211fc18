//! The actual progress of the newest revision of a service.
//!
//! KServe's `Ready` stays true while a new revision rolls out, even if it cannot start. So the progress is determined
//! from the Deployment, its newest ReplicaSet and the pods of that. The status of the service counts only while these
//! do not exist.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{
    Events, PodState, Severity, Trouble, combine, is_ready, pod_state, pod_trouble,
};
use serde_json::Value;

use crate::predictor;

/// A service and its objects.
pub(crate) struct View<'a> {
    pub(crate) service: &'a Object,
    pub(crate) deployments: Vec<&'a Object>,
    pub(crate) replica_sets: Vec<&'a Object>,
    pub(crate) pods: Vec<&'a Object>,
    pub(crate) events: &'a Events,
    /// The previous Knative revision, if known.
    pub(crate) outdated: Option<&'a str>,
    /// Whether KServe has had time to see the current spec. Until then its errors may be about the previous one.
    pub(crate) settled: bool,
}

/// The progress of a revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    Stopped,
    /// The number of pods; all have this revision and are ready.
    Ready(usize),
    Starting {
        ready: usize,
        wanted: usize,
        /// Ready pods of older revisions.
        old: usize,
        why: Option<String>,
    },
    /// It will not start without a change.
    Failing {
        why: String,
        /// The failing pod.
        pod: Option<String>,
        old: usize,
    },
}

/// Waiting reasons after repeated failures, or without a retry.
const FATAL_REASONS: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

impl View<'_> {
    pub(crate) fn progress(&self) -> Progress {
        if predictor::is_stopped(self.service) {
            return Progress::Stopped;
        }
        if self.deployment().is_none() && predictor::by_knative(self.service) {
            return self.of_knative();
        }
        let Some(newest) = self.newest() else { return self.without_newest() };
        if let Some(failing) = self.failing(&newest) {
            return failing;
        }
        let pods = self.pods_of(newest.hash).filter(|pod| is_ready(pod)).count();
        if newest.is_complete() && self.service.condition_holds("Ready") {
            return Progress::Ready(newest.wanted);
        }
        let why = self.trouble(newest.hash).map(|trouble| trouble.text).or_else(|| self.kserve_error());
        Progress::Starting { ready: pods, wanted: newest.wanted, old: self.old_ready(newest.hash), why }
    }

    /// The ready pods of the newest revision.
    pub(crate) fn ready_pods(&self) -> Vec<&Object> {
        let hash = self.newest().map(|newest| newest.hash.to_owned());
        let is_new = |pod: &&&Object| hash.is_none() || pod.label("pod-template-hash") == hash.as_deref();
        self.pods.iter().filter(is_new).filter(|pod| is_ready(pod) && !is_terminating(pod)).copied().collect()
    }

    fn deployment(&self) -> Option<&Object> {
        // Transformers and canaries have their own Deployments.
        self.deployments.iter().find(|deployment| deployment.name().ends_with("-predictor")).copied()
    }

    /// The newest revision, once the Deployment has the current spec.
    fn newest(&self) -> Option<NewestRevision<'_>> {
        let deployment = self.deployment()?;
        let of_template = deployment.at("/spec/template/metadata/annotations")?.get(predictor::REVISION);
        let wanted = predictor::revision(self.service);
        let observed = deployment.int("/status/observedGeneration") >= deployment.int("/metadata/generation");
        if of_template.and_then(Value::as_str) != wanted || !observed {
            return None;
        }
        let number = deployment.annotation(DEPLOYMENT_REVISION)?;
        let replica_set = self.replica_sets.iter().find(|replica_set| {
            replica_set.controller() == Some(("Deployment", deployment.name()))
                && replica_set.annotation(DEPLOYMENT_REVISION) == Some(number)
        })?;
        let count = |pointer: &str| usize::try_from(deployment.int(pointer).unwrap_or(0)).unwrap_or(0);
        Some(NewestRevision {
            deployment,
            hash: replica_set.label("pod-template-hash")?,
            wanted: usize::try_from(deployment.int("/spec/replicas").unwrap_or(1)).unwrap_or(0),
            all: count("/status/replicas"),
            updated: count("/status/updatedReplicas"),
            available: count("/status/availableReplicas"),
        })
    }

    fn without_newest(&self) -> Progress {
        let old = self.pods.iter().filter(|pod| is_ready(pod) && !is_terminating(pod)).count();
        let why = self.kserve_error();
        match why {
            Some(why) if self.settled => Progress::Failing { why, pod: None, old },
            why => Progress::Starting { ready: 0, wanted: 1, old, why },
        }
    }

    fn failing(&self, newest: &NewestRevision<'_>) -> Option<Progress> {
        let old = self.old_ready(newest.hash);
        let failing_pod = self.pods_of(newest.hash).find(|pod| is_failing(pod));
        if let Some(pod) = failing_pod {
            let why =
                pod_trouble(pod, self.events).map_or_else(|| "it fails".to_owned(), |trouble| trouble.text);
            return Some(Progress::Failing { why, pod: Some(pod.name().to_owned()), old });
        }
        let condition = |kind: &str, status: &str| {
            newest.deployment.condition(kind).filter(|condition| condition.status == status)
        };
        let timed_out = condition("Progressing", "False")
            .filter(|condition| condition.reason == "ProgressDeadlineExceeded");
        let refused = condition("ReplicaFailure", "True").filter(|_| self.settled);
        let cause = timed_out.or(refused)?;
        let of_pods = self.trouble(newest.hash).map(|trouble| trouble.text);
        Some(Progress::Failing { why: of_pods.unwrap_or_else(|| cause.message.to_owned()), pod: None, old })
    }

    /// The error that KServe reports for the service.
    fn kserve_error(&self) -> Option<String> {
        if self.service.str("/status/modelStatus/transitionStatus") == Some("InvalidSpec") {
            let message = self.service.str("/status/modelStatus/lastFailureInfo/message");
            return Some(message.unwrap_or("KServe reports the spec as invalid").to_owned());
        }
        let predictor = self.service.condition("PredictorReady")?;
        (predictor.reason == "ReconcileFailed").then(|| predictor.message.to_owned())
    }

    fn of_knative(&self) -> Progress {
        let revision = |which: &str| self.service.str(&format!("/status/components/predictor/{which}"));
        let created = revision("latestCreatedRevision");
        let is_newest = created.is_some() && created != self.outdated;
        let pods = self.pods.iter().filter(|pod| is_ready(pod) && !is_terminating(pod)).count();
        if is_newest && created == revision("latestReadyRevision") && self.service.condition_holds("Ready") {
            return Progress::Ready(pods);
        }
        if let Some(pod) = self.pods.iter().find(|pod| is_failing(pod)) {
            let why =
                pod_trouble(pod, self.events).map_or_else(|| "it fails".to_owned(), |trouble| trouble.text);
            return Progress::Failing { why, pod: Some(pod.name().to_owned()), old: pods };
        }
        Progress::Starting { ready: 0, wanted: 1, old: pods, why: self.kserve_error() }
    }

    fn pods_of<'v>(&'v self, hash: &'v str) -> impl Iterator<Item = &'v Object> {
        let pods = self.pods.iter().copied();
        pods.filter(move |pod| pod.label("pod-template-hash") == Some(hash) && !is_terminating(pod))
    }

    fn old_ready(&self, hash: &str) -> usize {
        let is_old = |pod: &&&Object| pod.label("pod-template-hash") != Some(hash);
        self.pods.iter().filter(is_old).filter(|pod| is_ready(pod) && !is_terminating(pod)).count()
    }

    fn trouble(&self, hash: &str) -> Option<Trouble> {
        combine(self.pods_of(hash).filter_map(|pod| pod_trouble(pod, self.events)))
            .filter(|trouble| trouble.severity >= Severity::Starting)
    }
}

const DEPLOYMENT_REVISION: &str = "deployment.kubernetes.io/revision";

struct NewestRevision<'a> {
    deployment: &'a Object,
    hash: &'a str,
    wanted: usize,
    all: usize,
    updated: usize,
    available: usize,
}

impl NewestRevision<'_> {
    /// All wanted pods are new and available, and no others are left.
    fn is_complete(&self) -> bool {
        self.updated >= self.wanted && self.available >= self.wanted && self.all <= self.updated
    }
}

fn is_terminating(pod: &Object) -> bool {
    pod_state(pod) == PodState::Terminating
}

fn is_failing(pod: &Object) -> bool {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    statuses.iter().flat_map(|pointer| pod.list(pointer)).any(|status| {
        let reason = status.pointer("/state/waiting/reason").and_then(Value::as_str);
        reason.is_some_and(|reason| FATAL_REASONS.contains(&reason))
    })
}

/// The container whose last run failed, and whether its log is that of the previous run.
pub(crate) fn failed_container(pod: &Object) -> Option<(&str, bool)> {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    statuses.iter().flat_map(|pointer| pod.list(pointer)).find_map(|status| {
        let name = status.get("name")?.as_str()?;
        let failed = |state: &str| {
            let code = status.pointer(&format!("/{state}/terminated/exitCode"));
            code.and_then(Value::as_i64).is_some_and(|code| code != 0)
        };
        if failed("state") {
            return Some((name, false));
        }
        failed("lastState").then_some((name, true))
    })
}
