//! The current objects of a namespace.

use std::collections::BTreeMap;

use kf_plugin_sdk::objects::Listed;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Events, WorkloadKind, is_own_experiment, own_experiments};

/// Kind and name.
pub(crate) type Key = (String, String);

/// What is read, and kept up to date while watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Workload(WorkloadKind),
    /// The workloads of Kueue, for queue positions.
    Queue,
    Warnings,
}

/// The required source.
pub(crate) const PODS: Source = Source::Workload(WorkloadKind::Pod);

impl Source {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Self::Warnings, Self::Queue].into_iter().chain(WorkloadKind::ALL.into_iter().map(Self::Workload))
    }

    pub(crate) fn api(self, kf: &Kf) -> Api {
        match self {
            Self::Workload(kind) => kf.api(kind.kind()),
            Self::Queue => kf.api("kueue.x-k8s.io/Workload"),
            Self::Warnings => kf.api("Event").fields("type=Warning"),
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Workload(kind) => kind.plural(),
            Self::Queue => "Kueue workloads",
            Self::Warnings => "events",
        }
    }
}

/// The objects of a namespace.
#[derive(Default)]
pub(crate) struct Snapshot {
    pub(crate) workloads: BTreeMap<Key, Object>,
    pub(crate) pods: BTreeMap<String, Object>,
    pub(crate) queue: BTreeMap<String, Object>,
    pub(crate) events: Events,
    /// Kinds that the user is not allowed to list.
    omitted: Vec<WorkloadKind>,
    /// Kinds that cannot be read.
    pub(crate) left_out: Skipped,
}

impl Snapshot {
    /// Reads everything once. Kinds that the cluster does not serve are ignored; forbidden and broken kinds are skipped and
    /// recorded.
    pub(crate) fn read(kf: &Kf) -> Result<Self> {
        let mut snapshot = Self::default();
        snapshot.read_sources(kf)?;
        Ok(snapshot)
    }

    /// Reads all sources at once and stores those that are served, allowed and not broken.
    fn read_sources(&mut self, kf: &Kf) -> Result<()> {
        for (source, listed) in self.list(kf, |source| source.api(kf))? {
            if let Ok(listed) = listed {
                self.replace(source, listed.items);
            }
        }
        Ok(())
    }

    /// Lists all sources at once, with the calls of `api`. Broken sources are returned as errors. Only skipped kinds are
    /// stored.
    pub(crate) fn list(
        &mut self,
        kf: &Kf,
        api: impl Fn(Source) -> Api,
    ) -> Result<Vec<(Source, Result<Listed>)>> {
        let sources: Vec<_> = Source::all().collect();
        let asked: Vec<_> = sources.iter().map(|source| api(*source)).collect();
        let mut found = Vec::new();
        for (source, answer) in sources.into_iter().zip(kf.list_selections(&asked)) {
            let broken = answer.as_ref().err().filter(|error| error.is_partial()).cloned();
            match (self.permitted(source, answer)?, broken) {
                (Some(listed), _) => found.push((source, Ok(listed))),
                (None, Some(error)) => found.push((source, Err(error))),
                (None, None) => {}
            }
        }
        Ok(found)
    }

    /// `None` if a kind is not served, not allowed or broken; the last two are recorded. For the required pods these are
    /// errors.
    pub(crate) fn permitted<T>(&mut self, source: Source, answer: Result<T>) -> Result<Option<T>> {
        match (answer, source) {
            (Err(error), source) if error.is(ErrorCode::Forbidden) && source != PODS => {
                if let Source::Workload(kind) = source
                    && !self.omitted.contains(&kind)
                {
                    self.omitted.push(kind);
                }
                Ok(None)
            }
            (other, PODS) => other.optional(),
            (other, source) => self.left_out.take(source.plural(), other),
        }
    }

    /// Replaces all objects of a source.
    pub(crate) fn replace(&mut self, source: Source, objects: Vec<Object>) {
        match source {
            Source::Workload(WorkloadKind::Pod) => self.pods.clear(),
            Source::Workload(kind) => {
                let replaced = kind.kind().kind;
                self.workloads.retain(|(kind, _), _| *kind != replaced);
            }
            Source::Queue => self.queue.clear(),
            Source::Warnings => self.events = Events::default(),
        }
        for object in objects {
            self.insert(source, object);
        }
        self.gather_own_experiments(source);
    }

    /// Adds or replaces an object.
    pub(crate) fn put(&mut self, source: Source, object: Object) {
        self.insert(source, object);
        self.gather_own_experiments(source);
    }

    fn insert(&mut self, source: Source, object: Object) {
        let name = object.name().to_owned();
        match source {
            Source::Workload(WorkloadKind::Pod) => {
                self.pods.insert(name, object);
            }
            Source::Workload(kind) => {
                self.workloads.insert((kind.kind().kind, name), object);
            }
            Source::Queue => {
                self.queue.insert(name, object);
            }
            Source::Warnings => self.events.note(&object),
        }
    }

    pub(crate) fn remove(&mut self, source: Source, name: &str) {
        match source {
            Source::Workload(WorkloadKind::Pod) => {
                self.pods.remove(name);
            }
            Source::Workload(kind) => {
                self.workloads.remove(&(kind.kind().kind, name.to_owned()));
            }
            Source::Queue => {
                self.queue.remove(name);
            }
            // Events are deleted after an hour, but may still be the latest reason.
            Source::Warnings => {}
        }
        self.gather_own_experiments(source);
    }

    /// Reports the skipped kinds: broken ones, and with `-o wide` also forbidden ones. Most users are not allowed to list
    /// some kind, and do not need it.
    pub(crate) fn report_omissions(&self, kf: &Kf) {
        self.left_out.tell(kf);
        if let Some(omitted) = self.omissions().filter(|_| kf.output_format() == Format::Wide) {
            kf.note(format!("skipped (no permission to list): {omitted}"));
        }
    }

    /// Adds the experiments that `kf tune` runs itself. They are built from their trials, unless an object has their
    /// name.
    fn gather_own_experiments(&mut self, changed: Source) {
        if !matches!(changed, Source::Workload(WorkloadKind::TrainJob | WorkloadKind::Experiment)) {
            return;
        }
        self.workloads.retain(|_, object| !is_own_experiment(object));
        let own = own_experiments(self.workloads.values().filter(|object| object.kind() == "TrainJob"));
        for experiment in own {
            let key = (experiment.kind().to_owned(), experiment.name().to_owned());
            self.workloads.entry(key).or_insert(experiment);
        }
    }

    /// The kinds that the user is not allowed to list, such as `notebooks, workspaces`.
    pub(crate) fn omissions(&self) -> Option<String> {
        let mut omitted = self.omitted.clone();
        omitted.retain(|kind| *kind != WorkloadKind::JobSet || self.has_job_sets_of_its_own());
        let omitted: Vec<_> = omitted.into_iter().map(WorkloadKind::plural).collect();
        (!omitted.is_empty()).then(|| omitted.join(", "))
    }

    /// Whether a pod belongs to a job set without a training job. Most users of training jobs are not allowed to list job
    /// sets, and do not need to.
    fn has_job_sets_of_its_own(&self) -> bool {
        let job_sets = self.pods.values().filter_map(|pod| pod.label("jobset.sigs.k8s.io/jobset-name"));
        let mut names = job_sets.map(|name| ("TrainJob".to_owned(), name.to_owned()));
        names.any(|key| !self.workloads.contains_key(&key))
    }
}
