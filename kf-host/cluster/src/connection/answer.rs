//! Turns error responses, the API server's `Status`, into [`ApiError`]s.
//!
//! The server's message is repeated where it matters, such as a rejection by a schema, a webhook or a policy, in one
//! line and without control characters. It often contains parts of the object, so a command only gets it if its grant
//! shows it that object; see [`ErrorDetail`].

use http::StatusCode;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::grants::{Access, Layer, Refusal};
use kf_core::text::one_line;
use kube::core::Status;
use kube::core::response::StatusCause;

/// How much of the server's message an error repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ErrorDetail {
    All,
    /// The reason and the paths of the fields.
    Fields,
    Reason,
}

/// Turns an error response into an error. `access` is what was requested, and `object` its display name, such as
/// `trainjob mnist in team-a`.
pub(crate) fn into_api_error(
    code: StatusCode,
    body: &[u8],
    access: Option<&Access>,
    object: &str,
    detail: ErrorDetail,
) -> ApiError {
    let status: Option<Status> = serde_json::from_slice(body).ok();
    let message = status.as_ref().map(|status| one_line(&status.message));
    let text = match (&status, &message) {
        // The aggregator answers this for an API whose server is unavailable.
        (None, _) | (_, None) if matches!(code.as_u16(), 502 | 503) => {
            format!("the server is currently unable to handle the request ({})", code.as_u16())
        }
        // Not a `Status`: perhaps the page of a proxy, which is not repeated.
        (None, _) | (_, None) => format!("response {} is not from the API server", code.as_u16()),
        (Some(_), Some(message)) if detail == ErrorDetail::All => message.clone(),
        (Some(status), _) => {
            let subject = if object.is_empty() { "the request" } else { object };
            format!("the API server refused {subject}: {}", summary(code, status, detail))
        }
    };
    let server_message = message.unwrap_or_default();
    let reason = status.as_ref().map(|status| status.reason.as_str()).unwrap_or_default();
    let error = |code, message: String, hint: Option<String>| ApiError { code, message, hint, refusal: None };
    match code.as_u16() {
        401 => error(
            ErrorCode::Unauthenticated,
            "the API server does not accept your credentials".into(),
            Some("renew the credentials in your kubeconfig, or use another kubeconfig".into()),
        ),
        403 => forbidden(&server_message, text, access),
        404 if let Some(namespace) = missing_namespace(status.as_ref(), access) => {
            error(ErrorCode::NotFound, format!("namespace {namespace} not found"), None)
        }
        404 if object.is_empty() => error(ErrorCode::NotFound, text, None),
        404 => error(ErrorCode::NotFound, format!("{object} not found"), None),
        409 if reason == "AlreadyExists" => {
            error(ErrorCode::Conflict, format!("{object} already exists"), None)
        }
        409 => error(ErrorCode::Conflict, text, None),
        410 => error(ErrorCode::Expired, "the list is too old to continue from".into(), None),
        400 | 405 | 406 | 413 | 415 | 422 => error(ErrorCode::Invalid, text, None),
        408 | 504 => error(ErrorCode::TimedOut, format!("the API server timed out: {text}"), None),
        429 => error(
            ErrorCode::TimedOut,
            format!("the API server is too busy: {text}"),
            Some("try again in a minute".into()),
        ),
        502 | 503 => error(
            ErrorCode::Unreachable,
            format!("the API server is not ready: {text}"),
            Some("try again in a minute".into()),
        ),
        500 if server_message.contains("failed calling webhook") => error(ErrorCode::Failed, text, None),
        other => error(ErrorCode::Internal, format!("the API server answered {other}: {text}"), None),
    }
}

/// The message of the API server, if the body is a `Status`.
pub(crate) fn status_message(body: &[u8]) -> Option<String> {
    let status: Status = serde_json::from_slice(body).ok()?;
    Some(one_line(&status.message)).filter(|message| !message.is_empty())
}

/// The reason, if the API defines it, and the fields it applies to. No free text is included, as a webhook controls
/// every field of its response.
fn summary(code: StatusCode, status: &Status, detail: ErrorDetail) -> String {
    let reason = known(&status.reason, &REASONS).map_or_else(|| code.as_u16().to_string(), str::to_owned);
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<String> = match detail {
        ErrorDetail::Reason => Vec::new(),
        ErrorDetail::All | ErrorDetail::Fields => causes.take(MAX_CAUSES).filter_map(cause).collect(),
    };
    if fields.is_empty() { reason } else { format!("{reason}: {}", fields.join(", ")) }
}

const MAX_CAUSES: usize = 8;
const MAX_PATH_CHARS: usize = 120;

/// The reasons of a `Status`.
const REASONS: [&str; 20] = [
    "AlreadyExists",
    "BadRequest",
    "Conflict",
    "Expired",
    "Forbidden",
    "Gone",
    "InternalError",
    "Invalid",
    "MethodNotAllowed",
    "NotAcceptable",
    "NotFound",
    "RequestEntityTooLarge",
    "ServerTimeout",
    "ServiceUnavailable",
    "StoreReadError",
    "Timeout",
    "TooManyRequests",
    "Unauthorized",
    "UnsupportedMediaType",
    "Unknown",
];

/// The reasons of the causes of a `Status`.
const CAUSES: [&str; 11] = [
    "FieldManagerConflict",
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueInvalid",
    "FieldValueNotFound",
    "FieldValueNotSupported",
    "FieldValueRequired",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
    "UnexpectedServerResponse",
];

fn known<'k>(word: &str, vocabulary: &[&'k str]) -> Option<&'k str> {
    vocabulary.iter().copied().find(|known| *known == word)
}

fn cause(cause: &StatusCause) -> Option<String> {
    let path = field_path(&cause.field)?;
    Some(match known(&cause.reason, &CAUSES) {
        Some(reason) => format!("{path} ({reason})"),
        None => path,
    })
}

/// The path of a field. Only indices are kept in brackets, as keys of maps and items of sets are content.
fn field_path(field: &str) -> Option<String> {
    let mut path = String::new();
    let mut rest = field.trim_start_matches('.');
    while let Some((names, bracket)) = rest.split_once('[') {
        let (inner, after) = bracket.split_once(']')?;
        let index = !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_digit());
        path.push_str(names);
        path.push('[');
        path.push_str(if index { inner } else { "…" });
        path.push(']');
        rest = after;
    }
    path.push_str(rest);
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-[]…".contains(c);
    let is_path = !path.is_empty() && path.chars().count() <= MAX_PATH_CHARS && path.chars().all(fits);
    is_path.then_some(path)
}

/// The namespace, if the namespace is missing rather than the object.
fn missing_namespace<'a>(status: Option<&Status>, access: Option<&'a Access>) -> Option<&'a str> {
    let details = status?.details.as_ref()?;
    let asked = access?.namespace.as_ref()?.as_str();
    (details.kind == "namespaces" && details.name == asked).then_some(asked)
}

/// A 403 comes from the authorizer or from admission: a webhook, a policy, pod security, a quota.
fn forbidden(server_message: &str, text: String, access: Option<&Access>) -> ApiError {
    if let Some(user) = denied_user(server_message) {
        let refusal = access.map(|access| {
            Box::new(Refusal { layer: Layer::Rbac, rule: access.missing_rule(), user: Some(user.to_owned()) })
        });
        let message = match access {
            // The name of the user is not included: it requires its own permission.
            Some(access) => format!("you are not allowed to {}", access.missing_rule()),
            None => text,
        };
        return ApiError { code: ErrorCode::Forbidden, message, hint: None, refusal };
    }
    let code =
        if server_message.contains("exceeded quota") { ErrorCode::Forbidden } else { ErrorCode::Invalid };
    ApiError::new(code, text)
}

/// The user in the authorizer's message `… User "alice" cannot get resource "pods" …`.
fn denied_user(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("User \"")?;
    let (user, rest) = rest.split_once('"')?;
    rest.starts_with(" cannot ").then_some(user)
}

#[cfg(test)]
mod tests {
    use kf_core::grants::{Verb, Want};
    use kf_core::names::{Group, Namespace, Resource};
    use serde_json::json;

    use super::*;

    fn access() -> Access {
        Access {
            verb: Verb::Create,
            group: Group::parse("trainer.kubeflow.org").unwrap(),
            resource: Resource::parse("trainjobs").unwrap(),
            namespace: Some(Namespace::parse("team-a").unwrap()),
            name: None,
            environment: Namespace::parse("team-a").unwrap(),
            want: Want::Plain,
        }
    }

    fn answer(code: u16, reason: &str, message: &str) -> ApiError {
        let status = json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message});
        into_api_error(
            StatusCode::from_u16(code).unwrap(),
            status.to_string().as_bytes(),
            Some(&access()),
            "trainjob mnist in team-a",
            ErrorDetail::All,
        )
    }

    #[test]
    fn denial_of_authorizer_names_user_and_rule() {
        let error = answer(
            403,
            "Forbidden",
            "trainjobs.trainer.kubeflow.org is forbidden: User \"alice\" cannot create resource \"trainjobs\" \
             in API group \"trainer.kubeflow.org\" in the namespace \"team-a\"",
        );
        assert_eq!(error.code, ErrorCode::Forbidden);
        assert_eq!(error.message, "you are not allowed to create trainjobs.trainer.kubeflow.org in team-a");
        let refusal = error.refusal.unwrap();
        assert_eq!(refusal.layer, Layer::Rbac);
        assert_eq!(refusal.user.as_deref(), Some("alice"));
    }

    #[test]
    fn denial_of_admission_keeps_message_in_one_line() {
        for (code, message) in [
            (403, "admission webhook \"v.example\" denied the request: no\n  big\u{1b}[31m jobs"),
            (403, "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": …"),
            (422, "trainjobs \"x\" is forbidden: ValidatingAdmissionPolicy 'p' denied request: no"),
            (400, "admission webhook \"v.example\" denied the request: no"),
        ] {
            let error = answer(code, "Forbidden", message);
            assert_eq!(error.code, ErrorCode::Invalid, "{message}");
            assert!(error.refusal.is_none());
            assert!(!error.message.contains(['\n', '\u{1b}']));
        }
        let error = answer(403, "Forbidden", "pods \"x\" is forbidden: exceeded quota: q, requested: …");
        assert_eq!(error.code, ErrorCode::Forbidden);
    }

    #[test]
    fn http_status_maps_to_error_code() {
        for (code, reason, expected) in [
            (401, "Unauthorized", ErrorCode::Unauthenticated),
            (404, "NotFound", ErrorCode::NotFound),
            (409, "AlreadyExists", ErrorCode::Conflict),
            (409, "Conflict", ErrorCode::Conflict),
            (410, "Expired", ErrorCode::Expired),
            (422, "Invalid", ErrorCode::Invalid),
            (429, "TooManyRequests", ErrorCode::TimedOut),
            (503, "ServiceUnavailable", ErrorCode::Unreachable),
            (504, "Timeout", ErrorCode::TimedOut),
            (500, "InternalError", ErrorCode::Internal),
        ] {
            assert_eq!(answer(code, reason, "words").code, expected, "{code}");
        }
        assert_eq!(answer(404, "NotFound", "x").message, "trainjob mnist in team-a not found");
        assert_eq!(answer(409, "AlreadyExists", "x").message, "trainjob mnist in team-a already exists");
    }

    #[test]
    fn response_that_is_not_a_status_is_not_repeated() {
        let error = into_api_error(
            StatusCode::FORBIDDEN,
            b"<html>secret</html>",
            Some(&access()),
            "x",
            ErrorDetail::All,
        );
        assert!(!error.message.contains("html"));
    }

    #[test]
    fn withheld_message_leaves_reason_and_fields() {
        let status = |reason: &str, causes: serde_json::Value| {
            json!({"kind": "Status", "status": "Failure", "code": 422, "reason": reason,
                   "message": "Invalid value: hunter2", "details": {"name": "hunter2", "causes": causes}})
        };
        let message = |status: serde_json::Value, detail: ErrorDetail| {
            let code = StatusCode::UNPROCESSABLE_ENTITY;
            into_api_error(code, status.to_string().as_bytes(), None, "configmap x in team-a", detail).message
        };
        let causes = json!([
            {"field": ".spec.containers[name=\"hunter2\"].ports[0]", "reason": "FieldValueInvalid", "message": "hunter2"},
            {"field": "metadata.labels[hunter2]", "reason": "hunter2", "message": "hunter2"},
            {"field": "is hunter2, or so", "reason": "FieldValueInvalid", "message": "hunter2"},
            {"field": "data[hunter2", "reason": "FieldValueInvalid"},
            {"reason": "FieldValueInvalid", "message": "hunter2"},
        ]);
        assert_eq!(
            message(status("Invalid", causes.clone()), ErrorDetail::Fields),
            "the API server refused configmap x in team-a: \
             Invalid: spec.containers[…].ports[0] (FieldValueInvalid), metadata.labels[…]"
        );
        for (reason, expected) in [("Invalid", "Invalid"), ("hunter2", "422"), ("", "422")] {
            assert_eq!(
                message(status(reason, causes.clone()), ErrorDetail::Reason),
                format!("the API server refused configmap x in team-a: {expected}")
            );
        }
    }

    #[test]
    fn withheld_message_is_not_repeated_for_any_status() {
        let forged = "User \"hunter2\" cannot create: hunter2 exceeded quota failed calling webhook";
        for code in (400..=599).filter_map(|code| StatusCode::from_u16(code).ok()) {
            for detail in [ErrorDetail::Fields, ErrorDetail::Reason] {
                let body = json!({"kind": "Status", "code": code.as_u16(), "reason": "hunter2", "message": forged,
                                  "details": {"kind": "hunter2", "causes": [{"message": "hunter2"}]}});
                let error = into_api_error(code, body.to_string().as_bytes(), Some(&access()), "x", detail);
                assert!(!error.message.contains("hunter2"), "{code}: {error}");
                assert!(!error.hint.is_some_and(|hint| hint.contains("hunter2")), "{code}");
            }
        }
    }
}
