use std::collections::BTreeMap;

use serde_json::Value;

use super::katib::log_of;
use super::pull::pull_reason;
use super::relevance::{Relevance, ended, is_killed, is_sidecar, main_container, main_is_done};
use super::scheduling::scheduling;
use super::{Clue, Events, cause, clip};
use crate::objects::Object;

/// The state of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    Pending,
    Running,
    Complete,
    Failed,
    /// Its node is not responding.
    Unknown,
    Terminating,
}

/// The severity of a [`Trouble`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is starting, for example pulling an image.
    Starting,
    /// It waits for something that may never happen, such as a free GPU.
    Waiting,
    /// It fails, for example with a crash or a missing image.
    Failing,
}

/// Why a pod or workload is not running, in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub severity: Severity,
    pub text: String,
    /// Where to find more, with another call.
    pub clue: Option<Clue>,
    /// Whether it was killed, which is less relevant than a failure of its own.
    pub(crate) is_killed: bool,
    /// When it ended, as RFC 3339 text in UTC.
    pub(crate) ended: Option<String>,
}

impl Trouble {
    pub(crate) fn new(severity: Severity, text: impl AsRef<str>) -> Self {
        Self { severity, text: clip(text.as_ref(), 160), clue: None, is_killed: false, ended: None }
    }

    fn ended(self, end: Option<&Value>) -> Self {
        let at = end.and_then(ended).map(str::to_owned);
        Self { is_killed: end.is_some_and(is_killed), ended: at, ..self }
    }

    pub(super) fn clue(self, clue: Option<Clue>) -> Self {
        Self { clue, ..self }
    }
}

/// Returns the state of a pod.
pub fn pod_state(pod: &Object) -> PodState {
    match pod.str("/status/phase") {
        Some("Succeeded") => PodState::Complete,
        Some("Failed") => PodState::Failed,
        Some("Unknown") => PodState::Unknown,
        _ if pod.str("/status/reason") == Some(NODE_LOST) => PodState::Unknown,
        _ if pod.str("/metadata/deletionTimestamp").is_some() => PodState::Terminating,
        Some("Running") => PodState::Running,
        _ => PodState::Pending,
    }
}

/// Returns whether a pod is ready.
pub fn is_ready(pod: &Object) -> bool {
    pod.condition_holds("Ready")
}

/// Returns the total number of restarts of the containers of a pod.
pub fn restarts(pod: &Object) -> i64 {
    statuses(pod).filter_map(|status| status.get("restartCount")?.as_i64()).fold(0, i64::saturating_add)
}

/// The status reason of a pod whose node is not responding.
const NODE_LOST: &str = "NodeLost";

/// Returns why a pod is not running or not ready; `None` if it is fine.
///
/// A reason of the pod itself, such as an eviction, takes precedence over the exit codes of its containers.
pub fn pod_trouble(pod: &Object, events: &Events) -> Option<Trouble> {
    if pod_state(pod) == PodState::Complete {
        return None;
    }
    own_reason(pod)
        .or_else(|| of_containers(pod, events))
        .or_else(|| failed_without_reason(pod))
        .or_else(|| unscheduled(pod))
        .or_else(|| starting(pod, events))
        .or_else(|| not_ready(pod, events))
}

/// Combines the troubles of several pods: the most severe one, and of those the most frequent. Of failures that are not
/// kills the first one, because later ones are often its consequences.
pub fn combine(troubles: impl IntoIterator<Item = Trouble>) -> Option<Trouble> {
    let mut groups: BTreeMap<(Severity, bool, String), (usize, Trouble)> = BTreeMap::new();
    for trouble in troubles {
        let key = (trouble.severity, !trouble.is_killed, trouble.text.clone());
        let (count, first) = groups.entry(key).or_insert_with(|| (0, trouble.clone()));
        *count += 1;
        if trouble.ended.is_some() && (first.ended.is_none() || trouble.ended < first.ended) {
            first.ended = trouble.ended;
        }
        first.clue = first.clue.take().or(trouble.clue);
    }
    let worst = groups.keys().next_back().map(|(severity, by_itself, _)| (*severity, *by_itself))?;
    let worst: Vec<_> = groups
        .into_iter()
        .filter(|((severity, by_itself, _), _)| (*severity, *by_itself) == worst)
        .map(|(_, group)| group)
        .collect();
    let most_frequent = worst.iter().max_by_key(|(count, _)| *count)?;
    let first = worst.iter().filter(|(_, one)| one.ended.is_some()).min_by_key(|(_, one)| one.ended.clone());
    let (count, trouble) = first.filter(|_| most_frequent.1.ended.is_some()).unwrap_or(most_frequent).clone();
    let text = if count > 1 { format!("{count} pods: {}", trouble.text) } else { trouble.text };
    Some(Trouble { text, ..trouble })
}

/// Iterates over the statuses of all containers, init containers first.
fn statuses(pod: &Object) -> impl Iterator<Item = &Value> {
    pod.list("/status/initContainerStatuses").iter().chain(pod.list("/status/containerStatuses"))
}

/// Returns the trouble of the most relevant container.
fn of_containers(pod: &Object, events: &Events) -> Option<Trouble> {
    let main = main_container(pod);
    let main = main.as_deref();
    let is_done = main_is_done(pod, main) && pod_state(pod) != PodState::Failed;
    let is_stopped_sidecar = |status: &Value| {
        let name = status.get("name").and_then(Value::as_str).unwrap_or_default();
        is_done && is_sidecar(pod, name) && status.pointer("/state/terminated").is_some()
    };
    statuses(pod)
        .filter(|status| !is_stopped_sidecar(status))
        .filter_map(|status| {
            Some((Relevance::of(pod, status, main), container_trouble(pod, status, events)?))
        })
        .min_by(|(left, _), (right, _)| left.cmp(right))
        .map(|(_, trouble)| trouble)
}

fn container_trouble(pod: &Object, status: &Value, events: &Events) -> Option<Trouble> {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    if let Some((end, previous)) = relevant_end(pod, status) {
        let text = exit_text(pod, status, end)?;
        let clue = log_clue(pod, status, end, previous);
        return Some(Trouble::new(Severity::Failing, text).clue(clue).ended(Some(end)));
    }
    let reason = text("/state/waiting/reason")?;
    let message = text("/state/waiting/message").unwrap_or_default();
    let failing = |text: String| Some(Trouble::new(Severity::Failing, text));
    match reason {
        "CrashLoopBackOff" => {
            let end = status.pointer("/lastState/terminated");
            let how =
                end.and_then(|end| exit_text(pod, status, end)).unwrap_or_else(|| "exits immediately".into());
            let clue = end.and_then(|end| log_clue(pod, status, end, true));
            let text = format!("crashes: {how}, {}", plural(restarts, "restart"));
            Some(Trouble::new(Severity::Failing, text).clue(clue).ended(end))
        }
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName"
        | "ImageInspectError" => {
            let image = text("/image").unwrap_or("?");
            let event = events.warning(pod).map_or("", |(_, message)| message);
            failing(format!("cannot pull image {image}: {}", pull_reason(reason, message, event)))
        }
        "ContainerCreating" | "PodInitializing" => None,
        _ if message.is_empty() => failing(reason.to_owned()),
        "CreateContainerConfigError" => failing(message.to_owned()),
        _ => failing(format!("{reason}: {}", cause(message, 120))),
    }
}

/// Returns the most relevant end of a container, and whether it is that of the run before the last restart.
///
/// When a controller deletes the pods of a failed workload, the current run is killed; the failure is in the run before.
pub(super) fn relevant_end<'a>(pod: &Object, status: &'a Value) -> Option<(&'a Value, bool)> {
    let end = status.pointer("/state/terminated").filter(|end| end.is_object())?;
    let code = |end: &Value| end.get("exitCode").and_then(Value::as_i64);
    let killed = matches!(code(end), Some(137 | 143)) && end.get("reason") != Some(&"OOMKilled".into());
    let before =
        status.pointer("/lastState/terminated").filter(|end| code(end).is_some_and(|code| code != 0));
    match before {
        Some(before) if killed && pod.str("/metadata/deletionTimestamp").is_some() => Some((before, true)),
        _ => Some((end, false)),
    }
}

/// Returns the log to look at after a crash, unless there is a termination message.
fn log_clue(pod: &Object, status: &Value, end: &Value, previous: bool) -> Option<Clue> {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    if text(end, "message").is_some_and(|message| !message.trim().is_empty()) {
        return None;
    }
    let container = log_of(pod, &text(status, "name")?).to_owned();
    Some(Clue::Log { pod: pod.name().to_owned(), container, previous })
}

/// Describes an end, such as `exit 137, out of memory at 2Gi`; `None` for exit code 0.
pub(super) fn exit_text(pod: &Object, status: &Value, end: &Value) -> Option<String> {
    let code = end.get("exitCode").and_then(Value::as_i64).unwrap_or(0);
    let reason = end.get("reason").and_then(Value::as_str).unwrap_or_default();
    if code == 0 && reason != "OOMKilled" {
        return None;
    }
    let container = status.get("name").and_then(Value::as_str).unwrap_or_default();
    let why = match (reason, code) {
        ("OOMKilled", _) => match memory_limit(pod, container) {
            Some(limit) => format!(", out of memory at {limit}"),
            None => ", out of memory".to_owned(),
        },
        ("ContainerCannotRun" | "StartError", _) => ", cannot start".to_owned(),
        ("DeadlineExceeded", _) => ", deadline exceeded".to_owned(),
        (_, 126) => ", command cannot be executed".to_owned(),
        (_, 127) => ", command not found".to_owned(),
        (_, 137) => ", killed".to_owned(),
        (_, 139) => ", segmentation fault".to_owned(),
        (_, 143) => ", terminated".to_owned(),
        _ => String::new(),
    };
    let message = end.get("message").and_then(Value::as_str).unwrap_or_default();
    let last = message.lines().rev().find(|line| !line.trim().is_empty());
    let by_the_runtime = matches!(reason, "ContainerCannotRun" | "StartError");
    let last = last.map(|line| if by_the_runtime { cause(line, 80) } else { clip(line, 80) });
    let suffix = last.map(|line| format!(": {line}")).unwrap_or_default();
    Some(format!("exit {code}{why}{suffix}"))
}

fn memory_limit<'a>(pod: &'a Object, container: &str) -> Option<&'a str> {
    ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .flat_map(|pointer| pod.list(pointer))
        .find(|spec| spec.get("name").and_then(Value::as_str) == Some(container))?
        .pointer("/resources/limits/memory")?
        .as_str()
}

/// Returns the reason in the status of the pod itself, such as `Evicted`, `DeadlineExceeded` or `NodeLost`, or its
/// disruption condition.
fn own_reason(pod: &Object) -> Option<Trouble> {
    let state = pod_state(pod);
    if !matches!(state, PodState::Failed | PodState::Unknown) {
        return None;
    }
    let reason = pod.str("/status/reason").filter(|reason| !reason.is_empty());
    let message = pod.str("/status/message").unwrap_or_default();
    let disruption = pod.condition("DisruptionTarget").filter(|condition| condition.status == "True");
    let (reason, message) = match (reason, disruption) {
        (Some(reason), _) => (reason, message),
        (None, Some(disruption)) => (disruption.reason, disruption.message),
        (None, None) if state == PodState::Unknown => ("Unknown", message),
        (None, None) => return None,
    };
    let message = match (message, pod.str("/spec/nodeName")) {
        ("", Some(node)) if state == PodState::Unknown => format!("node {node} is not responding"),
        ("", None) if state == PodState::Unknown => "its node is not responding".to_owned(),
        _ => message.trim_end_matches(['.', ' ']).to_owned(),
    };
    let text = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
    Some(Trouble::new(Severity::Failing, text))
}

fn failed_without_reason(pod: &Object) -> Option<Trouble> {
    let message = pod.str("/status/message").filter(|message| !message.is_empty());
    (pod_state(pod) == PodState::Failed).then(|| {
        Trouble::new(Severity::Failing, message.map_or("failed".to_owned(), |it| format!("failed: {it}")))
    })
}

fn unscheduled(pod: &Object) -> Option<Trouble> {
    let condition = pod.condition("PodScheduled").filter(|condition| condition.status == "False")?;
    if condition.reason == "SchedulingGated" {
        let gates = pod.list("/spec/schedulingGates").iter().filter_map(|gate| gate.get("name")?.as_str());
        let gates: Vec<_> = gates.collect();
        return Some(Trouble::new(Severity::Waiting, format!("scheduling gated by {}", gates.join(", "))));
    }
    Some(scheduling(pod, condition.message))
}

fn starting(pod: &Object, events: &Events) -> Option<Trouble> {
    if pod_state(pod) != PodState::Pending {
        return None;
    }
    let is_placed = pod.condition_holds("PodScheduled");
    match events.warning(pod) {
        Some(("FailedScheduling", message)) if !is_placed => Some(scheduling(pod, message)),
        // A scheduling event from before it got its node is outdated.
        Some((reason, message)) if reason != "FailedScheduling" => {
            Some(Trouble::new(Severity::Failing, format!("{reason}: {message}")))
        }
        _ if is_placed => {
            let init = running_init(pod).map(|init| format!("init container {init} is running"));
            let text = init.unwrap_or_else(|| "starting containers".to_owned());
            Some(Trouble::new(Severity::Starting, text))
        }
        _ => Some(Trouble::new(Severity::Starting, "waiting for a node")),
    }
}

/// Returns the init container that is running, ignoring sidecars that have started.
pub(super) fn running_init(pod: &Object) -> Option<&str> {
    let runs = |status: &&Value| {
        status.pointer("/state/running").is_some_and(Value::is_object)
            && status.get("started") != Some(&true.into())
    };
    pod.list("/status/initContainerStatuses").iter().find(runs)?.get("name")?.as_str()
}

fn not_ready(pod: &Object, events: &Events) -> Option<Trouble> {
    if pod_state(pod) != PodState::Running || is_ready(pod) {
        return None;
    }
    let mut text = match events.warning(pod) {
        Some(("Unhealthy", message)) => format!("not ready: {message}"),
        Some((reason @ "NodeNotReady", message)) => match pod.str("/spec/nodeName") {
            Some(node) => format!("{reason}: node {node} is not responding"),
            None => format!("{reason}: {message}"),
        },
        _ => "not ready yet".to_owned(),
    };
    // A liveness probe may restart a container that is only slow, so the restarts are part of the reason.
    match restarts(pod) {
        0 => {}
        count => text.push_str(&format!(", {}", plural(count, "restart"))),
    }
    Some(Trouble::new(Severity::Starting, text))
}

fn plural(count: i64, word: &str) -> String {
    if count == 1 { format!("1 {word}") } else { format!("{count} {word}s") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn waiting(reason: &str, message: &str) -> Object {
        json!({
            "kind": "Pod",
            "metadata": { "name": "mnist-0", "uid": "1" },
            "spec": { "containers": [{ "name": "node", "resources": { "limits": { "memory": "2Gi" } } }] },
            "status": { "phase": "Pending", "containerStatuses": [{
                "name": "node", "image": "registry/train:1", "restartCount": 4,
                "state": { "waiting": { "reason": reason, "message": message } },
                "lastState": { "terminated": { "exitCode": 137, "reason": "OOMKilled" } },
            }] },
        })
        .into()
    }

    fn why(pod: &Object) -> String {
        pod_trouble(pod, &Events::default()).map(|trouble| trouble.text).unwrap_or_default()
    }

    #[test]
    fn crash_shows_exit_code_and_memory_limit() {
        assert_eq!(
            why(&waiting("CrashLoopBackOff", "back-off 40s restarting")),
            "crashes: exit 137, out of memory at 2Gi, 4 restarts"
        );
    }

    #[test]
    fn pull_error_shows_cause() {
        let missing = "rpc error: code = NotFound desc = failed to resolve reference: not found";
        assert_eq!(
            why(&waiting("ErrImagePull", missing)),
            "cannot pull image registry/train:1: image not found"
        );
        let unreachable = "dial tcp: lookup registry: no such host";
        assert!(why(&waiting("ImagePullBackOff", unreachable)).ends_with("image registry unreachable"));
    }

    #[test]
    fn pull_back_off_is_explained_by_event() {
        let pod = waiting("ImagePullBackOff", "Back-off pulling image \"registry/train:1\"");
        let event = json!({
            "type": "Warning", "reason": "Failed", "message": "401 Unauthorized",
            "involvedObject": { "kind": "Pod", "name": "mnist-0", "uid": "1" },
        });
        let events = Events::of(&[event.into()]);
        assert!(pod_trouble(&pod, &events).unwrap().text.contains("access denied"));
    }

    #[test]
    fn scheduler_message_is_shown_without_preemption() {
        let mut pod = waiting("ContainerCreating", "");
        let message = "0/1 nodes are available: 1 Insufficient nvidia.com/gpu. \
                       preemption: 0/1 nodes are available: 1 No preemption victims found.";
        pod.set(
            "/status/conditions",
            json!([{ "type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message }]),
        );
        assert_eq!(why(&pod), "0/1 nodes are available: 1 Insufficient nvidia.com/gpu");
    }

    #[test]
    fn gated_pod_names_gate() {
        let mut pod = waiting("ContainerCreating", "");
        pod.set("/spec/schedulingGates", json!([{ "name": "kueue.x-k8s.io/admission" }]));
        pod.set(
            "/status/conditions",
            json!([{ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" }]),
        );
        assert_eq!(why(&pod), "scheduling gated by kueue.x-k8s.io/admission");
    }

    #[test]
    fn failed_run_outranks_run_killed_with_pod() {
        let mut pod = waiting("", "");
        let states = json!([{
            "name": "node",
            "restartCount": 1,
            "state": { "terminated": { "exitCode": 143, "reason": "Error" } },
            "lastState": { "terminated": { "exitCode": 3, "reason": "Error" } },
        }]);
        pod.set("/status/containerStatuses", states);
        assert_eq!(why(&pod), "exit 143, terminated");
        pod.set("/metadata/deletionTimestamp", "2026-01-01T12:00:00Z");
        assert_eq!(why(&pod), "exit 3");
    }

    #[test]
    fn succeeded_pod_has_no_trouble() {
        let mut pod = waiting("", "");
        pod.set("/status/phase", "Succeeded");
        assert_eq!(pod_trouble(&pod, &Events::default()), None);
    }

    #[test]
    fn troubles_of_pods_are_combined_to_worst() {
        let waits = Trouble::new(Severity::Waiting, "no gpu");
        let fails = Trouble::new(Severity::Failing, "exit 1");
        assert_eq!(combine([waits.clone(), waits.clone()]).unwrap().text, "2 pods: no gpu");
        assert_eq!(combine([waits.clone(), fails, waits]).unwrap().text, "exit 1");
        assert_eq!(combine([]), None);
    }
}
