use std::time::Duration;

use crate::clock::Timestamp;
use crate::objects::Object;

/// How a workload ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub succeeded: bool,
    /// Such as `DeadlineExceeded`; empty if the workload gives none.
    pub reason: String,
    pub message: String,
    /// From its creation to its end, if both are known.
    pub took: Option<Duration>,
}

impl Outcome {
    /// Reason and message in one line; none if it gives neither.
    pub fn said(&self) -> Option<String> {
        let said = [self.reason.as_str(), self.message.as_str()];
        let said: Vec<_> = said.into_iter().filter(|part| !part.is_empty()).collect();
        (!said.is_empty()).then(|| said.join(": "))
    }
}

/// How a job, training job, experiment, pod or whatever else ends by itself ended; none while it has
/// not.
///
/// Only conditions that hold count. A controller may list a condition whose status is `False`,
/// and the last one in the list need not be the latest.
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

/// Its operator tries a failed submission again, so only these two are an end.
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
    fn a_condition_that_does_not_hold_ends_nothing() {
        let resumed = train_job(json!([
            { "type": "Failed", "status": "False" },
            { "type": "Suspended", "status": "False", "reason": "Resumed" },
        ]));
        assert_eq!(outcome(&resumed), None);
        assert_eq!(outcome(&train_job(json!(null))), None);
    }

    #[test]
    fn the_end_says_how_long_it_took() {
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
