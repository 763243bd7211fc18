//! The namespace as it is now.

use std::collections::BTreeMap;

use kf_plugin_sdk::objects::Listed;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{ComponentKind, Events, is_own_experiment, own_experiments};

/// Kind and name.
pub(crate) type Key = (String, String);

/// What is read, and kept up to date while watching.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    Component(ComponentKind),
    /// Kueue's word on what waits in a queue.
    Queue,
    Warnings,
}

/// Without pods nothing can be said about anything.
pub(crate) const PODS: Source = Source::Component(ComponentKind::Pod);

impl Source {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [Self::Warnings, Self::Queue].into_iter().chain(ComponentKind::ALL.into_iter().map(Self::Component))
    }

    pub(crate) fn api(self, kf: &Kf) -> Api {
        match self {
            Self::Component(kind) => kf.api(kind.kind()),
            Self::Queue => kf.api("kueue.x-k8s.io/Workload"),
            Self::Warnings => kf.api("Event").fields("type=Warning"),
        }
    }

    pub(crate) fn plural(self) -> &'static str {
        match self {
            Self::Component(kind) => kind.plural(),
            Self::Queue => "workloads of Kueue",
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
    /// What the user may not list.
    omitted: Vec<ComponentKind>,
    /// What cannot be read now.
    pub(crate) left_out: LeftOut,
}

impl Snapshot {
    /// Reads everything once. Kinds the cluster does not serve are not there; kinds the user may
    /// not list and kinds that are broken are left out and remembered.
    pub(crate) fn read(kf: &Kf) -> Result<Self> {
        let mut snapshot = Self::default();
        snapshot.read_sources(kf)?;
        Ok(snapshot)
    }

    /// Reads all sources at once, and takes in those that are served, allowed and not broken.
    fn read_sources(&mut self, kf: &Kf) -> Result<()> {
        for (source, listed) in self.list(kf, |source| source.api(kf))? {
            if let Ok(listed) = listed {
                self.replace(source, listed.items);
            }
        }
        Ok(())
    }

    /// Lists all sources at once, each as `api` says; of those that are broken, how. Nothing is taken in but what is left
    /// out.
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

    /// None for what is not served, not allowed or broken; the last two are remembered. Without pods
    /// nothing can be said about anything, so their no is the command's.
    pub(crate) fn permitted<T>(&mut self, source: Source, answer: Result<T>) -> Result<Option<T>> {
        match (answer, source) {
            (Err(error), source) if error.is(ErrorCode::Forbidden) && source != PODS => {
                if let Source::Component(kind) = source
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

    /// Takes in all objects of a source, in place of those it had.
    pub(crate) fn replace(&mut self, source: Source, objects: Vec<Object>) {
        match source {
            Source::Component(ComponentKind::Pod) => self.pods.clear(),
            Source::Component(kind) => {
                let gone = kind.kind().kind;
                self.workloads.retain(|(kind, _), _| *kind != gone);
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
            Source::Component(ComponentKind::Pod) => {
                self.pods.insert(name, object);
            }
            Source::Component(kind) => {
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
            Source::Component(ComponentKind::Pod) => {
                self.pods.remove(name);
            }
            Source::Component(kind) => {
                self.workloads.remove(&(kind.kind().kind, name.to_owned()));
            }
            Source::Queue => {
                self.queue.remove(name);
            }
            // An event is deleted when it is an hour old; it may still be the latest word.
            Source::Warnings => {}
        }
        self.gather_own_experiments(source);
    }

    /// Says what is missing from the picture: what is broken, and with `-o wide` what the user may not list. Most people
    /// may not list one kind or another, and miss nothing.
    pub(crate) fn tell_omissions(&self, kf: &Kf) {
        self.left_out.tell(kf);
        if let Some(omitted) = self.omissions().filter(|_| kf.output_format() == Format::Wide) {
            kf.note(format!("you may not list {omitted} here"));
        }
    }

    /// Puts in the experiments that `kf tune` runs itself, where no object has their name: they are made of their
    /// trials.
    fn gather_own_experiments(&mut self, changed: Source) {
        if !matches!(changed, Source::Component(ComponentKind::TrainJob | ComponentKind::Experiment)) {
            return;
        }
        self.workloads.retain(|_, object| !is_own_experiment(object));
        let own = own_experiments(self.workloads.values().filter(|object| object.kind() == "TrainJob"));
        for experiment in own {
            let key = (experiment.kind().to_owned(), experiment.name().to_owned());
            self.workloads.entry(key).or_insert(experiment);
        }
    }

    /// What is missing from the picture because the user may not list it, such as `notebooks, workspaces`.
    pub(crate) fn omissions(&self) -> Option<String> {
        let mut omitted = self.omitted.clone();
        omitted.retain(|kind| *kind != ComponentKind::JobSet || self.has_job_sets_of_its_own());
        let omitted: Vec<_> = omitted.into_iter().map(ComponentKind::plural).collect();
        (!omitted.is_empty()).then(|| omitted.join(", "))
    }

    /// Whether a pod belongs to a job set that is no training job's. Ordinary users of training jobs
    /// may not list job sets, and miss nothing.
    fn has_job_sets_of_its_own(&self) -> bool {
        let job_sets = self.pods.values().filter_map(|pod| pod.label("jobset.sigs.k8s.io/jobset-name"));
        let mut names = job_sets.map(|name| ("TrainJob".to_owned(), name.to_owned()));
        names.any(|key| !self.workloads.contains_key(&key))
    }
}
