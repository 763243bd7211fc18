use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Events, PodState, pod_state};

use crate::server::Server;
use crate::{NOTEBOOK_LABEL, WORKSPACE_LABEL};

const SETS: &str = "stateful sets";

/// What stands between servers and what they do: pods, stateful sets, and warnings about them.
#[derive(Clone, Debug, Default)]
pub struct Scene {
    pub pods: Vec<Object>,
    /// None if the user may not see them, or they cannot be read now.
    pub sets: Option<Vec<Object>>,
    pub events: Events,
}

impl Scene {
    /// Of every server in the namespace.
    pub fn of_all(kf: &Kf) -> Result<Self> {
        let mut pods = Vec::new();
        for label in [NOTEBOOK_LABEL, WORKSPACE_LABEL] {
            let found = kf.api("Pod").labels(label).list()?;
            pods.extend(found.into_iter().filter(|pod| pod.label(label).is_some()));
        }
        let sets = LeftOut::optional(kf, SETS, kf.api("apps/StatefulSet").list())?;
        Ok(Self { pods, sets, events: Events::read(kf)? })
    }

    /// Of one server.
    pub fn of(kf: &Kf, server: &Server) -> Result<Self> {
        let pods = server.component.pod_selection(kf).list()?;
        let sets = kf.api("apps/StatefulSet");
        let sets = match server.is_notebook() {
            true => sets.fields(format!("metadata.name={}", server.name())).list(),
            false => sets.labels(format!("{WORKSPACE_LABEL}={}", server.name())).list(),
        };
        Ok(Self { pods, sets: LeftOut::optional(kf, SETS, sets)?, events: Events::read(kf)? })
    }

    /// The stateful set the controller keeps for a server.
    pub(crate) fn set(&self, server: &Server) -> Option<&Object> {
        let uid = server.object().uid();
        self.sets.as_deref()?.iter().find(|set| owned_by(set, uid))
    }

    /// The server's own pod. After a restart there may be an ending one beside the new one.
    pub(crate) fn pod(&self, server: &Server) -> Option<&Object> {
        let own = self.labelled(server).filter(|pod| self.owns(server, pod));
        own.min_by_key(|pod| (pod_state(pod) == PodState::Terminating, std::cmp::Reverse(pod.created())))
    }

    /// A pod of an earlier server of the same name, which may take its time to end.
    pub(crate) fn left_over(&self, server: &Server) -> Option<&Object> {
        self.labelled(server).find(|pod| !self.owns(server, pod))
    }

    fn labelled(&self, server: &Server) -> impl Iterator<Item = &Object> {
        let (label, name) = (server.label(), server.name().to_owned());
        self.pods.iter().filter(move |pod| pod.label(label) == Some(name.as_str()))
    }

    /// By the chain of owners; by age where the user may not see the link between them.
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
