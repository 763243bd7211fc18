//! What an API server says when it refuses a job, as one line a person can act on.

use kf_plugin_sdk::manifest::plain_refusal;
use kf_plugin_sdk::prelude::*;

use crate::renamed;

/// The part of the message that names the field and the reason, and another name in place of the typed
/// one where what is there cannot change.
///
/// Fields that somebody else set are no mistake of the file, and a job that runs is not changed: another
/// name is the way.
pub fn explain(kf: &Kf, error: Error, name: &str, typed: &str) -> Error {
    let by_another = error.is(ErrorCode::Conflict) && error.message.contains("conflict with");
    let error = plain_refusal(error, "the training job");
    if by_another {
        let message = format!("training job {name} exists, and others have set its fields: {}", told(&error));
        return Error::new(ErrorCode::Conflict, message).hint(renamed(kf, typed));
    }
    let Some(reason) = error.message.strip_prefix(REFUSED).filter(|reason| reason.contains("immutable"))
    else {
        return error;
    };
    let message = format!("training job {name} exists, and what it runs cannot change: {reason}");
    Error::new(ErrorCode::Conflict, message).hint(renamed(kf, typed))
}

/// The reason alone.
fn told(error: &Error) -> &str {
    error.message.strip_prefix(REFUSED).unwrap_or(&error.message)
}

const REFUSED: &str = "the cluster refuses the training job: ";

#[cfg(test)]
mod tests {
    use kf_plugin_sdk::testing::FakeHost;

    use super::*;

    fn explained(error: Error) -> Error {
        explain(&FakeHost::new("team-a").kf(), error, "mnist", "mnist")
    }

    #[test]
    fn what_cannot_change_asks_for_another_name() {
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
    fn fields_of_another_manager_ask_for_another_name() {
        let message = "Apply failed with 1 conflict: conflict with \"kubectl-client-side-apply\" using \
                       trainer.kubeflow.org/v1alpha1: .spec.trainer.numNodes";
        let error = explained(Error::new(ErrorCode::Conflict, message));
        assert_eq!(error.code, ErrorCode::Conflict);
        assert_eq!(
            error.message,
            format!("training job mnist exists, and others have set its fields: {message}")
        );
        assert_eq!(error.hint.as_deref(), Some("kf mnist-2"));
    }

    #[test]
    fn what_is_refused_for_another_reason_is_told_plainly() {
        let message =
            "admission webhook \"v\" denied the request: spec.trainer.numProcPerNode: must be positive";
        let error = explained(Error::invalid(message));
        assert_eq!(
            error.message,
            "the cluster refuses the training job: spec.trainer.numProcPerNode: must be positive"
        );
        let forbidden = Error::forbidden("you may not patch immutable things").hint("ask bob");
        assert_eq!(explained(forbidden.clone()), forbidden);
    }
}
