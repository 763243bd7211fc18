//! Groups objects by their owners.
//!
//! A training job owns a job set, which owns jobs, which own pods. Users think of these as one workload, so every
//! object is counted to its topmost owner in the snapshot. Objects whose owner is not in the snapshot (a CronJob, a
//! Knative revision) are workloads of their own.
//!
//! Names can be reused: if a notebook is deleted and created again, the old pod exists for a while next to the new one.
//! Owners are compared by uid, and objects of a deleted owner are not counted to the new one.

use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Evidence, OWN_EXPERIMENT_LABEL, State, Verdict, WorkloadKind, verdict};

use crate::snapshot::{Key, Snapshot};

/// The longest chain of owners that is followed. Owner references can form a loop.
const MAX_OWNER_DEPTH: usize = 8;

/// A workload: a topmost owner with its objects.
#[derive(Clone, Debug)]
pub(crate) struct Workload<'a> {
    pub(crate) kind: String,
    pub(crate) name: String,
    /// Absent if only its pods are in the snapshot.
    pub(crate) object: Option<&'a Object>,
    /// The workloads below it.
    pub(crate) parts: Vec<&'a Object>,
    pub(crate) pods: Vec<&'a Object>,
    /// Remaining pods of a deleted workload of the same name.
    pub(crate) earlier: usize,
}

impl Workload<'_> {
    /// As in `trainjob/mnist`.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.kind.to_lowercase(), self.name)
    }

    pub(crate) fn verdict(&self, snapshot: &Snapshot) -> Verdict {
        let mut kinds = WorkloadKind::ALL.into_iter();
        let queue: Vec<_> = snapshot.queue.values().collect();
        let mut verdict = verdict(&Evidence {
            kind: kinds.find(|kind| kind.kind().kind == self.kind),
            name: &self.name,
            object: self.object,
            parts: &self.parts,
            pods: &self.pods,
            queue: &queue,
            events: &snapshot.events,
        });
        if self.earlier > 0 && self.pods.is_empty() && verdict.state == State::Pending {
            verdict.why = Some(format!("waiting for the pod of a deleted {} to terminate", self.name));
        }
        verdict
    }
}

/// All workloads, in the order of the table.
pub(crate) fn components(snapshot: &Snapshot) -> Vec<Workload<'_>> {
    let mut found: BTreeMap<Key, Workload<'_>> = BTreeMap::new();
    for object in snapshot.workloads.values() {
        let top = top(snapshot, object);
        let is_top = top.0 == object.kind() && top.1 == object.name();
        let component = entry(&mut found, top, snapshot);
        if !is_top {
            component.parts.push(object);
        }
    }
    for pod in snapshot.pods.values() {
        let top = top(snapshot, pod);
        let component = entry(&mut found, top, snapshot);
        if is_earlier(snapshot, pod) {
            component.earlier += 1;
        } else {
            component.pods.push(pod);
        }
    }
    let mut components: Vec<_> = found.into_values().collect();
    components.sort_by_key(|component| (rank(&component.kind), component.name.clone()));
    components
}

/// The matches of `NAME` or `KIND/NAME`: workloads first, then their parts and pods.
pub(crate) fn named<'a>(snapshot: &'a Snapshot, words: &str) -> Vec<Workload<'a>> {
    let (kind, name) = match words.split_once('/') {
        // Owners of unknown kinds are matched by the name of the kind.
        Some((word, name)) => {
            let kind = WorkloadKind::named(word).map(|kind| kind.word().to_owned());
            (Some(kind.unwrap_or_else(|_| word.to_lowercase())), name)
        }
        None => (None, words),
    };
    let is = |of: &str, called: &str| {
        called == name && kind.as_ref().is_none_or(|kind| *kind == of.to_lowercase())
    };
    let all = components(snapshot);
    let tops: Vec<_> = all.iter().filter(|component| is(&component.kind, &component.name)).cloned().collect();
    if !tops.is_empty() {
        return tops;
    }
    let parts = all.iter().flat_map(|component| {
        component.parts.iter().map(|part| Workload {
            kind: part.kind().to_owned(),
            name: part.name().to_owned(),
            object: Some(part),
            parts: Vec::new(),
            pods: component.pods.iter().filter(|pod| below(snapshot, pod, part)).copied().collect(),
            earlier: 0,
        })
    });
    let pods = snapshot.pods.values().map(|pod| Workload {
        kind: "Pod".to_owned(),
        name: pod.name().to_owned(),
        object: Some(pod),
        parts: Vec::new(),
        pods: vec![pod],
        earlier: 0,
    });
    parts.chain(pods).filter(|component| is(&component.kind, &component.name)).collect()
}

fn entry<'a, 'b>(
    found: &'b mut BTreeMap<Key, Workload<'a>>,
    key: Key,
    snapshot: &'a Snapshot,
) -> &'b mut Workload<'a> {
    found.entry(key.clone()).or_insert_with(|| {
        let object = match key.0.as_str() {
            "Pod" => snapshot.pods.get(&key.1),
            _ => snapshot.workloads.get(&key),
        };
        Workload { kind: key.0, name: key.1, object, parts: Vec::new(), pods: Vec::new(), earlier: 0 }
    })
}

/// The topmost owner in the snapshot, or for a pod the first owner outside it.
fn top(snapshot: &Snapshot, object: &Object) -> Key {
    let mut key = (object.kind().to_owned(), object.name().to_owned());
    let mut current = object;
    for _ in 0..MAX_OWNER_DEPTH {
        let Some(owner) = owner(snapshot, current) else { break };
        match snapshot.workloads.get(&owner) {
            Some(object) => {
                key = owner;
                current = object;
            }
            // Pods of an unknown owner are grouped by its name.
            None if current.kind() == "Pod" => return owner,
            None => break,
        }
    }
    key
}

/// Whether one of its owners was deleted and another object has the same name.
fn is_earlier(snapshot: &Snapshot, pod: &Object) -> bool {
    let mut current = pod;
    for _ in 0..MAX_OWNER_DEPTH {
        let Some((kind, name)) = current.controller() else { return false };
        let Some(object) = snapshot.workloads.get(&(kind.to_owned(), name.to_owned())) else { return false };
        if let (Some(wanted), Some(found)) = (current.controller_uid(), object.uid())
            && wanted != found
        {
            return true;
        }
        current = object;
    }
    false
}

fn below(snapshot: &Snapshot, pod: &Object, part: &Object) -> bool {
    let mut current = pod;
    for _ in 0..MAX_OWNER_DEPTH {
        let Some(owner) = owner(snapshot, current) else { return false };
        if owner.0 == part.kind() && owner.1 == part.name() {
            return true;
        }
        let Some(object) = snapshot.workloads.get(&owner) else { return false };
        current = object;
    }
    false
}

fn owner(snapshot: &Snapshot, object: &Object) -> Option<Key> {
    // The owner of KServe's deployments can be a Knative revision, which is not in the snapshot.
    if let Some(service) = object.label("serving.kserve.io/inferenceservice") {
        let key = ("InferenceService".to_owned(), service.to_owned());
        if snapshot.workloads.contains_key(&key) {
            return Some(key);
        }
    }
    // A trial of an experiment that `kf tune` runs itself.
    if let Some(experiment) = object.label(OWN_EXPERIMENT_LABEL).filter(|_| object.kind() == "TrainJob") {
        let key = ("Experiment".to_owned(), experiment.to_owned());
        if snapshot.workloads.contains_key(&key) {
            return Some(key);
        }
    }
    let (kind, name) = object.controller()?;
    if kind == "Suggestion" {
        // Katib's object between an experiment and its suggestion service; it has the name of the experiment.
        return Some(("Experiment".to_owned(), name.to_owned()));
    }
    // Many users cannot list job sets. That of a training job has the same name.
    let train_job = ("TrainJob".to_owned(), name.to_owned());
    let is_hidden = kind == "JobSet" && !snapshot.workloads.contains_key(&(kind.to_owned(), name.to_owned()));
    if is_hidden && snapshot.workloads.contains_key(&train_job) {
        return Some(train_job);
    }
    if kind != "ReplicaSet" {
        return Some((kind.to_owned(), name.to_owned()));
    }
    // The name of a replica set is that of its deployment with a hash, which is a label of its pods.
    let deployment = match object.label("pod-template-hash") {
        Some(hash) => name.strip_suffix(hash).and_then(|name| name.strip_suffix('-')),
        None => name.rsplit_once('-').map(|(deployment, _)| deployment),
    };
    match deployment {
        Some(deployment) => Some(("Deployment".to_owned(), deployment.to_owned())),
        None => Some((kind.to_owned(), name.to_owned())),
    }
}

/// The position of a kind in the table: unknown kinds before bare pods, which are last.
fn rank(kind: &str) -> usize {
    let known = WorkloadKind::ALL.iter().position(|known| known.kind().kind == kind);
    let last = WorkloadKind::ALL.len();
    known.map_or(last, |place| if place + 1 == last { last + 1 } else { place })
}
