//! Determines which run of a container a pod's status is about.
//!
//! A status has times in whole seconds and may lag the kubelet, but is never ahead: a run that it reports as over is
//! over, but one that it reports as running may have ended.

use jiff::Timestamp;
use serde_json::Value;

use super::position::LogPosition;

/// The status of one container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Status {
    pub(super) id: RunId,
    pub(super) state: State,
    /// When the current run started.
    pub(super) started: Option<Timestamp>,
    /// The last run that ended, if the current one has not.
    pub(super) last: Option<Ended>,
}

/// Identifies a run of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RunId {
    pub(super) pod: String,
    pub(super) restarts: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Waiting,
    Running,
    Terminated,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    pub(super) started: Option<Timestamp>,
    pub(super) finished: Option<Timestamp>,
}

/// What a status means for the run that is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is the current one, as of this status.
    Current { running: bool },
    /// It is over, and its log is available as the previous one: the container was or will be restarted.
    Previous(Ended),
    /// The same, unless two runs started in the second of its last line. If that line is in the log, it is the one.
    MaybePrevious,
    /// Its log is not available: the container was restarted again, or the pod was replaced.
    Gone,
}

impl Status {
    /// The status of the container with this name, or of the only one.
    pub(super) fn of(pod: &Value, container: Option<&str>) -> Option<Self> {
        let status = statuses(pod, container).next()?;
        let time = |pointer: &str| status.pointer(pointer)?.as_str()?.parse::<Timestamp>().ok();
        let is = |state: &str| status.pointer(&format!("/{state}")).is_some_and(Value::is_object);
        let state = match () {
            () if is("state/running") => State::Running,
            () if is("state/terminated") => State::Terminated,
            () => State::Waiting,
        };
        let text =
            |pointer: &str| pod.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        Some(Self {
            id: RunId {
                pod: text("/metadata/uid"),
                restarts: status.get("restartCount").and_then(Value::as_i64).unwrap_or_default(),
            },
            state,
            started: time("/state/running/startedAt").or_else(|| time("/state/terminated/startedAt")),
            last: is("lastState/terminated").then(|| Ended {
                started: time("/lastState/terminated/startedAt"),
                finished: time("/lastState/terminated/finishedAt"),
            }),
        })
    }

    /// Whether it was ever started.
    fn has_run(&self) -> bool {
        self.state != State::Waiting || self.last.is_some()
    }
}

/// The statuses of the containers with this name, or of all.
pub(super) fn statuses<'p>(pod: &'p Value, container: Option<&'p str>) -> impl Iterator<Item = &'p Value> {
    ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"]
        .into_iter()
        .filter_map(|list| pod.pointer(&format!("/status/{list}"))?.as_array())
        .flatten()
        .filter(move |status| {
            container.is_none_or(|name| status.get("name").is_some_and(|have| have == name))
        })
}

/// The verdict on a run with these lines.
pub(super) fn verdict_by_lines(status: Option<&Status>, position: &LogPosition) -> Verdict {
    // The run has lines, so a container that was never started is another pod's.
    let Some(status) = status.filter(|status| status.has_run()) else { return Verdict::Gone };
    // The last line may be of the second of the restart. But the run before this one ended before its first line.
    let is_after = |time: Option<Timestamp>, line: Option<Timestamp>| {
        time.zip(line).is_some_and(|(time, line)| time.as_second() > line.as_second())
    };
    let last_ended = status.last.and_then(|last| last.finished);
    let is_over = is_after(status.started, position.last()) || is_after(last_ended, position.first());
    match status.last {
        _ if !is_over && status.state != State::Waiting => {
            Verdict::Current { running: status.state == State::Running }
        }
        Some(last) if is_after(position.last(), last.started) => Verdict::Previous(last),
        Some(last) if !is_after(last.started, position.last()) => Verdict::MaybePrevious,
        _ => Verdict::Gone,
    }
}

/// The verdict on a run without lines.
pub(super) fn verdict_by_restarts(status: Option<&Status>, run: &RunId) -> Verdict {
    let Some(status) = status.filter(|status| status.id.pod == run.pod) else { return Verdict::Gone };
    let waits = status.state == State::Waiting;
    let ahead = status.id.restarts.saturating_sub(run.restarts);
    match (ahead, status.last) {
        (0, Some(last)) if waits => Verdict::Previous(last),
        (..=0, _) => Verdict::Current { running: status.state == State::Running },
        (1, Some(last)) if !waits => Verdict::Previous(last),
        _ => Verdict::Gone,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::position::Lines;
    use super::*;

    fn at(second: &str) -> String {
        format!("2026-01-01T12:00:{second}Z")
    }

    fn status(mut status: Value) -> Option<Status> {
        status["name"] = json!("main");
        Status::of(
            &json!({"metadata": {"uid": "5f1c"}, "status": {"containerStatuses": [status]}}),
            Some("main"),
        )
    }

    fn ended(started: &str, finished: &str) -> Value {
        json!({"terminated": {"startedAt": at(started), "finishedAt": at(finished)}})
    }

    fn running(started: &str, last: &Value) -> Option<Status> {
        status(json!({"state": {"running": {"startedAt": at(started)}}, "lastState": last}))
    }

    /// Lines from one second to another.
    fn position(first: &str, last: &str) -> LogPosition {
        let mut position = LogPosition::default();
        let lines = format!("{} first\n{} last\n", at(first), at(last));
        Lines::new().take(lines.as_bytes(), &mut position);
        position
    }

    fn verdict(status: Option<Status>, first: &str, last: &str) -> Verdict {
        verdict_by_lines(status.as_ref(), &position(first, last))
    }

    const RUNNING: Verdict = Verdict::Current { running: true };
    const OVER: Verdict = Verdict::Current { running: false };

    #[test]
    fn run_is_distinguished_from_next_by_times() {
        let none = Value::Null;
        assert_eq!(verdict(running("00", &none), "00.1", "05.5"), RUNNING);
        // The first line may be written before the runtime records the start.
        assert_eq!(verdict(running("01", &none), "00.9", "05.5"), RUNNING);
        assert!(matches!(verdict(running("06", &ended("00", "05")), "00.1", "05.5"), Verdict::Previous(_)));
        // The next run started in the second of the last line.
        assert!(matches!(verdict(running("05", &ended("00", "05")), "00.1", "05.5"), Verdict::Previous(_)));
        assert_eq!(verdict(running("05", &ended("00", "05")), "05.6", "09.5"), RUNNING);
        assert_eq!(verdict(running("06", &ended("05", "05")), "05.1", "05.5"), Verdict::MaybePrevious);
        // The previous run started after the last line, or there is no record of it.
        assert_eq!(verdict(running("09", &ended("07", "08")), "00.1", "05.5"), Verdict::Gone);
        assert_eq!(verdict(running("06", &none), "00.1", "05.5"), Verdict::Gone);
    }

    #[test]
    fn run_of_terminated_or_waiting_container_is_over() {
        let state = |state: Value| status(json!({"state": state}));
        assert_eq!(verdict(state(ended("00", "06")), "00.1", "05.5"), OVER);
        assert_eq!(verdict(state(ended("07", "08")), "00.1", "05.5"), Verdict::Gone);
        let waits = |last: Value| status(json!({"state": {"waiting": {}}, "lastState": last}));
        assert!(matches!(verdict(waits(ended("00", "06")), "00.1", "05.5"), Verdict::Previous(_)));
        assert_eq!(verdict(waits(ended("07", "08")), "00.1", "05.5"), Verdict::Gone);
    }

    #[test]
    fn container_never_started_belongs_to_another_pod() {
        assert_eq!(verdict(status(json!({"state": {"waiting": {}}})), "00.1", "05.5"), Verdict::Gone);
        assert_eq!(verdict(None, "00.1", "05.5"), Verdict::Gone);
    }

    #[test]
    fn silent_run_is_distinguished_from_next_by_restart_count() {
        let run = RunId { pod: "5f1c".into(), restarts: 1 };
        let after = |restarts: i64, state: Value| {
            status(json!({"restartCount": restarts, "state": state, "lastState": ended("00", "05")}))
        };
        let running = || json!({"running": {"startedAt": at("06")}});
        let verdict = |status: Option<Status>| verdict_by_restarts(status.as_ref(), &run);
        assert_eq!(verdict(after(1, running())), RUNNING);
        assert!(matches!(verdict(after(1, json!({"waiting": {}}))), Verdict::Previous(_)));
        assert!(matches!(verdict(after(2, running())), Verdict::Previous(_)));
        assert_eq!(verdict(after(2, json!({"waiting": {}}))), Verdict::Gone);
        assert_eq!(verdict(after(3, running())), Verdict::Gone);
        let of_another = RunId { pod: "another".into(), restarts: 1 };
        assert_eq!(verdict_by_restarts(after(1, running()).as_ref(), &of_another), Verdict::Gone);
    }

    #[test]
    fn status_is_that_of_named_container() {
        let pod = json!({"status": {
            "containerStatuses": [{"name": "main", "restartCount": 1}],
            "initContainerStatuses": [{"name": "fetch", "restartCount": 2}],
        }});
        let restarts = |name| Status::of(&pod, name).map(|status| status.id.restarts);
        assert_eq!(restarts(Some("fetch")), Some(2));
        assert_eq!(restarts(None), Some(1));
        assert_eq!(restarts(Some("other")), None);
    }
}
