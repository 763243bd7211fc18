//! Which of a pod's containers explains it.
//!
//! A pod that fails takes all its containers down, so most ends say nothing about the cause: a sidecar that
//! is stopped after the work has failed, a rank that is killed because another one failed.

use serde_json::Value;

use super::container::SIDECARS;
use super::{ComponentKind, container};
use crate::objects::Object;

/// How much the end or the state of a container explains; the least explains most.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Telling {
    is_sidecar: bool,
    is_killed: bool,
    is_beside_the_work: bool,
    /// RFC 3339 in UTC sorts by time.
    ended: String,
}

impl Telling {
    pub(super) fn of(pod: &Object, status: &Value, main: Option<&str>) -> Self {
        let name = name(status);
        let end = ["/state/terminated", "/lastState/terminated"]
            .into_iter()
            .find_map(|pointer| status.pointer(pointer).filter(|end| end.is_object()));
        Self {
            is_sidecar: is_sidecar(pod, name),
            is_killed: status.pointer("/state/terminated").is_some_and(is_killed),
            is_beside_the_work: main.is_some_and(|main| main != name),
            ended: end.and_then(ended).unwrap_or("9999").to_owned(),
        }
    }
}

pub(super) fn ended(end: &Value) -> Option<&str> {
    end.get("finishedAt")?.as_str()
}

/// Whether it was ended from outside, other than by its memory limit.
pub(super) fn is_killed(end: &Value) -> bool {
    let code = end.get("exitCode").and_then(Value::as_i64);
    matches!(code, Some(137 | 143)) && end.get("reason").and_then(Value::as_str) != Some("OOMKilled")
}

/// Whether the container stands beside the work: one that the kubelet starts before the others and stops
/// after them, or one of a name that such containers have.
pub(super) fn is_sidecar(pod: &Object, name: &str) -> bool {
    let is_native = |spec: &Value| {
        let of = |field: &str| spec.get(field).and_then(Value::as_str);
        of("name") == Some(name) && of("restartPolicy") == Some("Always")
    };
    SIDECARS.contains(&name) || pod.list("/spec/initContainers").iter().any(is_native)
}

/// The container that does the work: one that some kind names so, or the pod's own default.
pub(super) fn main_container(pod: &Object) -> Option<String> {
    let names: Vec<_> =
        pod.list("/spec/containers").iter().filter_map(|spec| spec.get("name")?.as_str()).collect();
    let working = ComponentKind::ALL.into_iter().flat_map(|kind| kind.containers().iter().copied());
    let mut known = working.chain(pod.label("notebook-name"));
    known
        .find(|name| names.contains(name))
        .map(str::to_owned)
        .or_else(|| container::choose(pod, None, None).ok().flatten())
}

/// Whether the work is done, so that what is beside it may go.
pub(super) fn work_is_done(pod: &Object, main: Option<&str>) -> bool {
    pod.list("/status/containerStatuses").iter().any(|status| {
        Some(name(status)) == main && status.pointer("/state/terminated/exitCode") == Some(&0.into())
    })
}

fn name(status: &Value) -> &str {
    status.get("name").and_then(Value::as_str).unwrap_or_default()
}
