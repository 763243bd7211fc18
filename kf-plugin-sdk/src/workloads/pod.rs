use std::collections::BTreeMap;

use serde_json::Value;

use super::ending::{Telling, ended, is_killed, is_sidecar, main_container, work_is_done};
use super::katib::log_of;
use super::pull::pull_reason;
use super::scheduling::scheduling;
use super::{Clue, Events, cause, clip};
use crate::objects::Object;

/// Where a pod is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodState {
    Pending,
    Running,
    Complete,
    Failed,
    /// Its node does not answer, so nobody knows.
    Unknown,
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
    /// It was ended from outside, which says less than what ended by itself.
    pub(crate) is_killed: bool,
    /// When it ended, as RFC 3339 in UTC.
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

/// Where a pod is in its life.
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

/// Whether its `Ready` condition holds.
pub fn is_ready(pod: &Object) -> bool {
    pod.condition_holds("Ready")
}

/// How often its containers were restarted, all together.
pub fn restarts(pod: &Object) -> i64 {
    statuses(pod).filter_map(|status| status.get("restartCount")?.as_i64()).fold(0, i64::saturating_add)
}

/// The reason of a pod whose node does not answer.
const NODE_LOST: &str = "NodeLost";

/// Why a pod does not run or does not do its work; none if all is well.
///
/// What the pod says of itself, such as that it was evicted, explains how its containers ended.
pub fn pod_trouble(pod: &Object, events: &Events) -> Option<Trouble> {
    if pod_state(pod) == PodState::Complete {
        return None;
    }
    own_reason(pod)
        .or_else(|| of_containers(pod, events))
        .or_else(|| failed_without_words(pod))
        .or_else(|| unscheduled(pod))
        .or_else(|| starting(pod, events))
        .or_else(|| not_ready(pod, events))
}

/// One line for many pods: the worst trouble, and of those the most frequent. Of those that ended by
/// themselves the first, for the others are often what it led to.
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

/// The states of all containers; the init containers first, for they run first.
fn statuses(pod: &Object) -> impl Iterator<Item = &Value> {
    pod.list("/status/initContainerStatuses").iter().chain(pod.list("/status/containerStatuses"))
}

/// The trouble of the container that explains most.
fn of_containers(pod: &Object, events: &Events) -> Option<Trouble> {
    let main = main_container(pod);
    let main = main.as_deref();
    let is_done = work_is_done(pod, main) && pod_state(pod) != PodState::Failed;
    let stopped_after_the_work = |status: &Value| {
        let name = status.get("name").and_then(Value::as_str).unwrap_or_default();
        is_done && is_sidecar(pod, name) && status.pointer("/state/terminated").is_some()
    };
    statuses(pod)
        .filter(|status| !stopped_after_the_work(status))
        .filter_map(|status| Some((Telling::of(pod, status, main), container_trouble(pod, status, events)?)))
        .min_by(|(left, _), (right, _)| left.cmp(right))
        .map(|(_, trouble)| trouble)
}

fn container_trouble(pod: &Object, status: &Value, events: &Events) -> Option<Trouble> {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str);
    let restarts = status.get("restartCount").and_then(Value::as_i64).unwrap_or(0);
    if let Some((end, previous)) = telling_end(pod, status) {
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
                end.and_then(|end| exit_text(pod, status, end)).unwrap_or_else(|| "it ends at once".into());
            let clue = end.and_then(|end| log_clue(pod, status, end, true));
            let text = format!("crashes: {how}, {}", plural(restarts, "restart"));
            Some(Trouble::new(Severity::Failing, text).clue(clue).ended(end))
        }
        "ErrImagePull" | "ImagePullBackOff" | "ErrImageNeverPull" | "InvalidImageName"
        | "ImageInspectError" => {
            let image = text("/image").unwrap_or("?");
            let event = events.warning(pod).map_or("", |(_, message)| message);
            failing(format!("image {image} cannot be pulled: {}", pull_reason(reason, message, event)))
        }
        "ContainerCreating" | "PodInitializing" => None,
        _ if message.is_empty() => failing(reason.to_owned()),
        "CreateContainerConfigError" => failing(message.to_owned()),
        _ => failing(format!("{reason}: {}", cause(message, 120))),
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
    let container = log_of(pod, &text(status, "name")?).to_owned();
    Some(Clue::Log { pod: pod.name().to_owned(), container, previous })
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
    let by_the_runtime = matches!(reason, "ContainerCannotRun" | "StartError");
    let last = last.map(|line| if by_the_runtime { cause(line, 80) } else { clip(line, 80) });
    let said = last.map(|line| format!(": {line}")).unwrap_or_default();
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

/// What the pod's status says of the pod itself: `Evicted`, `DeadlineExceeded`, `NodeLost`, or who ended it.
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
        ("", Some(node)) if state == PodState::Unknown => format!("node {node} does not answer"),
        ("", None) if state == PodState::Unknown => "its node does not answer".to_owned(),
        _ => message.trim_end_matches(['.', ' ']).to_owned(),
    };
    let text = if message.is_empty() { reason.to_owned() } else { format!("{reason}: {message}") };
    Some(Trouble::new(Severity::Failing, text))
}

fn failed_without_words(pod: &Object) -> Option<Trouble> {
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
        _ if is_placed => {
            let init = running_init(pod).map(|init| format!("init container {init} is running"));
            let text = init.unwrap_or_else(|| "its containers are being started".to_owned());
            Some(Trouble::new(Severity::Starting, text))
        }
        _ => Some(Trouble::new(Severity::Starting, "waits for a node")),
    }
}

/// The init container that runs now; those that stay beside the others do not count once they are up.
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
            Some(node) => format!("{reason}: node {node} does not answer"),
            None => format!("{reason}: {message}"),
        },
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
