//! The pod and the container of a component to work in.

use super::{Component, ComponentKind};
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::objects::Object;

/// Which of a component's pods and containers a person means.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceChoice {
    /// A pod by name.
    pub pod: Option<String>,
    /// The pod of a rank, counted from 0.
    pub rank: Option<u32>,
    /// The container that does the work if absent.
    pub container: Option<String>,
}

/// A container of a pod.
#[derive(Clone, Debug)]
pub struct Place {
    pub pod: Object,
    pub container: String,
}

impl Component {
    /// Where to work in it: by default the newest pod that runs, ready ones first.
    pub fn place(&self, kf: &Kf, choice: &PlaceChoice) -> Result<Place> {
        let pod = match &choice.pod {
            Some(name) => self.pod_named(kf, name)?,
            None => self.pick_rank(kf, choice.rank)?,
        };
        let container = self.container(&pod, choice.container.as_deref())?;
        Ok(Place { pod, container })
    }

    fn pod_named(&self, kf: &Kf, name: &str) -> Result<Object> {
        let pods = self.pods(kf)?;
        if let Some(pod) = pods.iter().find(|pod| pod.name() == name) {
            return Ok(pod.clone());
        }
        let names: Vec<_> = pods.iter().map(Object::name).collect();
        let has = if names.is_empty() { "no pods".to_owned() } else { names.join(", ") };
        Err(Error::not_found(format!("{self} has no pod `{name}`; it has {has}"))
            .hint(format!("kf status {self}")))
    }

    /// Whether its one pod is itself, so that nothing had to be chosen.
    pub fn is_pod(&self) -> bool {
        self.kind == ComponentKind::Pod
    }
}
