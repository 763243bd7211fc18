//! What an API server says when it refuses an object, as one line a person can act on.

use crate::error::{Error, ErrorCode};

/// How the API server starts when an applied object does not fit its schema.
const NOT_OF_THE_SCHEMA: &str = "failed to create typed patch object ";

/// The part of a refusal that names the field and the reason; `what` is what was refused, such as
/// `the training job`.
///
/// Webhooks and schemas wrap it: `admission webhook "…" denied the request: spec.x: Invalid value:
/// v1alpha1.RuntimeRef{Name:"…", …}: …`. The name of the webhook and Go's view of a struct help
/// nobody who wrote YAML. Missing rights are left to kf, which says it better.
pub fn plain_refusal(error: Error, what: &str) -> Error {
    let readable = matches!(
        error.code,
        ErrorCode::Invalid | ErrorCode::Failed | ErrorCode::Internal | ErrorCode::Conflict
    );
    if !readable {
        return error;
    }
    // The API server calls an unknown field an internal error; it is the file's.
    let code = if error.message.contains(NOT_OF_THE_SCHEMA) { ErrorCode::Invalid } else { error.code };
    let message = without_structs(&with_plain_values(after_wrapping(&error.message)));
    Error { code, message: format!("the cluster refuses {what}: {message}"), ..error }
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

/// Go's view of the value that was found where another type was expected.
const FOUND: &str = "&value.valueUnstructured{Value:";

/// `expected string, got &value.valueUnstructured{Value:true}` says `got true`.
fn with_plain_values(message: &str) -> String {
    let mut plain = String::new();
    let mut rest = message;
    while let Some((before, found)) = rest.split_once(FOUND) {
        plain.push_str(before);
        let mut depth = 1_u32;
        let end = found.char_indices().find(|(_, letter)| {
            match letter {
                '{' => depth += 1,
                '}' => depth -= 1,
                _ => {}
            }
            depth == 0
        });
        let (value, after) = end.map_or((found, ""), |(at, _)| found.split_at(at));
        plain.push_str(match value {
            mapping if mapping.starts_with("map[") => "a mapping",
            list if list.starts_with("[]") => "a list",
            "interface {}(nil)" | "<nil>" => "null",
            value => value,
        });
        rest = after.strip_prefix('}').unwrap_or(after);
    }
    plain.push_str(rest);
    plain
}

/// Leaves out `v1alpha1.RuntimeRef{…}` and the colon before it. What follows a struct that was cut off is
/// the reason, and stays.
fn without_structs(message: &str) -> String {
    if let Some((head, tail)) = message.split_once('…')
        && let Some((_, reason)) = tail.rsplit_once('}')
        && let Some((before, _)) = head.split_once('{')
    {
        let before = before.trim_end_matches(|letter: char| !letter.is_whitespace());
        return format!("{before}… {}", reason.trim_start_matches([':', ' ']));
    }
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

    fn plain(message: &str) -> String {
        plain_refusal(Error::invalid(message), "the training job").message
    }

    #[test]
    fn a_webhook_is_quoted_without_its_name_and_go_structs() {
        let message = plain(
            "admission webhook \"validator.trainjob.trainer.kubeflow.org\" denied the request: spec.runtimeRef: \
             Invalid value: v1alpha1.RuntimeRef{Name:\"x\", APIGroup:(*string)(0xc0)}: specified \
             clusterTrainingRuntime must be created before the TrainJob is created",
        );
        assert_eq!(
            message,
            "the cluster refuses the training job: spec.runtimeRef: Invalid value: specified \
             clusterTrainingRuntime must be created before the TrainJob is created"
        );
    }

    #[test]
    fn value_of_another_type_is_named() {
        let refused = |found: &str| {
            let message = plain(&format!(
                "failed to create typed patch object (team-a/mnist; trainer.kubeflow.org/v1alpha1, Kind=TrainJob): \
                 .spec.trainer.env[name=\"A\"].value: expected string, got &value.valueUnstructured{{Value:{found}}}"
            ));
            let (_, got) =
                message.split_once(".spec.trainer.env[name=\"A\"].value: expected string, got ").unwrap();
            got.to_owned()
        };
        assert_eq!(refused("true"), "true");
        assert_eq!(refused("256"), "256");
        assert_eq!(refused("map[string]interface {}{\"a\":map[string]interface {}{}}"), "a mapping");
        assert_eq!(refused("[]interface {}{1, 2}"), "a list");
        assert_eq!(refused("interface {}(nil)"), "null");
        let two = plain(
            "failed to create typed patch object (a/b; c/v1, Kind=D): errors: .spec.a: expected string, got \
             &value.valueUnstructured{Value:1} .spec.b: expected string, got &value.valueUnstructured{Value:map[string]interface {}{}}",
        );
        assert!(
            two.ends_with(
                ": errors: .spec.a: expected string, got 1 .spec.b: expected string, got a mapping"
            ),
            "{two}"
        );
    }

    #[test]
    fn reason_after_a_struct_that_was_cut_off_stays() {
        let message = plain(
            "admission webhook \"v\" denied the request: spec.podTemplateOverrides: Invalid value: \
             []v1alpha1.PodTemplateOverride{v1alpha1.PodTemplateOverride{TargetJobs:[]v1alpha1.Tar … \
             v1.Toleration(nil)}}}: must not be set for a job that runs",
        );
        assert_eq!(
            message,
            "the cluster refuses the training job: spec.podTemplateOverrides: Invalid value: … must not be set for a job that runs"
        );
    }

    #[test]
    fn a_list_of_go_structs_goes_as_a_whole() {
        let message = plain(
            "admission webhook \"v\" denied the request: spec.trainer.env: Invalid value: \
             [v1.EnvVar{Name:\"A\"}, v1.EnvVar{Name:\"B\"}]: invalid envs configured: [B]",
        );
        assert!(
            message.ends_with(": spec.trainer.env: Invalid value: invalid envs configured: [B]"),
            "{message}"
        );
    }

    #[test]
    fn a_schema_error_names_the_field() {
        let message = plain(
            "TrainJob.trainer.kubeflow.org \"mnist\" is invalid: spec.trainer.numNodes: Invalid value: \
             \"string\": must be of type integer",
        );
        assert!(
            message.ends_with(": spec.trainer.numNodes: Invalid value: \"string\": must be of type integer")
        );
    }

    #[test]
    fn an_unknown_field_is_the_files_mistake() {
        let message = "failed to create typed patch object (team-a/mnist; trainer.kubeflow.org/v1alpha1, \
                       Kind=TrainJob): .spec.trainr: field not declared in schema";
        let error = plain_refusal(Error::new(ErrorCode::Internal, message), "the training job");
        assert_eq!(error.code, ErrorCode::Invalid);
        let expected = "the cluster refuses the training job: .spec.trainr: field not declared in schema";
        assert_eq!(error.message, expected);
    }

    #[test]
    fn a_refusal_of_rights_is_left_to_the_host() {
        let forbidden = Error::forbidden("you may not patch trainjobs in team-a").hint("ask bob");
        assert_eq!(plain_refusal(forbidden.clone(), "the training job"), forbidden);
    }
}
