//! Choosing a container of a pod, and the state of its runs.

use serde_json::Value;

use super::katib::{self, COLLECTOR};
use super::pod::{exit_text, relevant_end};
use super::{Workload, WorkloadKind};
use crate::error::{Error, Result};
use crate::objects::Object;

/// A run of a container, numbered by its restart count.
pub(super) type Run = i64;

/// Names of sidecar containers.
pub(super) const SIDECARS: [&str; 5] = ["istio-proxy", "linkerd-proxy", "queue-proxy", "agent", COLLECTOR];

/// Chooses a container: the named one, the main one of the workload, the pod's default, or the first that is not a
/// sidecar. `None` if the pod lists no containers.
pub(super) fn choose(
    pod: &Object,
    component: Option<&Workload>,
    named: Option<&str>,
) -> Result<Option<String>> {
    let containers = names(pod, "/spec/containers");
    if let Some(named) = named {
        let all: Vec<_> = containers.iter().copied().chain(names(pod, "/spec/initContainers")).collect();
        if all.is_empty() || all.contains(&named) {
            return Ok(Some(named.to_owned()));
        }
        return Err(Error::invalid(format!(
            "pod {} has no container `{named}`; it has {}",
            pod.name(),
            all.join(", ")
        )));
    }
    let works = component.into_iter().flat_map(main_names);
    let default = pod.annotation("kubectl.kubernetes.io/default-container");
    let wanted = works.chain(default).find(|name| containers.contains(name));
    let first = containers.iter().find(|name| !SIDECARS.contains(name)).or(containers.first());
    Ok(wanted.or(first.copied()).map(str::to_owned))
}

/// Chooses the container whose log to show: that of [`choose`], or the one that its output is redirected to.
pub(super) fn choose_log(pod: &Object, component: &Workload, named: Option<&str>) -> Result<Option<String>> {
    let chosen = choose(pod, Some(component), named)?;
    Ok(chosen.map(|name| if named.is_some() { name } else { katib::log_of(pod, &name).to_owned() }))
}

/// Returns the possible names of the main container of a workload.
fn main_names(component: &Workload) -> Vec<&str> {
    let mut names: Vec<&str> = component.kind.containers().to_vec();
    match component.kind {
        WorkloadKind::Notebook => names.push(&component.name),
        WorkloadKind::Experiment => {
            names.extend(component.object.str("/spec/trialTemplate/primaryContainerName"));
        }
        WorkloadKind::Trial => names.extend(component.object.str("/spec/primaryContainerName")),
        _ => {}
    }
    names
}

fn names<'a>(pod: &'a Object, pointer: &str) -> Vec<&'a str> {
    pod.list(pointer).iter().filter_map(|container| container.get("name")?.as_str()).collect()
}

/// Returns the run whose log can be read: the current one, or the last that ended.
pub(super) fn run(pod: &Object, container: &str) -> Option<Run> {
    let status = status(pod, container)?;
    let started = ["/state/running", "/state/terminated", "/lastState/terminated"]
        .into_iter()
        .any(|pointer| status.pointer(pointer).is_some_and(Value::is_object));
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    started.then_some(restarts)
}

/// Returns whether its last run has ended and no other has started.
pub(super) fn has_ended(pod: &Object, container: &str) -> bool {
    status(pod, container)
        .is_some_and(|status| !status.pointer("/state/running").is_some_and(Value::is_object))
}

/// Returns whether there was a run before the last restart.
pub(super) fn has_previous(pod: &Object, container: &str) -> bool {
    status(pod, container)
        .and_then(|status| status.pointer("/lastState/terminated"))
        .is_some_and(Value::is_object)
}

/// Returns the first init container whose last run failed.
pub(super) fn failed_init(pod: &Object) -> Option<String> {
    let named = |status: &Value| status.get("name").and_then(Value::as_str).map(str::to_owned);
    let mut names = pod.list("/status/initContainerStatuses").iter().filter_map(named);
    names.find(|name| failed_run(pod, name).is_some())
}

pub(super) fn is_init(pod: &Object, container: &str) -> bool {
    names(pod, "/spec/initContainers").contains(&container)
}

/// Returns the last run that failed, and whether another has started since.
pub(super) fn failed_run(pod: &Object, container: &str) -> Option<(Run, bool)> {
    let status = status(pod, container)?;
    let failed = |end: &Value| end.get("exitCode").and_then(Value::as_i64).is_some_and(|code| code != 0);
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    let before = || status.pointer("/lastState/terminated").map(|end| (end, true));
    let current = relevant_end(pod, status).filter(|(end, _)| failed(end));
    let (_, previous) = current.or_else(before).filter(|(end, _)| failed(end))?;
    Some((restarts.saturating_sub(i64::from(previous)), previous))
}

/// Describes how the last failed run ended.
pub(super) fn failed_end(pod: &Object, container: &str) -> Option<String> {
    let status = status(pod, container)?;
    let (_, previous) = failed_run(pod, container)?;
    let end = if previous { "/lastState/terminated" } else { "/state/terminated" };
    exit_text(pod, status, status.pointer(end)?)
}

/// Describes how the run before the last restart ended.
pub(super) fn last_end(pod: &Object, container: &str) -> Option<String> {
    let status = status(pod, container)?;
    exit_text(pod, status, status.pointer("/lastState/terminated")?)
}

pub(super) fn status<'a>(pod: &'a Object, container: &str) -> Option<&'a Value> {
    ["/status/containerStatuses", "/status/initContainerStatuses", "/status/ephemeralContainerStatuses"]
        .into_iter()
        .flat_map(|pointer| pod.list(pointer))
        .find(|status| status.get("name").and_then(Value::as_str) == Some(container))
}
