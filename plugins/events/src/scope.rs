//! Whose events: everybody's, or those of a component and of all it made.

use std::collections::BTreeSet;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Component, ComponentKind};
use serde_json::Value;

use crate::Events;

/// How deep owners own.
const DEEPEST: usize = 8;

#[derive(Default)]
pub(crate) struct Scope {
    component: Option<Component>,
    uids: BTreeSet<String>,
    /// Kind and name of what belongs to it, for events that name no UID.
    names: BTreeSet<(String, String)>,
    /// The names of what does not belong to it.
    others: BTreeSet<String>,
    /// The UIDs of pods that were asked about once.
    asked: BTreeSet<String>,
}

impl Scope {
    /// Everything if nothing is named.
    pub(crate) fn find(kf: &Kf, words: Option<&str>) -> Result<Self> {
        let mut scope = Self::default();
        let Some(words) = words else { return Ok(scope) };
        let component = Component::find(kf, words)?;
        scope.add(&component.object);
        scope.component = Some(component.clone());
        let mut parts = parts(kf)?;
        // A pod's owner is a job, whose owner is a job set, whose owner is a training job.
        for _ in 0..DEEPEST {
            let (owned, rest): (Vec<_>, Vec<_>) = parts.into_iter().partition(|part| scope.owns(part));
            parts = rest;
            if owned.is_empty() {
                break;
            }
            owned.iter().for_each(|part| scope.add(part));
        }
        // Who may not see what is between them finds the pods by their labels.
        for pod in component.pods(kf).unwrap_or_default() {
            scope.add(&pod);
        }
        let others = parts.iter().filter(|part| !scope.has(part)).map(|part| part.name().to_owned());
        scope.others = others.collect();
        Ok(scope)
    }

    /// Whether an event is about it.
    pub(crate) fn holds(&self, event: &Object) -> bool {
        let Some(component) = &self.component else { return true };
        let text = |pointer: &str| event.str(pointer).unwrap_or_default();
        let (kind, name) = (text("/involvedObject/kind"), text("/involvedObject/name"));
        match text("/involvedObject/uid") {
            "" => self.names.contains(&(kind.to_owned(), name.to_owned())),
            uid if self.uids.contains(uid) => true,
            _ => {
                // What is gone by now, such as a pod that was made anew, is known by its name.
                let made = ["Pod", "Job", "JobSet", "ReplicaSet"].contains(&kind);
                let its_own = self.is_called_after(&component.name, name) || self.is_unseen_part(kind, name);
                made && is_later(event, &component.object) && its_own
            }
        }
    }

    /// `mnist-node-0-0` is called after `mnist`, but not if there is a `mnist-node`.
    fn is_called_after(&self, own: &str, name: &str) -> bool {
        let after = |of: &str| name.strip_prefix(of).is_some_and(|rest| rest.starts_with('-'));
        let nearer = |other: &String| other.len() > own.len() && (after(other) || other.as_str() == name);
        after(own) && !self.others.iter().any(nearer)
    }

    /// Whether an event is about a pod that could be a new one of its own. Each is asked about once.
    pub(crate) fn may_be_its_own(&mut self, event: &Object) -> bool {
        let is_pod = event.str("/involvedObject/kind") == Some("Pod");
        let uid = event.str("/involvedObject/uid").unwrap_or_default();
        self.component.is_some() && is_pod && !self.holds(event) && self.asked.insert(uid.to_owned())
    }

    /// Learns of the pods that appeared while watching.
    pub(crate) fn learn(&mut self, kf: &Kf) {
        if let Some(component) = &self.component {
            for pod in component.pods(kf).unwrap_or_default() {
                self.add(&pod);
            }
        }
    }

    pub(crate) fn nothing(&self, kf: &Kf, events: &Events) -> String {
        let (what, window) = (events.none(), events.window());
        match &self.component {
            Some(component) => format!("{what} of {component}{window}"),
            None => format!("{what} in {}{window}", kf.namespace()),
        }
    }

    fn owns(&self, object: &Object) -> bool {
        let text = |owner: &Value, field: &str| {
            owner.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        object.list("/metadata/ownerReferences").iter().any(|owner| {
            self.uids.contains(&text(owner, "uid"))
                || self.is_unseen_part(&text(owner, "kind"), &text(owner, "name"))
        })
    }

    /// A training job's job set has its name. Many users may not see job sets.
    fn is_unseen_part(&self, kind: &str, name: &str) -> bool {
        self.component
            .as_ref()
            .is_some_and(|it| it.kind == ComponentKind::TrainJob && kind == "JobSet" && name == it.name)
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

/// All objects of which a component may be made, as far as they are served and can be listed.
fn parts(kf: &Kf) -> Result<Vec<Object>> {
    let replica_sets = [("replica sets", Kind::new("apps", "ReplicaSet"))];
    let known = ComponentKind::ALL.into_iter().map(|kind| (kind.plural(), kind.kind()));
    let (names, kinds): (Vec<_>, Vec<_>) = known.chain(replica_sets).unzip();
    let mut left_out = LeftOut::default();
    let mut parts = Vec::new();
    for (name, listed) in names.into_iter().zip(kf.list_many(&kinds)) {
        let listed = left_out.take_readable(name, listed)?;
        parts.extend(listed.into_iter().flat_map(|listed| listed.items));
    }
    left_out.tell(kf);
    Ok(parts)
}
