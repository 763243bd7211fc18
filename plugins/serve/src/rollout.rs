//! How far the newest revision of a service really is.
//!
//! KServe's `Ready` stays true while a new revision rolls out, and when it cannot start. So the
//! answer is read off the Deployment, its newest ReplicaSet and that one's pods. What the service
//! says counts only where there is nothing below it yet.

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{
    Events, PodState, Severity, Trouble, combine, is_ready, pod_state, pod_trouble,
};
use serde_json::Value;

use crate::predictor;

/// A service and what stands below it.
pub(crate) struct View<'a> {
    pub(crate) service: &'a Object,
    pub(crate) deployments: Vec<&'a Object>,
    pub(crate) replica_sets: Vec<&'a Object>,
    pub(crate) pods: Vec<&'a Object>,
    pub(crate) events: &'a Events,
    /// The revision of Knative's that is not the newest, if one is known.
    pub(crate) outdated: Option<&'a str>,
    /// Whether KServe has had time to see the service as it is: before, what it complains about may
    /// be the service as it was.
    pub(crate) settled: bool,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Truth {
    Stopped,
    /// So many pods serve it, and no others.
    Ready(usize),
    Starting {
        ready: usize,
        wanted: usize,
        /// Pods of older revisions that serve.
        old: usize,
        why: Option<String>,
    },
    /// It will not start by itself.
    Failing {
        why: String,
        /// The pod that shows it.
        pod: Option<String>,
        old: usize,
    },
}

/// Reasons for which the kubelet has tried more than once, or would never try again.
const HOPELESS: [&str; 7] = [
    "CrashLoopBackOff",
    "ImagePullBackOff",
    "ErrImageNeverPull",
    "InvalidImageName",
    "CreateContainerConfigError",
    "CreateContainerError",
    "RunContainerError",
];

impl View<'_> {
    pub(crate) fn judge(&self) -> Truth {
        if predictor::is_stopped(self.service) {
            return Truth::Stopped;
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
            return Truth::Ready(newest.wanted);
        }
        let why = self.trouble(newest.hash).map(|trouble| trouble.text).or_else(|| self.complaint());
        Truth::Starting { ready: pods, wanted: newest.wanted, old: self.old(newest.hash), why }
    }

    /// The pods of the newest revision that can answer.
    pub(crate) fn ready_pods(&self) -> Vec<&Object> {
        let hash = self.newest().map(|newest| newest.hash.to_owned());
        let is_new = |pod: &&&Object| hash.is_none() || pod.label("pod-template-hash") == hash.as_deref();
        self.pods.iter().filter(is_new).filter(|pod| is_ready(pod) && !leaves(pod)).copied().collect()
    }

    fn deployment(&self) -> Option<&Object> {
        // A transformer and canaries have Deployments of their own.
        self.deployments.iter().find(|deployment| deployment.name().ends_with("-predictor")).copied()
    }

    /// The newest revision, once the Deployment is the service's as it is.
    fn newest(&self) -> Option<Newest<'_>> {
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
        Some(Newest {
            deployment,
            hash: replica_set.label("pod-template-hash")?,
            wanted: usize::try_from(deployment.int("/spec/replicas").unwrap_or(1)).unwrap_or(0),
            all: count("/status/replicas"),
            updated: count("/status/updatedReplicas"),
            available: count("/status/availableReplicas"),
        })
    }

    fn without_newest(&self) -> Truth {
        let old = self.pods.iter().filter(|pod| is_ready(pod) && !leaves(pod)).count();
        let why = self.complaint();
        match why {
            Some(why) if self.settled => Truth::Failing { why, pod: None, old },
            why => Truth::Starting { ready: 0, wanted: 1, old, why },
        }
    }

    fn failing(&self, newest: &Newest<'_>) -> Option<Truth> {
        let old = self.old(newest.hash);
        let hopeless = self.pods_of(newest.hash).find(|pod| is_hopeless(pod));
        if let Some(pod) = hopeless {
            let why =
                pod_trouble(pod, self.events).map_or_else(|| "it fails".to_owned(), |trouble| trouble.text);
            return Some(Truth::Failing { why, pod: Some(pod.name().to_owned()), old });
        }
        let says = |kind: &str, status: &str| {
            newest.deployment.condition(kind).filter(|condition| condition.status == status)
        };
        let late =
            says("Progressing", "False").filter(|condition| condition.reason == "ProgressDeadlineExceeded");
        let refused = says("ReplicaFailure", "True").filter(|_| self.settled);
        let condition = late.or(refused)?;
        let of_pods = self.trouble(newest.hash).map(|trouble| trouble.text);
        Some(Truth::Failing { why: of_pods.unwrap_or_else(|| condition.message.to_owned()), pod: None, old })
    }

    /// What KServe itself says is wrong with the service as it is.
    fn complaint(&self) -> Option<String> {
        if self.service.str("/status/modelStatus/transitionStatus") == Some("InvalidSpec") {
            let message = self.service.str("/status/modelStatus/lastFailureInfo/message");
            return Some(message.unwrap_or("KServe finds the spec invalid").to_owned());
        }
        let predictor = self.service.condition("PredictorReady")?;
        (predictor.reason == "ReconcileFailed").then(|| predictor.message.to_owned())
    }

    fn of_knative(&self) -> Truth {
        let revision = |which: &str| self.service.str(&format!("/status/components/predictor/{which}"));
        let created = revision("latestCreatedRevision");
        let is_newest = created.is_some() && created != self.outdated;
        let pods = self.pods.iter().filter(|pod| is_ready(pod) && !leaves(pod)).count();
        if is_newest && created == revision("latestReadyRevision") && self.service.condition_holds("Ready") {
            return Truth::Ready(pods);
        }
        if let Some(pod) = self.pods.iter().find(|pod| is_hopeless(pod)) {
            let why =
                pod_trouble(pod, self.events).map_or_else(|| "it fails".to_owned(), |trouble| trouble.text);
            return Truth::Failing { why, pod: Some(pod.name().to_owned()), old: pods };
        }
        Truth::Starting { ready: 0, wanted: 1, old: pods, why: self.complaint() }
    }

    fn pods_of<'v>(&'v self, hash: &'v str) -> impl Iterator<Item = &'v Object> {
        let pods = self.pods.iter().copied();
        pods.filter(move |pod| pod.label("pod-template-hash") == Some(hash) && !leaves(pod))
    }

    fn old(&self, hash: &str) -> usize {
        let is_old = |pod: &&&Object| pod.label("pod-template-hash") != Some(hash);
        self.pods.iter().filter(is_old).filter(|pod| is_ready(pod) && !leaves(pod)).count()
    }

    fn trouble(&self, hash: &str) -> Option<Trouble> {
        combine(self.pods_of(hash).filter_map(|pod| pod_trouble(pod, self.events)))
            .filter(|trouble| trouble.severity >= Severity::Starting)
    }
}

const DEPLOYMENT_REVISION: &str = "deployment.kubernetes.io/revision";

struct Newest<'a> {
    deployment: &'a Object,
    hash: &'a str,
    wanted: usize,
    all: usize,
    updated: usize,
    available: usize,
}

impl Newest<'_> {
    /// Every pod that is wanted is new and serves, and no other is left.
    fn is_complete(&self) -> bool {
        self.updated >= self.wanted && self.available >= self.wanted && self.all <= self.updated
    }
}

fn leaves(pod: &Object) -> bool {
    pod_state(pod) == PodState::Terminating
}

fn is_hopeless(pod: &Object) -> bool {
    let statuses = ["/status/initContainerStatuses", "/status/containerStatuses"];
    statuses.iter().flat_map(|pointer| pod.list(pointer)).any(|status| {
        let reason = status.pointer("/state/waiting/reason").and_then(Value::as_str);
        reason.is_some_and(|reason| HOPELESS.contains(&reason))
    })
}

/// The container whose last run failed, and whether that run's log is the one before.
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
