//! Picking a container of a workload.

use serde_json::{Value, json};

use super::{Events, Workload, WorkloadKind, container, pod_trouble, running_init};
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::objects::Object;

/// A choice of a pod and container of a workload.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PlaceChoice {
    /// The name of a pod.
    pub pod: Option<String>,
    /// A rank, from 0.
    pub rank: Option<u32>,
    /// The main container if absent.
    pub container: Option<String>,
}

/// A container of a pod.
#[derive(Clone, Debug)]
pub struct Place {
    pub pod: Object,
    pub container: String,
}

impl Place {
    /// Checks that the container is running. The error says why it is not, where the API server would only return 500.
    pub fn check_running(&self) -> Result<()> {
        let status = container::status(&self.pod, &self.container);
        let in_state =
            |state: &str| status.and_then(|status| status.pointer(state)).is_some_and(Value::is_object);
        let (waits, has_ended) = (in_state("/state/waiting"), in_state("/state/terminated"));
        let is_up = match status {
            Some(_) => !waits && !has_ended,
            None => self.pod.str("/status/phase") == Some("Running"),
        };
        if is_up {
            return Ok(());
        }
        let (pod, container) = (self.pod.name(), &self.container);
        let why = status.and_then(|status| self.trouble_of(status)).unwrap_or_else(|| {
            match running_init(&self.pod) {
                _ if has_ended => "terminated".to_owned(),
                Some(init) => format!("init container {init} is running"),
                None if waits => "starting".to_owned(),
                None => pod_trouble(&self.pod, &Events::default()).map_or("not started".into(), |it| it.text),
            }
        });
        let hint = match container::run(&self.pod, container) {
            Some(_) => format!("kf logs pod/{pod} -c {container}"),
            None => format!("kf status pod/{pod}"),
        };
        Err(Error::failed(format!("container {container} of pod {pod} is not running: {why}")).hint(hint))
    }

    /// Explains why a session failed: the container may have ended since it was picked.
    pub fn explain(&self, kf: &Kf, error: Error) -> Error {
        if error.is(ErrorCode::Forbidden) || error.is(ErrorCode::Unsupported) {
            return error;
        }
        match kf.api("Pod").get(self.pod.name()) {
            Ok(pod) => Self { pod, ..self.clone() }.check_running().err().unwrap_or(error),
            Err(_) => error,
        }
    }

    /// Returns what is wrong with this container, ignoring all others.
    fn trouble_of(&self, status: &Value) -> Option<String> {
        let mut pod = self.pod.clone();
        pod.set("/status/initContainerStatuses", json!([]));
        pod.set("/status/containerStatuses", json!([status]));
        pod.set("/status/phase", "Running");
        pod.set("/status/conditions", json!([{ "type": "Ready", "status": "True" }]));
        pod_trouble(&pod, &Events::default()).map(|trouble| trouble.text)
    }
}

impl Workload {
    /// Picks a container; by default of the newest running pod, ready ones first.
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

    /// Returns whether it is a single pod.
    pub fn is_pod(&self) -> bool {
        self.kind == WorkloadKind::Pod
    }
}
