//! Which container of a pod explains its failure.
//!
//! When a pod fails, all its containers stop, so most exit codes do not show the cause: a sidecar that is stopped after
//! the main container failed, a rank that is killed because another one failed.

use serde_json::Value;

use super::container::SIDECARS;
use super::{WorkloadKind, container};
use crate::objects::Object;

/// The relevance of the state of a container; the smallest is the most relevant.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Relevance {
    is_sidecar: bool,
    is_killed: bool,
    is_not_main: bool,
    /// RFC 3339 in UTC sorts by time.
    ended: String,
}

impl Relevance {
    pub(super) fn of(pod: &Object, status: &Value, main: Option<&str>) -> Self {
        let name = name(status);
        let end = ["/state/terminated", "/lastState/terminated"]
            .into_iter()
            .find_map(|pointer| status.pointer(pointer).filter(|end| end.is_object()));
        Self {
            is_sidecar: is_sidecar(pod, name),
            is_killed: status.pointer("/state/terminated").is_some_and(is_killed),
            is_not_main: main.is_some_and(|main| main != name),
            ended: end.and_then(ended).unwrap_or("9999").to_owned(),
        }
    }
}

pub(super) fn ended(end: &Value) -> Option<&str> {
    end.get("finishedAt")?.as_str()
}

/// Returns whether it was killed, other than for exceeding its memory limit.
pub(super) fn is_killed(end: &Value) -> bool {
    let code = end.get("exitCode").and_then(Value::as_i64);
    matches!(code, Some(137 | 143)) && end.get("reason").and_then(Value::as_str) != Some("OOMKilled")
}

/// Returns whether a container is a sidecar: a restartable init container, or one with a well-known name.
pub(super) fn is_sidecar(pod: &Object, name: &str) -> bool {
    let is_native = |spec: &Value| {
        let of = |field: &str| spec.get(field).and_then(Value::as_str);
        of("name") == Some(name) && of("restartPolicy") == Some("Always")
    };
    SIDECARS.contains(&name) || pod.list("/spec/initContainers").iter().any(is_native)
}

/// Returns the main container: one that the catalogue names, or the pod's default.
pub(super) fn main_container(pod: &Object) -> Option<String> {
    let names: Vec<_> =
        pod.list("/spec/containers").iter().filter_map(|spec| spec.get("name")?.as_str()).collect();
    let working = WorkloadKind::ALL.into_iter().flat_map(|kind| kind.containers().iter().copied());
    let mut known = working.chain(pod.label("notebook-name"));
    known
        .find(|name| names.contains(name))
        .map(str::to_owned)
        .or_else(|| container::choose(pod, None, None).ok().flatten())
}

/// Returns whether the main container has completed, so that sidecars are stopped next.
pub(super) fn main_is_done(pod: &Object, main: Option<&str>) -> bool {
    pod.list("/status/containerStatuses").iter().any(|status| {
        Some(name(status)) == main && status.pointer("/state/terminated/exitCode") == Some(&0.into())
    })
}

fn name(status: &Value) -> &str {
    status.get("name").and_then(Value::as_str).unwrap_or_default()
}
