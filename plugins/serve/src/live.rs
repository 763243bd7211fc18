//! A service and what stands below it, kept up to date by watches.

use std::collections::BTreeMap;

use kf_plugin_sdk::objects::Watch;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Events;
use kf_plugin_sdk::{Api, Pollable};

use crate::predictor::{self, SERVICE_LABEL};
use crate::rollout::View;

/// The objects of one selection.
struct Live {
    api: Api,
    watch: Watch,
    objects: BTreeMap<String, Object>,
}

impl Live {
    fn open(api: Api) -> Result<Self> {
        let (objects, watch) = api.list_and_watch()?;
        let objects = objects.into_iter().map(|object| (object.name().to_owned(), object)).collect();
        Ok(Self { api, watch, objects })
    }

    /// Takes what has changed; a watch that has ended is opened anew.
    fn take(&mut self) -> Result<()> {
        let events = match self.watch.next() {
            Err(error) if error.is(ErrorCode::Expired) => Vec::new(),
            other => other?,
        };
        if events.is_empty() {
            *self = Self::open(self.api.clone())?;
        }
        for event in events {
            let name = event.object.name().to_owned();
            match event.kind {
                EventKind::Deleted => drop(self.objects.remove(&name)),
                EventKind::Added | EventKind::Modified => drop(self.objects.insert(name, event.object)),
            }
        }
        Ok(())
    }

    fn all(&self) -> Vec<&Object> {
        self.objects.values().collect()
    }
}

/// One service, live.
pub(crate) struct Scene {
    name: String,
    services: Live,
    deployments: Live,
    replica_sets: Live,
    pods: Live,
    events: Events,
}

impl Scene {
    pub(crate) fn open(kf: &Kf, name: &str) -> Result<Self> {
        let below = |kind: Kind| Live::open(kf.api(kind).labels(format!("{SERVICE_LABEL}={name}")));
        Ok(Self {
            name: name.to_owned(),
            services: Live::open(kf.api(predictor::kind()).fields(format!("metadata.name={name}")))?,
            deployments: below(Kind::new("apps", "Deployment"))?,
            replica_sets: below(Kind::new("apps", "ReplicaSet"))?,
            pods: below("Pod".into())?,
            events: events(kf),
        })
    }

    /// As it is now; none once the service is gone.
    pub(crate) fn view<'a>(&'a self, outdated: Option<&'a str>, settled: bool) -> Option<View<'a>> {
        Some(View {
            service: self.services.objects.get(&self.name)?,
            deployments: self.deployments.all(),
            replica_sets: self.replica_sets.all(),
            pods: self.pods.all(),
            events: &self.events,
            outdated,
            settled,
        })
    }

    pub(crate) fn pod(&self, name: &str) -> Option<&Object> {
        self.pods.objects.get(name)
    }

    /// Blocks until something has changed, or one of the others is ready: those of them that are.
    pub(crate) fn wait(&mut self, kf: &Kf, others: &[&Pollable]) -> Result<Vec<usize>> {
        let lives = [&mut self.services, &mut self.deployments, &mut self.replica_sets, &mut self.pods];
        let streams: Vec<_> = lives.iter().map(|live| live.watch.subscribe()).collect();
        let all: Vec<_> = others.iter().copied().chain(&streams).collect();
        let ready = kf.wait(&all);
        for (index, live) in lives.into_iter().enumerate() {
            if ready.contains(&(others.len() + index)) {
                live.take()?;
            }
        }
        Ok(ready.into_iter().filter(|index| *index < others.len()).collect())
    }

    /// Events have no watch here: they only add words to what the pods say.
    pub(crate) fn read_events(&mut self, kf: &Kf) {
        self.events = events(kf);
    }
}

fn events(kf: &Kf) -> Events {
    Events::read(kf).unwrap_or_default()
}
