//! A service and its objects, kept up to date by watches.

use kf_plugin_sdk::Pollable;
use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Events;

use crate::predictor::{self, SERVICE_LABEL};
use crate::rollout::View;

/// A service that is watched.
pub(crate) struct WatchedService {
    name: String,
    services: Mirror,
    deployments: Mirror,
    replica_sets: Mirror,
    pods: Mirror,
    events: Events,
}

impl WatchedService {
    pub(crate) fn open(kf: &Kf, name: &str) -> Result<Self> {
        let mirror_of = |kind: Kind| Mirror::open(kf, kf.api(kind).labels(format!("{SERVICE_LABEL}={name}")));
        Ok(Self {
            name: name.to_owned(),
            services: Mirror::open(kf, kf.api(predictor::kind()).fields(format!("metadata.name={name}")))?,
            deployments: mirror_of(Kind::new("apps", "Deployment"))?,
            replica_sets: mirror_of(Kind::new("apps", "ReplicaSet"))?,
            pods: mirror_of("Pod".into())?,
            events: events(kf),
        })
    }

    /// The current state; `None` once the service is deleted.
    pub(crate) fn view<'a>(&'a self, outdated: Option<&'a str>, settled: bool) -> Option<View<'a>> {
        Some(View {
            service: self.services.get(&self.name)?,
            deployments: self.deployments.objects().collect(),
            replica_sets: self.replica_sets.objects().collect(),
            pods: self.pods.objects().collect(),
            events: &self.events,
            outdated,
            settled,
        })
    }

    /// The error of a watch that is disconnected, if one is.
    pub(crate) fn lost(&self) -> Option<&Error> {
        let mut mirrors = [&self.services, &self.deployments, &self.replica_sets, &self.pods].into_iter();
        mirrors.find_map(Mirror::lost)
    }

    pub(crate) fn pod(&self, name: &str) -> Option<&Object> {
        self.pods.get(name)
    }

    /// Blocks until something has changed, or one of `others` is ready; returns those that are.
    pub(crate) fn wait(&mut self, kf: &Kf, others: &[&Pollable]) -> Result<Vec<usize>> {
        let mirrors = [&mut self.services, &mut self.deployments, &mut self.replica_sets, &mut self.pods];
        let streams: Vec<_> = mirrors.iter().map(|mirror| mirror.subscribe()).collect();
        let all: Vec<_> = others.iter().copied().chain(&streams).collect();
        let ready = kf.wait(&all);
        for (index, mirror) in mirrors.into_iter().enumerate() {
            if ready.contains(&(others.len() + index)) {
                mirror.take()?;
            }
        }
        Ok(ready.into_iter().filter(|index| *index < others.len()).collect())
    }

    /// Reads events again. They are not watched: they only add details.
    pub(crate) fn read_events(&mut self, kf: &Kf) {
        self.events = events(kf);
    }
}

fn events(kf: &Kf) -> Events {
    Events::read(kf).unwrap_or_default()
}
