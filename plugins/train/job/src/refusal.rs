//! Explains in one line why the API server refuses a job.

use kf_plugin_sdk::manifest::{rejection_prefix, shorten_rejection};
use kf_plugin_sdk::prelude::*;

use crate::renamed;

/// Reduces an error to the field and the reason. For a conflict with an existing job, the hint is the command
/// line with another name in place of `typed`: its fields belong to another manager, or are immutable.
pub fn explain(kf: &Kf, error: Error, name: &str, typed: &str) -> Error {
    let is_owned_by_others = error.is(ErrorCode::Conflict) && error.message.contains("conflict with");
    let error = shorten_rejection(error, WHAT);
    if is_owned_by_others {
        let message =
            format!("training job {name} exists, and other managers own its fields: {}", reason(&error));
        return Error::new(ErrorCode::Conflict, message).hint(renamed(kf, typed));
    }
    let prefix = rejection_prefix(WHAT);
    let Some(reason) = error.message.strip_prefix(&prefix).filter(|reason| reason.contains("immutable"))
    else {
        return error;
    };
    let message = format!("training job {name} exists and cannot change: {reason}");
    Error::new(ErrorCode::Conflict, message).hint(renamed(kf, typed))
}

/// The reason without the prefix.
fn reason(error: &Error) -> &str {
    error.message.strip_prefix(&rejection_prefix(WHAT)).unwrap_or(&error.message)
}

/// What the API server refuses, in its messages.
const WHAT: &str = "the training job";

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    fn explained(error: Error) -> Error {
        explain(&FakeHost::new("team-a").kf(), error, "mnist", "mnist")
    }

    #[test]
    fn immutable_field_suggests_another_name() {
        let message = "TrainJob \"mnist\" is invalid: spec.runtimeRef: Invalid value: \"object\": runtimeRef is immutable";
        let error = explained(Error::invalid(message));
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(
            error.message.ends_with(
                "cannot change: spec.runtimeRef: Invalid value: \"object\": runtimeRef is immutable"
            )
        );
        assert_eq!(error.hint.as_deref(), Some("kf mnist-2"));
    }

    #[test]
    fn conflicting_manager_suggests_another_name() {
        let message = "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using \
                       trainer.kubeflow.org/v1alpha1: .spec.trainer.numNodes";
        let error = explained(Error::new(ErrorCode::Conflict, message));
        assert_eq!(error.code, ErrorCode::Conflict);
        assert_eq!(
            error.message,
            format!("training job mnist exists, and other managers own its fields: {message}")
        );
        assert_eq!(error.hint.as_deref(), Some("kf mnist-2"));
    }

    #[test]
    fn other_refusals_are_reduced_to_the_reason() {
        let message =
            "admission webhook \"v\" denied the request: spec.trainer.numProcPerNode: must be positive";
        let error = explained(Error::invalid(message));
        assert_eq!(
            error.message,
            "the cluster rejected the training job: spec.trainer.numProcPerNode: must be positive"
        );
        let forbidden = Error::forbidden("you may not patch immutable things").hint("ask bob");
        assert_eq!(explained(forbidden.clone()), forbidden);
    }
}
