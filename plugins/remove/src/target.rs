//! A component to remove: deleting it, and waiting until it is gone.

use std::collections::BTreeSet;
use std::time::Duration;

use kf_plugin_sdk::border::{DeleteOptions, Propagation};
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::short_duration;
use kf_plugin_sdk::workloads::{Component, ComponentKind};
use serde_json::Value;

use crate::plan::Plan;

const PAUSE: Duration = Duration::from_millis(500);

pub(crate) struct Target {
    /// As it was typed.
    pub(crate) words: String,
    pub(crate) component: Component,
    pub(crate) plan: Plan,
    /// What is deleted: the object itself, or the trials of an experiment that `kf tune` runs.
    objects: Vec<Object>,
    kind: ComponentKind,
    propagation: Propagation,
}

impl Target {
    pub(crate) fn new(kf: &Kf, words: &str, component: Component, keep_pods: bool) -> Result<Self> {
        let plan = Plan::of(kf, &component)?;
        let (kind, objects) = if component.is_own_experiment() {
            (ComponentKind::TrainJob, component.itself(kf).list()?)
        } else {
            (component.kind, vec![component.object.clone()])
        };
        let propagation = match keep_pods {
            true => Propagation::Orphan,
            // What waits for its parts to go would never end.
            false if kind.is_remade_while_deleted() => Propagation::Background,
            false => Propagation::Foreground,
        };
        Ok(Self { words: words.to_owned(), component, plan, objects, kind, propagation })
    }

    pub(crate) fn delete(&self, kf: &Kf) -> Result<()> {
        self.objects.iter().try_for_each(|object| self.delete_object(kf, object, false))
    }

    /// Nobody should be asked only to be refused. Not every webhook can be tried out.
    pub(crate) fn check_permitted(&self, kf: &Kf) -> Result<()> {
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
            // What was looked at, and not another of the same name made in the meantime.
            uid: object.uid().map(str::to_owned),
            ..DeleteOptions::default()
        };
        kf.api(self.kind.kind()).delete_with(object.name(), &options)
    }

    /// Deleted in the foreground, an object stays until its pods have ended; in the background they outlive it. A later
    /// one of the same name is not waited for.
    pub(crate) fn until_gone(&self, kf: &Kf, limit: Duration) -> Result<()> {
        let component = &self.component;
        let start = kf.now();
        let progress = kf.progress(&format!("waiting for {component} to end"));
        loop {
            let left = self.left(kf)?;
            let pods = match self.propagation {
                Propagation::Orphan => 0,
                Propagation::Foreground if left.is_none() => 0,
                _ => self.pods_left(kf)?,
            };
            if left.is_none() && pods == 0 {
                return Ok(());
            }
            let waited = start.age(kf.now());
            let what = match (pods, &left) {
                (0, Some(object)) => held(object),
                (0, None) => "what it made is being deleted".to_owned(),
                (1, _) => "1 of its pods is ending".to_owned(),
                _ => format!("{pods} of its pods are ending"),
            };
            if waited >= limit {
                let message = format!("{component} is still there after {}: {what}", short_duration(waited));
                return Err(Error::timed_out(message).hint(format!("kf status {component}")));
            }
            progress.say(&format!("waiting for {component} to end: {what}, {}", short_duration(waited)));
            kf.sleep(PAUSE);
        }
    }

    /// One of the deleted objects that is still there.
    fn left(&self, kf: &Kf) -> Result<Option<Object>> {
        let api = kf.api(self.kind.kind());
        for object in &self.objects {
            if let Some(now) = api.find(object.name())?.filter(|now| now.uid() == object.uid()) {
                return Ok(Some(now));
            }
        }
        Ok(None)
    }

    /// Pods of the removed component; those of a later one are not waited for.
    fn pods_left(&self, kf: &Kf) -> Result<usize> {
        let pods = self.component.pods(kf)?;
        let known: BTreeSet<_> = self.plan.pods.iter().map(String::as_str).collect();
        let is_leaving =
            |pod: &&Object| known.contains(pod.name()) || pod.str("/metadata/deletionTimestamp").is_some();
        Ok(pods.iter().filter(is_leaving).count())
    }
}

/// Who has yet to let go of it.
fn held(object: &Object) -> String {
    let finalizers: Vec<_> = object
        .list("/metadata/finalizers")
        .iter()
        .filter_map(Value::as_str)
        .filter(|finalizer| *finalizer != "foregroundDeletion")
        .collect();
    if finalizers.is_empty() {
        "what it made is being deleted".to_owned()
    } else {
        format!("finalizer {} holds it", finalizers.join(", "))
    }
}
