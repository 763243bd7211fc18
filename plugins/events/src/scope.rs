//! Which events to show: all, or those of a workload and the objects it owns.

use std::collections::BTreeSet;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Workload, WorkloadKind};
use serde_json::Value;

use crate::Events;

/// The longest chain of owners that is followed.
const MAX_OWNER_DEPTH: usize = 8;

#[derive(Default)]
pub(crate) struct Scope {
    component: Option<Workload>,
    uids: BTreeSet<String>,
    /// Kind and name of its objects, for events without a UID.
    names: BTreeSet<(String, String)>,
    /// The names of objects that do not belong to it.
    others: BTreeSet<String>,
    /// The UIDs of unknown pods that were already looked up.
    checked: BTreeSet<String>,
}

impl Scope {
    /// The scope of the named workload; everything if there is no name.
    pub(crate) fn find(kf: &Kf, words: Option<&str>) -> Result<Self> {
        let mut scope = Self::default();
        let Some(words) = words else { return Ok(scope) };
        let component = Workload::find(kf, words)?;
        scope.add(&component.object);
        scope.component = Some(component.clone());
        let mut parts = parts(kf)?;
        // A pod's owner is a job, whose owner is a job set, whose owner is a training job.
        for _ in 0..MAX_OWNER_DEPTH {
            let (owned, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| scope.owns(part));
            parts = rest;
            if owned.is_empty() {
                break;
            }
            owned.iter().for_each(|part| scope.add(part));
        }
        // Without permission to list the objects in between, pods are found by their labels.
        for pod in component.pods(kf).unwrap_or_default() {
            scope.add(&pod);
        }
        let others = parts.iter().filter(|part| !scope.has(part)).map(|part| part.name().to_owned());
        scope.others = others.collect();
        Ok(scope)
    }

    /// Whether an event belongs to the scope.
    pub(crate) fn contains_event(&self, event: &Object) -> bool {
        let Some(component) = &self.component else { return true };
        let text = |pointer: &str| event.str(pointer).unwrap_or_default();
        let (kind, name) = (text("/involvedObject/kind"), text("/involvedObject/name"));
        match text("/involvedObject/uid") {
            "" => self.names.contains(&(kind.to_owned(), name.to_owned())),
            uid if self.uids.contains(uid) => true,
            _ => {
                // Objects that no longer exist, such as a replaced pod, are matched by name.
                let is_owned_kind = ["Pod", "Job", "JobSet", "ReplicaSet"].contains(&kind);
                let is_own =
                    self.has_name_prefix(&component.name, name) || self.is_hidden_job_set(kind, name);
                is_owned_kind && is_later(event, &component.object) && is_own
            }
        }
    }

    /// `mnist-node-0-0` has the prefix `mnist`, but belongs to `mnist-node` if that exists.
    fn has_name_prefix(&self, own: &str, name: &str) -> bool {
        let after = |of: &str| name.strip_prefix(of).is_some_and(|rest| rest.starts_with('-'));
        let longer = |other: &String| other.len() > own.len() && (after(other) || other.as_str() == name);
        after(own) && !self.others.iter().any(longer)
    }

    /// Whether an event is about an unknown pod that may belong to the workload. True once per pod.
    pub(crate) fn may_be_new_pod(&mut self, event: &Object) -> bool {
        let is_pod = event.str("/involvedObject/kind") == Some("Pod");
        let uid = event.str("/involvedObject/uid").unwrap_or_default();
        self.component.is_some()
            && is_pod
            && !self.contains_event(event)
            && self.checked.insert(uid.to_owned())
    }

    /// Adds the pods that appeared while watching.
    pub(crate) fn refresh_pods(&mut self, kf: &Kf) {
        if let Some(component) = &self.component {
            for pod in component.pods(kf).unwrap_or_default() {
                self.add(&pod);
            }
        }
    }

    pub(crate) fn empty_note(&self, kf: &Kf, events: &Events) -> String {
        let (what, window) = (events.empty_note(), events.window());
        match &self.component {
            Some(component) => format!("{what} for {component}{window}"),
            None => format!("{what} in {}{window}", kf.namespace()),
        }
    }

    fn owns(&self, object: &Object) -> bool {
        let text = |owner: &Value, field: &str| {
            owner.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        object.list("/metadata/ownerReferences").iter().any(|owner| {
            self.uids.contains(&text(owner, "uid"))
                || self.is_hidden_job_set(&text(owner, "kind"), &text(owner, "name"))
        })
    }

    /// A training job's job set has the same name. Many users have no permission to list job sets.
    fn is_hidden_job_set(&self, kind: &str, name: &str) -> bool {
        self.component
            .as_ref()
            .is_some_and(|it| it.kind == WorkloadKind::TrainJob && kind == "JobSet" && name == it.name)
    }

    fn has(&self, object: &Object) -> bool {
        object.uid().is_some_and(|uid| self.uids.contains(uid))
    }

    fn add(&mut self, object: &Object) {
        self.uids.extend(object.uid().map(str::to_owned));
        self.names.insert((object.kind().to_owned(), object.name().to_owned()));
    }
}

/// An event older than the component was about an earlier one of the same name.
fn is_later(event: &Object, component: &Object) -> bool {
    match (component.created(), event.created()) {
        (Some(component), Some(event)) => event >= component,
        _ => false,
    }
}

/// All objects that a workload may own, of the kinds that are served and can be listed.
fn parts(kf: &Kf) -> Result<Vec<Object>> {
    let replica_sets = [("replica sets", Kind::new("apps", "ReplicaSet"))];
    let known = WorkloadKind::ALL.into_iter().map(|kind| (kind.plural(), kind.kind()));
    let (names, kinds): (Vec<_>, Vec<_>) = known.chain(replica_sets).unzip();
    let mut left_out = Skipped::default();
    let mut parts = Vec::new();
    for (name, listed) in names.into_iter().zip(kf.list_many(&kinds)) {
        let listed = left_out.take_readable(name, listed)?;
        parts.extend(listed.into_iter().flat_map(|listed| listed.items));
    }
    left_out.tell(kf);
    Ok(parts)
}
