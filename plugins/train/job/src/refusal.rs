//! What an API server says when it refuses a job, as one line a person can act on.

use kf_plugin_sdk::manifest::plain_refusal;
use kf_plugin_sdk::prelude::*;

use crate::Spelling;

/// The part of the message that names the field and the reason, and another name where what is there
/// cannot change.
pub fn explain(error: Error, name: &str, spelling: &impl Spelling) -> Error {
    let error = plain_refusal(error, "the training job");
    let Some(reason) = error.message.strip_prefix(REFUSED).filter(|reason| reason.contains("immutable"))
    else {
        return error;
    };
    let message = format!("training job {name} exists, and what it runs cannot change: {reason}");
    Error::new(ErrorCode::Conflict, message).hint(spelling.under_a_new_name())
}

const REFUSED: &str = "the cluster refuses the training job: ";

#[cfg(test)]
mod tests {
    use super::*;

    struct Mnist;

    impl Spelling for Mnist {
        fn with_runtime(&self, runtime: &str) -> String {
            format!("kf train mnist --runtime {runtime}")
        }

        fn under_a_new_name(&self) -> String {
            "kf train mnist-2".to_owned()
        }
    }

    #[test]
    fn what_cannot_change_asks_for_another_name() {
        let message = "TrainJob \"mnist\" is invalid: spec.runtimeRef: Invalid value: \"object\": runtimeRef is immutable";
        let error = explain(Error::invalid(message), "mnist", &Mnist);
        assert_eq!(error.code, ErrorCode::Conflict);
        assert!(
            error.message.ends_with(
                "cannot change: spec.runtimeRef: Invalid value: \"object\": runtimeRef is immutable"
            )
        );
        assert_eq!(error.hint.as_deref(), Some("kf train mnist-2"));
    }

    #[test]
    fn what_is_refused_for_another_reason_is_told_plainly() {
        let message =
            "admission webhook \"v\" denied the request: spec.trainer.numProcPerNode: must be positive";
        let error = explain(Error::invalid(message), "mnist", &Mnist);
        assert_eq!(
            error.message,
            "the cluster refuses the training job: spec.trainer.numProcPerNode: must be positive"
        );
        let forbidden = Error::forbidden("you may not patch immutable things").hint("ask bob");
        assert_eq!(explain(forbidden.clone(), "mnist", &Mnist), forbidden);
    }
}
