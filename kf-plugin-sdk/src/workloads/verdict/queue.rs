//! Workloads that wait in a queue of Kueue.
//!
//! The status of a queued job only says that it is suspended. Kueue creates a `Workload` owned by it, whose conditions
//! say what it waits for. All pending workloads of a local queue are in its namespace, so the position in that queue is
//! counted here. The position in the cluster queue, which other namespaces share, needs the visibility API.

use std::cmp::Reverse;

use serde_json::Value;

use super::Clue;
use crate::objects::Object;

/// Returns what a workload waits for, and its position in the queue; `None` if it is not queued.
pub(super) fn place(object: &Object, workloads: &[&Object]) -> Option<(String, Option<Clue>)> {
    let own = workloads.iter().find(|workload| is_of(workload, object))?;
    if own.condition_holds("Admitted") || own.condition_holds("Finished") {
        return None;
    }
    let queue = own.str("/spec/queueName").unwrap_or_default();
    let mut clue = None;
    let mut why = if own.condition_holds("QuotaReserved") {
        format!("quota reserved in queue {queue}, {}", unchecked(own))
    } else {
        clue = Some(Clue::Queue { queue: queue.to_owned(), workload: own.name().to_owned() });
        let waiting = own.condition("QuotaReserved").map_or("", |condition| condition.message);
        let place = position(own, workloads);
        let waits = format!("{place} in queue {queue}");
        if waiting.is_empty() { waits } else { format!("{waits}: {waiting}") }
    };
    if own.condition_holds("Preempted") {
        why = format!("preempted, now {why}");
    }
    Some((why, clue))
}

fn is_of(workload: &Object, object: &Object) -> bool {
    let owned = workload.list("/metadata/ownerReferences").iter().any(|owner| {
        let is = |field: &str, value: Option<&str>| owner.get(field).and_then(Value::as_str) == value;
        is("uid", object.uid()) && is("kind", Some(object.kind()))
    });
    owned || object.uid().is_some_and(|uid| workload.label("kueue.x-k8s.io/job-uid") == Some(uid))
}

/// Returns the pending admission checks of a workload with reserved quota.
fn unchecked(workload: &Object) -> String {
    let checks = workload.list("/status/admissionChecks").iter().filter_map(|check| {
        let text = |field: &str| check.get(field).and_then(Value::as_str);
        (text("state") != Some("Ready")).then(|| {
            let message = text("message").filter(|message| !message.is_empty());
            let message = message.map(|message| format!(" ({message})")).unwrap_or_default();
            format!("{}{message}", text("name").unwrap_or("an admission check"))
        })
    });
    let checks: Vec<_> = checks.collect();
    if checks.is_empty() {
        "not admitted yet".to_owned()
    } else {
        format!("waiting for {}", checks.join(", "))
    }
}

/// Returns the position, such as `2nd of 3`: by priority, then by age, as in Kueue.
fn position(own: &Object, workloads: &[&Object]) -> String {
    let queue = own.str("/spec/queueName");
    let mut pending: Vec<_> = workloads
        .iter()
        .filter(|workload| workload.str("/spec/queueName") == queue)
        .filter(|workload| {
            !workload.condition_holds("QuotaReserved") && !workload.condition_holds("Finished")
        })
        .filter(|workload| workload.bool("/spec/active") != Some(false))
        .collect();
    pending.sort_by_key(|workload| {
        let priority = workload.int("/spec/priority").unwrap_or(0);
        (Reverse(priority), workload.created(), workload.name().to_owned())
    });
    match pending.iter().position(|workload| workload.name() == own.name()) {
        Some(place) => format!("{} of {}", ordinal(place + 1), pending.len()),
        None => "held".to_owned(),
    }
}

pub(super) fn ordinal(number: usize) -> String {
    let ending = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{ending}")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reason(object: &Object, workloads: &[&Object]) -> Option<String> {
        place(object, workloads).map(|(why, _)| why)
    }

    fn job(name: &str) -> Object {
        json!({ "kind": "TrainJob", "metadata": { "name": name, "uid": format!("uid-{name}") } }).into()
    }

    fn workload(of: &str, minute: u32, priority: i64, conditions: Value) -> Object {
        json!({
            "kind": "Workload",
            "metadata": {
                "name": format!("trainjob-{of}"), "creationTimestamp": format!("2026-01-01T12:{minute:02}:00Z"),
                "ownerReferences": [{ "kind": "TrainJob", "name": of, "uid": format!("uid-{of}") }],
            },
            "spec": { "queueName": "team", "priority": priority },
            "status": { "conditions": conditions },
        })
        .into()
    }

    fn waits(message: &str) -> Value {
        json!([{ "type": "QuotaReserved", "status": "False", "reason": "Pending", "message": message }])
    }

    #[test]
    fn position_counts_only_pending_workloads() {
        let admitted =
            json!([{ "type": "QuotaReserved", "status": "True" }, { "type": "Admitted", "status": "True" }]);
        let all = [
            workload("runs", 1, 0, admitted),
            workload("old", 2, 0, waits("200m more needed")),
            workload("new", 3, 0, waits("")),
            workload("urgent", 4, 10, waits("")),
        ];
        let all: Vec<_> = all.iter().collect();
        assert_eq!(reason(&job("runs"), &all), None);
        assert_eq!(reason(&job("old"), &all).unwrap(), "2nd of 3 in queue team: 200m more needed");
        assert_eq!(reason(&job("new"), &all).unwrap(), "3rd of 3 in queue team");
        assert_eq!(reason(&job("urgent"), &all).unwrap(), "1st of 3 in queue team");
        assert_eq!(reason(&job("free"), &all), None);
    }

    #[test]
    fn workload_of_earlier_job_of_same_name_is_ignored() {
        let workload = workload("mnist", 1, 0, waits("no room"));
        let mut again = job("mnist");
        again.set("/metadata/uid", "another");
        assert_eq!(reason(&again, &[&workload]), None);
    }

    #[test]
    fn reserved_quota_waits_for_admission_checks() {
        let mut workload = workload("mnist", 1, 0, json!([{ "type": "QuotaReserved", "status": "True" }]));
        let checks = json!([{ "name": "provision", "state": "Pending", "message": "no nodes" }]);
        workload.set("/status/admissionChecks", checks);
        let reserved = "quota reserved in queue team, waiting for provision (no nodes)";
        assert_eq!(reason(&job("mnist"), &[&workload]).unwrap(), reserved);
    }

    #[test]
    fn ordinals_are_english() {
        let words: Vec<_> = [1, 2, 3, 4, 11, 12, 13, 21, 112].map(ordinal).into();
        assert_eq!(words, ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "112th"]);
    }
}
