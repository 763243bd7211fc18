use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Events, PodState, pod_state};

use crate::server::Server;
use crate::{NOTEBOOK_LABEL, WORKSPACE_LABEL};

const SETS: &str = "stateful sets";

/// The pods and stateful sets of servers, and warnings about them.
#[derive(Clone, Debug, Default)]
pub struct Snapshot {
    pub pods: Vec<Object>,
    /// `None` without permission to list them, or if they cannot be read.
    pub sets: Option<Vec<Object>>,
    pub events: Events,
}

impl Snapshot {
    /// Reads those of every server in the namespace.
    pub fn read_all(kf: &Kf) -> Result<Self> {
        let mut pods = Vec::new();
        for label in [NOTEBOOK_LABEL, WORKSPACE_LABEL] {
            let found = kf.api("Pod").labels(label).list()?;
            pods.extend(found.into_iter().filter(|pod| pod.label(label).is_some()));
        }
        let sets = Skipped::optional(kf, SETS, kf.api("apps/StatefulSet").list())?;
        Ok(Self { pods, sets, events: Events::read(kf)? })
    }

    /// Reads those of one server.
    pub fn of(kf: &Kf, server: &Server) -> Result<Self> {
        let pods = server.component.pod_selection(kf).list()?;
        let sets = kf.api("apps/StatefulSet");
        let sets = match server.is_notebook() {
            true => sets.fields(format!("metadata.name={}", server.name())).list(),
            false => sets.labels(format!("{WORKSPACE_LABEL}={}", server.name())).list(),
        };
        Ok(Self { pods, sets: Skipped::optional(kf, SETS, sets)?, events: Events::read(kf)? })
    }

    /// The stateful set that the controller created for a server.
    pub(crate) fn set(&self, server: &Server) -> Option<&Object> {
        let uid = server.object().uid();
        self.sets.as_deref()?.iter().find(|set| owned_by(set, uid))
    }

    /// The server's pod. After a restart, the old one may still be terminating next to the new one.
    pub(crate) fn pod(&self, server: &Server) -> Option<&Object> {
        let own = self.labeled_pods(server).filter(|pod| self.owns(server, pod));
        own.min_by_key(|pod| (pod_state(pod) == PodState::Terminating, std::cmp::Reverse(pod.created())))
    }

    /// A pod of a deleted server of the same name that has not terminated yet.
    pub(crate) fn leftover_pod(&self, server: &Server) -> Option<&Object> {
        self.labeled_pods(server).find(|pod| !self.owns(server, pod))
    }

    fn labeled_pods(&self, server: &Server) -> impl Iterator<Item = &Object> {
        let (label, name) = (server.label(), server.name().to_owned());
        self.pods.iter().filter(move |pod| pod.label(label) == Some(name.as_str()))
    }

    /// Whether a pod belongs to the server: by its owners, or by age without permission to list stateful sets.
    fn owns(&self, server: &Server, pod: &Object) -> bool {
        match (&self.sets, self.set(server)) {
            (None, _) => server.component.owns(pod),
            (Some(_), None) => false,
            (Some(_), Some(set)) => owned_by(pod, set.uid()),
        }
    }
}

fn owned_by(object: &Object, uid: Option<&str>) -> bool {
    let owners = object.list("/metadata/ownerReferences");
    owners.iter().any(|owner| uid.is_some() && owner.get("uid").and_then(serde_json::Value::as_str) == uid)
}
