use std::time::Duration;

use crate::clock::Timestamp;
use crate::objects::Object;

/// How a workload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub succeeded: bool,
    /// A reason such as `DeadlineExceeded`; empty if there is none.
    pub reason: String,
    pub message: String,
    /// The time from its creation to its end, if both are known.
    pub took: Option<Duration>,
}

impl Outcome {
    /// Returns the reason and message as one line; `None` if both are empty.
    pub fn summary(&self) -> Option<String> {
        let parts = [self.reason.as_str(), self.message.as_str()];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        (!parts.is_empty()).then(|| parts.join(": "))
    }
}

/// Returns how a workload that runs to completion ended; `None` if it has not ended.
///
/// Only conditions with the status `True` count. A controller may also list conditions whose status is `False`, and the
/// last condition in the list is not necessarily the latest.
pub fn outcome(object: &Object) -> Option<Outcome> {
    match object.kind() {
        "Pod" => return pod_outcome(object),
        "SparkApplication" => return spark_outcome(object),
        _ => {}
    }
    let ended = object.conditions().filter(|condition| condition.status == "True").find_map(|condition| {
        let succeeded = match condition.kind {
            "Complete" | "Completed" | "Succeeded" | "EarlyStopped" => true,
            "Failed" | "Killed" | "MetricsUnavailable" => false,
            _ => return None,
        };
        Some((succeeded, condition))
    });
    let (succeeded, condition) = ended?;
    let end = object
        .list("/status/conditions")
        .iter()
        .find(|one| one.get("type").and_then(|kind| kind.as_str()) == Some(condition.kind))
        .and_then(|one| one.get("lastTransitionTime")?.as_str())
        .and_then(Timestamp::parse);
    Some(Outcome {
        succeeded,
        reason: condition.reason.to_owned(),
        message: condition.message.to_owned(),
        took: end.zip(object.created()).map(|(end, start)| start.age(end)),
    })
}

fn pod_outcome(pod: &Object) -> Option<Outcome> {
    let succeeded = match pod.str("/status/phase")? {
        "Succeeded" => true,
        "Failed" => false,
        _ => return None,
    };
    Some(Outcome {
        succeeded,
        reason: pod.str("/status/reason").unwrap_or_default().to_owned(),
        message: pod.str("/status/message").unwrap_or_default().to_owned(),
        took: None,
    })
}

/// Only these two states are final: the operator retries a failed submission.
fn spark_outcome(application: &Object) -> Option<Outcome> {
    let succeeded = match application.str("/status/applicationState/state")? {
        "COMPLETED" => true,
        "FAILED" => false,
        _ => return None,
    };
    let end = application.time("/status/terminationTime");
    Some(Outcome {
        succeeded,
        reason: String::new(),
        message: application.str("/status/applicationState/errorMessage").unwrap_or_default().to_owned(),
        took: end.zip(application.created()).map(|(end, start)| start.age(end)),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn train_job(conditions: serde_json::Value) -> Object {
        json!({
            "kind": "TrainJob",
            "metadata": { "name": "mnist", "creationTimestamp": "2026-01-01T12:00:00Z" },
            "status": { "conditions": conditions },
        })
        .into()
    }

    #[test]
    fn false_condition_is_not_an_end() {
        let resumed = train_job(json!([
            { "type": "Failed", "status": "False" },
            { "type": "Suspended", "status": "False", "reason": "Resumed" },
        ]));
        assert_eq!(outcome(&resumed), None);
        assert_eq!(outcome(&train_job(json!(null))), None);
    }

    #[test]
    fn outcome_has_duration() {
        let done = train_job(json!([
            { "type": "Complete", "status": "True", "reason": "JobsCompleted",
              "lastTransitionTime": "2026-01-01T12:03:12Z" },
            { "type": "Suspended", "status": "False" },
        ]));
        let outcome = outcome(&done).unwrap();
        assert!(outcome.succeeded);
        assert_eq!(outcome.took, Some(Duration::from_secs(192)));
    }
}
