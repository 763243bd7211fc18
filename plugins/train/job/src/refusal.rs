//! What an API server says when it refuses a job, as one line a person can act on.

use kf_plugin_sdk::prelude::*;

use crate::Spelling;

/// How the API server starts when an applied object does not fit its schema.
const NOT_OF_THE_SCHEMA: &str = "failed to create typed patch object ";

/// The part of the message that names the field and the reason.
///
/// Webhooks and schemas wrap it: `admission webhook "…" denied the request: spec.x: Invalid value:
/// v1alpha1.RuntimeRef{Name:"…", …}: …`. The name of the webhook and Go's view of a struct help
/// nobody who wrote YAML.
pub fn explain(error: Error, name: &str, spelling: &impl Spelling) -> Error {
    let readable = matches!(
        error.code,
        ErrorCode::Invalid | ErrorCode::Failed | ErrorCode::Internal | ErrorCode::Conflict
    );
    if !readable {
        return error;
    }
    let message = without_structs(after_wrapping(&error.message));
    if message.contains("immutable") {
        let message = format!("training job {name} exists, and what it runs cannot change: {message}");
        return Error::new(ErrorCode::Conflict, message).hint(spelling.under_a_new_name());
    }
    // The API server calls an unknown field an internal error; it is the file's.
    let code = if error.message.contains(NOT_OF_THE_SCHEMA) { ErrorCode::Invalid } else { error.code };
    Error { code, message: format!("the cluster refuses the training job: {message}"), ..error }
}

fn after_wrapping(message: &str) -> &str {
    if let Some((_, rest)) = message.split_once(NOT_OF_THE_SCHEMA) {
        // The object's name and kind follow in parentheses.
        return rest.split_once("): ").map_or(rest, |(_, rest)| rest);
    }
    for wrapping in ["denied the request: ", " is invalid: "] {
        if let Some((_, rest)) = message.split_once(wrapping) {
            return rest;
        }
    }
    message
}

/// Leaves out `v1alpha1.RuntimeRef{…}` and the colon before it.
fn without_structs(message: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_u32;
    for letter in message.chars() {
        match letter {
            '{' => {
                if depth == 0 {
                    let start = plain.rfind([' ', ',', '[']).map_or(0, |position| position + 1);
                    plain.truncate(start);
                }
                depth += 1;
            }
            '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(letter),
            _ => {}
        }
    }
    without_empty_lists(&plain).replace(": : ", ": ").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A list of structs leaves its brackets and commas behind.
fn without_empty_lists(text: &str) -> String {
    let mut parts = text.split('[');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        match part.split_once(']') {
            Some((inside, rest)) if inside.chars().all(|letter| letter == ',' || letter == ' ') => {
                plain.push_str(rest);
            }
            _ => {
                plain.push('[');
                plain.push_str(part);
            }
        }
    }
    plain
}

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

    fn explained(message: &str) -> Error {
        explain(Error::invalid(message), "mnist", &Mnist)
    }

    #[test]
    fn a_webhook_is_quoted_without_its_name_and_go_structs() {
        let error = explained(
            "admission webhook \"validator.trainjob.trainer.kubeflow.org\" denied the request: spec.runtimeRef: \
             Invalid value: v1alpha1.RuntimeRef{Name:\"x\", APIGroup:(*string)(0xc0)}: specified \
             clusterTrainingRuntime must be created before the TrainJob is created",
        );
        assert_eq!(
            error.message,
            "the cluster refuses the training job: spec.runtimeRef: Invalid value: specified \
             clusterTrainingRuntime must be created before the TrainJob is created"
        );
    }

    #[test]
    fn a_list_of_go_structs_goes_as_a_whole() {
        let error = explained(
            "admission webhook \"v\" denied the request: spec.trainer.env: Invalid value: \
             [v1.EnvVar{Name:\"A\"}, v1.EnvVar{Name:\"B\"}]: invalid envs configured: [B]",
        );
        assert!(
            error.message.ends_with(": spec.trainer.env: Invalid value: invalid envs configured: [B]"),
            "{}",
            error.message
        );
    }

    #[test]
    fn a_schema_error_names_the_field() {
        let error = explained(
            "TrainJob.trainer.kubeflow.org \"mnist\" is invalid: spec.trainer.numNodes: Invalid value: \
             \"string\": must be of type integer",
        );
        assert!(
            error
                .message
                .ends_with(": spec.trainer.numNodes: Invalid value: \"string\": must be of type integer")
        );
    }

    #[test]
    fn an_unknown_field_is_the_files_mistake() {
        let message = "failed to create typed patch object (team-a/mnist; trainer.kubeflow.org/v1alpha1, \
                       Kind=TrainJob): .spec.trainr: field not declared in schema";
        let error = explain(Error::new(ErrorCode::Internal, message), "mnist", &Mnist);
        assert_eq!(error.code, ErrorCode::Invalid);
        let expected = "the cluster refuses the training job: .spec.trainr: field not declared in schema";
        assert_eq!(error.message, expected);
    }

    #[test]
    fn what_cannot_change_asks_for_another_name() {
        let error = explained(
            "TrainJob \"mnist\" is invalid: spec.runtimeRef: Invalid value: \"object\": runtimeRef is immutable",
        );
        assert_eq!(error.code, ErrorCode::Conflict);
        assert_eq!(error.hint.as_deref(), Some("kf train mnist-2"));
    }

    #[test]
    fn a_refusal_of_rights_is_left_to_the_host() {
        let forbidden = Error::forbidden("you may not patch trainjobs in team-a").hint("ask bob");
        assert_eq!(explain(forbidden.clone(), "mnist", &Mnist), forbidden);
    }
}
