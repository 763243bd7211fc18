//! Which container of a pod a person means, and whether it has a log yet.

use serde_json::Value;

use super::pod::exit_text;
use super::target::TargetKind;
use crate::error::{Error, Result};
use crate::objects::Object;

/// One run of a container; restarts count them.
pub(super) type Run = i64;

/// The container to show: the one named, the one that trains, the pod's own default, the first.
/// None if the pod lists no containers.
pub(super) fn choose(pod: &Object, kind: TargetKind, named: Option<&str>) -> Result<Option<String>> {
    let names = |pointer: &str| -> Vec<&str> {
        pod.list(pointer).iter().filter_map(|container| container.get("name")?.as_str()).collect()
    };
    let containers = names("/spec/containers");
    if let Some(named) = named {
        let all: Vec<_> = containers.iter().copied().chain(names("/spec/initContainers")).collect();
        if all.is_empty() || all.contains(&named) {
            return Ok(Some(named.to_owned()));
        }
        return Err(Error::invalid(format!(
            "pod {} has no container `{named}`; it has {}",
            pod.name(),
            all.join(", ")
        )));
    }
    let trains = matches!(kind, TargetKind::TrainJob | TargetKind::JobSet).then_some("node");
    let default = pod.annotation("kubectl.kubernetes.io/default-container");
    let wanted = trains.into_iter().chain(default).find(|name| containers.contains(name));
    Ok(wanted.or(containers.first().copied()).map(str::to_owned))
}

/// The run whose log can be read: the one that runs, or the last one that ended.
pub(super) fn run(pod: &Object, container: &str) -> Option<Run> {
    let status = status(pod, container)?;
    let started = ["/state/running", "/state/terminated", "/lastState/terminated"]
        .into_iter()
        .any(|pointer| status.pointer(pointer).is_some_and(Value::is_object));
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    started.then_some(restarts)
}

/// The last run that failed, and whether another has begun since.
pub(super) fn failed_run(pod: &Object, container: &str) -> Option<(Run, bool)> {
    let status = status(pod, container)?;
    let failed = |pointer: &str| {
        status.pointer(pointer).and_then(|end| end.get("exitCode")?.as_i64()).is_some_and(|code| code != 0)
    };
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    if failed("/state/terminated") {
        return Some((restarts, false));
    }
    failed("/lastState/terminated").then_some((restarts - 1, true))
}

/// How its last run ended.
pub(super) fn last_end(pod: &Object, container: &str) -> Option<String> {
    let status = status(pod, container)?;
    exit_text(pod, status, status.pointer("/lastState/terminated")?)
}

fn status<'a>(pod: &'a Object, container: &str) -> Option<&'a Value> {
    ["/status/containerStatuses", "/status/initContainerStatuses"]
        .into_iter()
        .flat_map(|pointer| pod.list(pointer))
        .find(|status| status.get("name").and_then(Value::as_str) == Some(container))
}
