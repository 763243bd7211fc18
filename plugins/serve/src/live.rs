//! A service and what stands below it, kept up to date by watches.

use kf_plugin_sdk::Pollable;
use kf_plugin_sdk::objects::Mirror;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Events;

use crate::predictor::{self, SERVICE_LABEL};
use crate::rollout::View;

/// One service, live.
pub(crate) struct Scene {
    name: String,
    services: Mirror,
    deployments: Mirror,
    replica_sets: Mirror,
    pods: Mirror,
    events: Events,
}

impl Scene {
    pub(crate) fn open(kf: &Kf, name: &str) -> Result<Self> {
        let below = |kind: Kind| Mirror::open(kf, kf.api(kind).labels(format!("{SERVICE_LABEL}={name}")));
        Ok(Self {
            name: name.to_owned(),
            services: Mirror::open(kf, kf.api(predictor::kind()).fields(format!("metadata.name={name}")))?,
            deployments: below(Kind::new("apps", "Deployment"))?,
            replica_sets: below(Kind::new("apps", "ReplicaSet"))?,
            pods: below("Pod".into())?,
            events: events(kf),
        })
    }

    /// As it is now; none once the service is gone.
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

    /// Why the server cannot be asked at the moment; none while all is well.
    pub(crate) fn lost(&self) -> Option<&Error> {
        let mut lives = [&self.services, &self.deployments, &self.replica_sets, &self.pods].into_iter();
        lives.find_map(Mirror::lost)
    }

    pub(crate) fn pod(&self, name: &str) -> Option<&Object> {
        self.pods.get(name)
    }

    /// Blocks until something has changed, or one of the others is ready: those of them that are.
    pub(crate) fn wait(&mut self, kf: &Kf, others: &[&Pollable]) -> Result<Vec<usize>> {
        let lives = [&mut self.services, &mut self.deployments, &mut self.replica_sets, &mut self.pods];
        let streams: Vec<_> = lives.iter().map(|live| live.subscribe()).collect();
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
