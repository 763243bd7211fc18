use std::collections::BTreeMap;

use serde_json::Value;

use super::scheduling::scheduling;
use super::{Clue, Events, clip};
use crate::objects::Object;

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    Pending,
    Running,
    Complete,
    Failed,
    Terminating,
}

/// How bad a trouble is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It takes its time: an image is being pulled.
    Starting,
    /// It waits for something that may never come: a free GPU.
    Waiting,
    /// Something is wrong: a crash, a missing image.
    Failing,
}

/// The one line that says why something is not running.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub severity: Severity,
    pub text: String,
    /// What would say more, for another call.
    pub clue: Option<Clue>,
}

impl Trouble {
    pub(crate) fn new(severity: Severity, text: impl AsRef<str>) -> Self {
        Self { severity, text: clip(text.as_ref(), 160), clue: None }
    }

    pub(super) fn clue(self, clue: Option<Clue>) -> Self {
        Self { clue, ..self }
    }
}

/// Where a pod is in its life.
pub fn pod_state(pod: &Object) -> PodState {
    match pod.str("/status/phase") {
        Some("Succeeded") => PodState::Complete,
        Some("Failed") => PodState::Failed,
        _ if pod.str("/metadata/deletionTimestamp").is_some() => PodState::Terminating,
        Some("Running") => PodState::Running,
        _ => PodState::Pending,
    }
}

/// Whether its `Ready` condition holds.
pub fn is_ready(pod: &Object) -> bool {
    pod.condition_holds("Ready")
}

/// How often its containers were restarted, all together.
pub fn restarts(pod: &Object) -> i64 {
    statuses(pod).filter_map(|status| status.get("restartCount")?.as_i64()).fold(0, i64::saturating_add)
}

/// Why a pod does not run or does not do its work; none if all is well.
pub fn pod_trouble(pod: &Object, events: &Events) -> Option<Trouble> {
    if pod_state(pod) == PodState::Complete {
        return None;
    }
    statuses(pod)
        .find_map(|status| container_trouble(pod, status, events))
        .or_else(|| evicted(pod))
        .or_else(|| unscheduled(pod))
        .or_else(|| starting(pod, events))
        .or_else(|| not_ready(pod, events))
}

/// One line for many pods: the worst trouble, and of those the most frequent.
pub fn combine(troubles: impl IntoIterator<Item = Trouble>) -> Option<Trouble> {
    let mut counts: BTreeMap<(Severity, String), (usize, Option<Clue>)> = BTreeMap::new();
    for trouble in troubles {
        let (count, clue) = counts.entry((trouble.severity, trouble.text)).or_default();
        *count += 1;
        *clue = clue.take().or(trouble.clue);
    }
    let ((severity, text), (count, clue)) =
        counts.into_iter().max_by_key(|((severity, _), (count, _))| (*severity, *count))?;
    let text = if count > 1 { format!("{count} pods: {text}") } else { text };
    Some(Trouble { severity, text, clue })
}

/// The states of all containers; the init containers first, for they run first.
fn statuses(pod: &Object) -> impl Iterator<Item = &Value> {
    pod.list("/status/initContainerStatuses").iter().chain(pod.list("/status/containerStatuses"))
}

fn container_trouble(pod: &Object, status: &Value, events: &Events) -> Option<Trouble> {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    if let Some((end, previous)) = telling_end(pod, status) {
        let ended = exit_text(pod, status, end)?;
        return Some(Trouble::new(Severity::Failing, ended).clue(log_clue(pod, status, end, previous)));
    }
    let reason = text("/state/waiting/reason")?;
    let message = text("/state/waiting/message").unwrap_or_default();
    let failing = |text: String| Some(Trouble::new(Severity::Failing, text));
    match reason {
        "CrashLoopBackOff" => {
            let end = status.pointer("/lastState/terminated");
            let how =
                end.and_then(|end| exit_text(pod, status, end)).unwrap_or_else(|| "it ends at once".into());
            let clue = end.and_then(|end| log_clue(pod, status, end, true));
            failing(format!("crashes: {how}, {}", plural(restarts, "restart"))).map(|it| it.clue(clue))
        }
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName"
        | "ImageInspectError" => {
            let image = text("/image").unwrap_or("?");
            let event = events.warning(pod).map_or("", |(_, message)| message);
            failing(format!("image {image} cannot be pulled: {}", pull_reason(reason, message, event)))
        }
        "ContainerCreating" | "PodInitializing" => None,
        "CreateContainerConfigError" => failing(message.to_owned()),
        _ if message.is_empty() => failing(reason.to_owned()),
        _ => failing(format!("{reason}: {message}")),
    }
}

/// The end of a container that tells most, and whether it is that of the run before the last restart.
///
/// Who gives up on a workload takes its pods away: a run that this killed says nothing about the one
/// that failed before it.
pub(super) fn telling_end<'a>(pod: &Object, status: &'a Value) -> Option<(&'a Value, bool)> {
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

/// A crash says in its log why, unless it left a message.
fn log_clue(pod: &Object, status: &Value, end: &Value, previous: bool) -> Option<Clue> {
    let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
    if text(end, "message").is_some_and(|message| !message.trim().is_empty()) {
        return None;
    }
    Some(Clue::Log { pod: pod.name().to_owned(), container: text(status, "name")?, previous })
}

/// `exit 137, out of memory at 2Gi`; none for a clean end.
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
        ("ContainerCannotRun" | "StartError", _) => ", it cannot be started".to_owned(),
        ("DeadlineExceeded", _) => ", it ran too long".to_owned(),
        (_, 126) => ", its command cannot be executed".to_owned(),
        (_, 127) => ", its command is not in the image".to_owned(),
        (_, 137) => ", killed".to_owned(),
        (_, 139) => ", segmentation fault".to_owned(),
        (_, 143) => ", terminated".to_owned(),
        _ => String::new(),
    };
    let message = end.get("message").and_then(Value::as_str).unwrap_or_default();
    let last = message.lines().rev().find(|line| !line.trim().is_empty());
    let said = last.map(|line| format!(": {}", clip(line, 80))).unwrap_or_default();
    Some(format!("exit {code}{why}{said}"))
}

fn memory_limit<'a>(pod: &'a Object, container: &str) -> Option<&'a str> {
    ["/spec/containers", "/spec/initContainers"]
        .into_iter()
        .flat_map(|pointer| pod.list(pointer))
        .find(|spec| spec.get("name").and_then(Value::as_str) == Some(container))?
        .pointer("/resources/limits/memory")?
        .as_str()
}

/// The part of a puller's message that a person can act on.
fn pull_reason(reason: &str, message: &str, event: &str) -> String {
    match reason {
        "InvalidImageName" => return "the name is not valid".to_owned(),
        "ErrImageNeverPull" => return "it is not on the node, and the policy is never to pull".to_owned(),
        _ => {}
    }
    let all = format!("{message} {event}").to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| all.contains(word));
    if says(&["unauthorized", "denied", "forbidden", "401", "403", "no basic auth"]) {
        "access denied, or there is no such image".to_owned()
    } else if says(&["not found", "notfound", "manifest unknown", "404"]) {
        "there is no such image".to_owned()
    } else if says(&["lookup ", "timeout", "refused", "dial tcp", "deadline exceeded", "unreachable"]) {
        "the image registry does not answer".to_owned()
    } else if says(&["no space left", "disk pressure"]) {
        "the node's disk is full".to_owned()
    } else {
        let last = if message.is_empty() { event } else { message };
        clip(last.rsplit(": ").next().unwrap_or(last), 80)
    }
}

fn evicted(pod: &Object) -> Option<Trouble> {
    if pod_state(pod) != PodState::Failed {
        return None;
    }
    let reason = pod.str("/status/reason").unwrap_or("failed");
    let text = match pod.str("/status/message") {
        Some(message) => format!("{}: {message}", reason.to_lowercase()),
        None => reason.to_lowercase(),
    };
    Some(Trouble::new(Severity::Failing, text))
}

fn unscheduled(pod: &Object) -> Option<Trouble> {
    let condition = pod.condition("PodScheduled").filter(|condition| condition.status == "False")?;
    if condition.reason == "SchedulingGated" {
        let gates = pod.list("/spec/schedulingGates").iter().filter_map(|gate| gate.get("name")?.as_str());
        let gates: Vec<_> = gates.collect();
        return Some(Trouble::new(Severity::Waiting, format!("held back by {}", gates.join(", "))));
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
        // An event of before it had its node says nothing any more.
        Some((reason, message)) if reason != "FailedScheduling" => {
            Some(Trouble::new(Severity::Failing, format!("{reason}: {message}")))
        }
        _ if is_placed => Some(Trouble::new(Severity::Starting, "its containers are being started")),
        _ => Some(Trouble::new(Severity::Starting, "waits for a node")),
    }
}

fn not_ready(pod: &Object, events: &Events) -> Option<Trouble> {
    if pod_state(pod) != PodState::Running || is_ready(pod) {
        return None;
    }
    let mut text = match events.warning(pod) {
        Some(("Unhealthy", message)) => format!("not ready: {message}"),
        _ => "not ready yet".to_owned(),
    };
    // A liveness probe kills what is only slow, so the count belongs to the reason.
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
    fn a_crash_says_its_exit_code_and_the_limit_it_hit() {
        assert_eq!(
            why(&waiting("CrashLoopBackOff", "back-off 40s restarting")),
            "crashes: exit 137, out of memory at 2Gi, 4 restarts"
        );
    }

    #[test]
    fn a_missing_image_says_what_a_person_can_do_about() {
        let missing = "rpc error: code = NotFound desc = failed to resolve reference: not found";
        assert_eq!(
            why(&waiting("ErrImagePull", missing)),
            "image registry/train:1 cannot be pulled: there is no such image"
        );
        let unreachable = "dial tcp: lookup registry: no such host";
        assert!(
            why(&waiting("ImagePullBackOff", unreachable)).ends_with("the image registry does not answer")
        );
    }

    #[test]
    fn the_back_off_message_says_nothing_so_the_event_does() {
        let pod = waiting("ImagePullBackOff", "Back-off pulling image \"registry/train:1\"");
        let event = json!({
            "type": "Warning", "reason": "Failed", "message": "401 Unauthorized",
            "involvedObject": { "kind": "Pod", "name": "mnist-0", "uid": "1" },
        });
        let events = Events::of(&[event.into()]);
        assert!(pod_trouble(&pod, &events).unwrap().text.contains("access denied"));
    }

    #[test]
    fn the_scheduler_is_quoted_without_its_remarks_on_preemption() {
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
    fn a_gated_pod_names_its_gate() {
        let mut pod = waiting("ContainerCreating", "");
        pod.set("/spec/schedulingGates", json!([{ "name": "kueue.x-k8s.io/admission" }]));
        pod.set(
            "/status/conditions",
            json!([{ "type": "PodScheduled", "status": "False", "reason": "SchedulingGated" }]),
        );
        assert_eq!(why(&pod), "held back by kueue.x-k8s.io/admission");
    }

    #[test]
    fn a_run_that_ended_with_its_pod_says_less_than_the_one_before() {
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
    fn a_clean_end_is_no_trouble() {
        let mut pod = waiting("", "");
        pod.set("/status/phase", "Succeeded");
        assert_eq!(pod_trouble(&pod, &Events::default()), None);
    }

    #[test]
    fn many_pods_share_one_line_and_the_worst_wins() {
        let waits = Trouble::new(Severity::Waiting, "no gpu");
        let fails = Trouble::new(Severity::Failing, "exit 1");
        assert_eq!(combine([waits.clone(), waits.clone()]).unwrap().text, "2 pods: no gpu");
        assert_eq!(combine([waits.clone(), fails, waits]).unwrap().text, "exit 1");
        assert_eq!(combine([]), None);
    }
}
