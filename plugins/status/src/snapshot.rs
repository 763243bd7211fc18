//! The namespace as it is now.

use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Events;

/// What is read: the kind, and the plural for people. The order is the order of the table.
pub(crate) const KINDS: [(&str, &str, &str); 7] = [
    ("trainer.kubeflow.org", "TrainJob", "training jobs"),
    ("jobset.x-k8s.io", "JobSet", JOB_SETS),
    ("batch", "Job", "jobs"),
    ("kubeflow.org", "Notebook", "notebooks"),
    ("serving.kserve.io", "InferenceService", "inference services"),
    ("apps", "Deployment", "deployments"),
    ("apps", "StatefulSet", "stateful sets"),
];

const JOB_SETS: &str = "job sets";

/// Kind and name.
pub(crate) type Key = (String, String);

/// The objects of a namespace.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) workloads: BTreeMap<Key, Object>,
    pub(crate) pods: BTreeMap<String, Object>,
    pub(crate) events: Events,
    /// What the user may not list.
    pub(crate) omitted: Vec<&'static str>,
}

impl Snapshot {
    /// Reads everything once. Kinds the cluster does not serve are not there; kinds the user may
    /// not list are left out and remembered.
    pub(crate) fn read(kf: &Kf) -> Result<Self> {
        let mut snapshot = Self { events: Events::read(kf)?, ..Self::default() };
        for (group, kind, plural) in KINDS {
            let objects = allowed(kf.api(Kind::new(group, kind)).list(), plural, &mut snapshot.omitted)?;
            for object in objects.unwrap_or_default() {
                snapshot.put(kind, object);
            }
        }
        // Without pods nothing can be said about anything, so their no is the command's.
        for pod in kf.api("Pod").list()? {
            snapshot.put("Pod", pod);
        }
        Ok(snapshot)
    }

    /// Adds or replaces an object.
    pub(crate) fn put(&mut self, kind: &str, object: Object) {
        let name = object.name().to_owned();
        match kind {
            "Pod" => self.pods.insert(name, object),
            _ => self.workloads.insert((kind.to_owned(), name), object),
        };
    }

    pub(crate) fn remove(&mut self, kind: &str, name: &str) {
        match kind {
            "Pod" => self.pods.remove(name),
            _ => self.workloads.remove(&(kind.to_owned(), name.to_owned())),
        };
    }

    /// Forgets all objects of a kind, before they are read anew.
    pub(crate) fn forget(&mut self, kind: &str) {
        match kind {
            "Pod" => self.pods.clear(),
            _ => self.workloads.retain(|(of, _), _| of != kind),
        }
    }

    /// Says once what is missing from the picture.
    pub(crate) fn tell_omissions(&self, kf: &Kf) {
        let mut omitted = self.omitted.clone();
        omitted.retain(|plural| *plural != JOB_SETS || self.has_job_sets_of_its_own());
        if !omitted.is_empty() {
            kf.note(format!("left out, for you may not list them here: {}", omitted.join(", ")));
        }
    }

    /// Whether a pod belongs to a job set that is no training job's. Ordinary users of training jobs
    /// may not list job sets, and miss nothing.
    fn has_job_sets_of_its_own(&self) -> bool {
        let job_sets = self.pods.values().filter_map(|pod| pod.label("jobset.sigs.k8s.io/jobset-name"));
        let mut names = job_sets.map(|name| ("TrainJob".to_owned(), name.to_owned()));
        names.any(|key| !self.workloads.contains_key(&key))
    }
}

/// None for what is not served or not allowed; the latter is remembered.
pub(crate) fn allowed<T>(
    answer: Result<T>,
    plural: &'static str,
    omitted: &mut Vec<&'static str>,
) -> Result<Option<T>> {
    match answer {
        Err(error) if error.is(ErrorCode::Forbidden) => {
            if !omitted.contains(&plural) {
                omitted.push(plural);
            }
            Ok(None)
        }
        other => other.optional(),
    }
}
