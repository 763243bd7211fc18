//! Deletes a workload and waits until it is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use kf_plugin_sdk::abi::{DeleteOptions, Propagation};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Workload, WorkloadKind};
use serde_json::Value;

use crate::plan::Plan;

const POLL_INTERVAL: Duration = Duration::from_millis(500);

pub(crate) struct Target {
    /// As on the command line.
    pub(crate) argument: String,
    pub(crate) component: Workload,
    pub(crate) plan: Plan,
    /// The objects to delete: the workload itself, or the trials of an experiment that `kf tune` runs.
    objects: Vec<Object>,
    kind: WorkloadKind,
    propagation: Propagation,
}

impl Target {
    pub(crate) fn new(kf: &Kf, argument: &str, component: Workload, keep_pods: bool) -> Result<Self> {
        let plan = Plan::of(kf, &component)?;
        let (kind, objects) = if component.is_own_experiment() {
            (WorkloadKind::TrainJob, component.selection(kf).list()?)
        } else {
            (component.kind, vec![component.object.clone()])
        };
        let propagation = match keep_pods {
            true => Propagation::Orphan,
            // In the foreground it would wait forever for its recreated dependents.
            false if kind.is_recreated_while_deleted() => Propagation::Background,
            false => Propagation::Foreground,
        };
        Ok(Self { argument: argument.to_owned(), component, plan, objects, kind, propagation })
    }

    pub(crate) fn delete(&self, kf: &Kf) -> Result<()> {
        self.objects.iter().try_for_each(|object| self.delete_object(kf, object, false))
    }

    /// Checks the permission before the user is asked. Other errors are ignored: not every webhook supports dry runs.
    pub(crate) fn check_permission(&self, kf: &Kf) -> Result<()> {
        for object in &self.objects {
            if let Err(error) = self.delete_object(kf, object, true)
                && error.is(ErrorCode::Forbidden)
            {
                return Err(error);
            }
        }
        Ok(())
    }

    fn delete_object(&self, kf: &Kf, object: &Object, dry_run: bool) -> Result<()> {
        let options = DeleteOptions {
            dry_run,
            propagation: self.propagation,
            // Only this object, not a new one of the same name.
            uid: object.uid().map(str::to_owned),
            ..DeleteOptions::default()
        };
        kf.api(self.kind.kind()).delete_with(object.name(), &options)
    }

    /// Waits until the objects and their pods are gone. Deleted in the foreground, an object exists until its pods have
    /// ended; in the background they outlive it. A new object of the same name is ignored.
    pub(crate) fn wait_until_gone(&self, kf: &Kf, limit: Duration) -> Result<()> {
        let component = &self.component;
        let start = kf.now();
        let progress = kf.progress(&format!("removing {component}"));
        loop {
            let remaining = self.remaining(kf)?;
            let pods = match self.propagation {
                Propagation::Orphan => 0,
                Propagation::Foreground if remaining.is_none() => 0,
                _ => self.remaining_pods(kf)?,
            };
            if remaining.is_none() && pods == 0 {
                return Ok(());
            }
            let waited = start.age(kf.now());
            let what = match (pods, &remaining) {
                (0, Some(object)) => blocked_by(object),
                (0, None) => "its dependents are being deleted".to_owned(),
                (1, _) => "1 pod is terminating".to_owned(),
                _ => format!("{pods} pods are terminating"),
            };
            if waited >= limit {
                let message = format!("{component} still exists after {}: {what}", short_duration(waited));
                return Err(Error::timed_out(message).hint(format!("kf status {component}")));
            }
            progress.say(&format!("removing {component}: {what}, {}", short_duration(waited)));
            kf.sleep(POLL_INTERVAL);
        }
    }

    /// A deleted object that still exists.
    fn remaining(&self, kf: &Kf) -> Result<Option<Object>> {
        let api = kf.api(self.kind.kind());
        for object in &self.objects {
            if let Some(now) = api.find(object.name())?.filter(|now| now.uid() == object.uid()) {
                return Ok(Some(now));
            }
        }
        Ok(None)
    }

    /// How many pods of the removed workload still exist. Pods of a new one are ignored.
    fn remaining_pods(&self, kf: &Kf) -> Result<usize> {
        let pods = self.component.pods(kf)?;
        let known: BTreeSet<_> = self.plan.pods.iter().map(String::as_str).collect();
        let is_ours =
            |pod: &&Object| known.contains(pod.name()) || pod.str("/metadata/deletionTimestamp").is_some();
        Ok(pods.iter().filter(is_ours).count())
    }
}

/// What blocks the deletion of an object.
fn blocked_by(object: &Object) -> String {
    let finalizers: Vec<_> = object
        .list("/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
        .filter(|finalizer| *finalizer != "foregroundDeletion")
        .collect();
    if finalizers.is_empty() {
        "its dependents are being deleted".to_owned()
    } else {
        format!("waiting for finalizer {}", finalizers.join(", "))
    }
}
