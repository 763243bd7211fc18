//! Shortens the API server's errors about an invalid object to one line.

use crate::error::{Error, ErrorCode};

/// The prefix of the error for an applied object that does not match its schema.
const SCHEMA_MISMATCH: &str = "failed to create typed patch object ";

/// Shortens an error to the field and the reason; `what` is the object, such as `the training job`.
///
/// Webhooks and schemas wrap the reason: `admission webhook "…" denied the request: spec.x: Invalid value:
/// v1alpha1.RuntimeRef{Name:"…", …}: …`. The name of the webhook and the Go struct are removed. Errors about missing
/// permissions are returned unchanged.
pub fn shorten_rejection(error: Error, what: &str) -> Error {
    let readable = matches!(
        error.code,
        ErrorCode::Invalid | ErrorCode::Failed | ErrorCode::Internal | ErrorCode::Conflict
    );
    if !readable {
        return error;
    }
    // The API server reports an unknown field as an internal error.
    let code = if error.message.contains(SCHEMA_MISMATCH) { ErrorCode::Invalid } else { error.code };
    let message = without_structs(&with_plain_values(after_wrapping(&error.message)));
    Error { code, message: format!("{}{message}", rejection_prefix(what)), ..error }
}

/// The beginning of the messages of [`shorten_rejection`].
pub fn rejection_prefix(what: &str) -> String {
    format!("the cluster rejected {what}: ")
}

fn after_wrapping(message: &str) -> &str {
    if let Some((_, rest)) = message.split_once(SCHEMA_MISMATCH) {
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

/// The start of a value as Go formats it.
const GO_VALUE: &str = "&value.valueUnstructured{Value:";

/// Formats values plainly: `got &value.valueUnstructured{Value:true}` becomes `got true`.
fn with_plain_values(message: &str) -> String {
    let mut plain = String::new();
    let mut rest = message;
    while let Some((before, found)) = rest.split_once(GO_VALUE) {
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

/// Removes structs such as `v1alpha1.RuntimeRef{…}` and the colon before them. The reason after a truncated struct is
/// kept.
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

/// Removes the brackets and commas that a list of structs leaves.
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
        shorten_rejection(Error::invalid(message), "the training job").message
    }

    #[test]
    fn webhook_name_and_go_structs_are_removed() {
        let message = plain(
            "admission webhook \"validator.trainjob.trainer.kubeflow.org\" denied the request: spec.runtimeRef: \
             Invalid value: v1alpha1.RuntimeRef{Name:\"x\", APIGroup:(*string)(0xc0)}: specified \
             clusterTrainingRuntime must be created before the TrainJob is created",
        );
        assert_eq!(
            message,
            "the cluster rejected the training job: spec.runtimeRef: Invalid value: specified \
             clusterTrainingRuntime must be created before the TrainJob is created"
        );
    }

    #[test]
    fn value_of_wrong_type_is_shown_plainly() {
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
    fn reason_after_truncated_struct_is_kept() {
        let message = plain(
            "admission webhook \"v\" denied the request: spec.podTemplateOverrides: Invalid value: \
             []v1alpha1.PodTemplateOverride{v1alpha1.PodTemplateOverride{TargetJobs:[]v1alpha1.Tar … \
             v1.Toleration(nil)}}}: must not be set for a job that runs",
        );
        assert_eq!(
            message,
            "the cluster rejected the training job: spec.podTemplateOverrides: Invalid value: … must not be set for a job that runs"
        );
    }

    #[test]
    fn list_of_go_structs_is_removed() {
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
    fn schema_error_names_field() {
        let message = plain(
            "TrainJob.trainer.kubeflow.org \"mnist\" is invalid: spec.trainer.numNodes: Invalid value: \
             \"string\": must be of type integer",
        );
        assert!(
            message.ends_with(": spec.trainer.numNodes: Invalid value: \"string\": must be of type integer")
        );
    }

    #[test]
    fn unknown_field_is_invalid_input() {
        let message = "failed to create typed patch object (team-a/mnist; trainer.kubeflow.org/v1alpha1, \
                       Kind=TrainJob): .spec.trainr: field not declared in schema";
        let error = shorten_rejection(Error::new(ErrorCode::Internal, message), "the training job");
        assert_eq!(error.code, ErrorCode::Invalid);
        let expected = "the cluster rejected the training job: .spec.trainr: field not declared in schema";
        assert_eq!(error.message, expected);
    }

    #[test]
    fn forbidden_error_is_unchanged() {
        let forbidden = Error::forbidden("you may not patch trainjobs in team-a").hint("ask bob");
        assert_eq!(shorten_rejection(forbidden.clone(), "the training job"), forbidden);
    }
}
