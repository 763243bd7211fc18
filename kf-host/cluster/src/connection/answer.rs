//! Answers that are not a success: the API server's `Status` as kf's words.
//!
//! The server's own words are repeated where they are the point, a rejection by a schema, a
//! webhook or a policy, in one line and without control characters. They often repeat the object
//! itself, so a command gets them only where its grant shows it that object; [`Words`] says so.

use http::StatusCode;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::grants::{Access, Layer, Refusal};
use kf_core::text::one_line;
use kube::core::Status;
use kube::core::response::StatusCause;

/// How much of the server's words an error repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Words {
    All,
    /// The reason and the paths of fields.
    Fields,
    Reason,
}

/// Turns a failed answer into an error. `access` is what was asked for, `object` how a person
/// would call it: `trainjob mnist in team-a`.
pub(crate) fn answered(
    code: StatusCode,
    body: &[u8],
    access: Option<&Access>,
    object: &str,
    repeated: Words,
) -> ApiError {
    let status: Option<Status> = serde_json::from_slice(body).ok();
    let said = status.as_ref().map(|status| one_line(&status.message));
    let words = match (&status, &said) {
        // The aggregator of an API whose own server is away has no more to say than that.
        (None, _) | (_, None) if matches!(code.as_u16(), 502 | 503) => {
            format!("it cannot handle the request now ({})", code.as_u16())
        }
        // Not the API server's form: a proxy, perhaps. Its page is not worth repeating.
        (None, _) | (_, None) => format!("the answer {} is not the API server's", code.as_u16()),
        (Some(_), Some(said)) if repeated == Words::All => said.clone(),
        (Some(status), _) => {
            let subject = if object.is_empty() { "the request" } else { object };
            format!("the API server refused {subject}: {}", summary(code, status, repeated))
        }
    };
    let said = said.unwrap_or_default();
    let reason = status.as_ref().map(|status| status.reason.as_str()).unwrap_or_default();
    let plain = |code, message: String, hint: Option<String>| ApiError { code, message, hint, refusal: None };
    match code.as_u16() {
        401 => plain(
            ErrorCode::Unauthenticated,
            "the API server does not accept your credentials".into(),
            Some("renew the credentials in your kubeconfig, or take another: kf --kubeconfig FILE …".into()),
        ),
        403 => forbidden(&said, words, access),
        404 if let Some(namespace) = missing_namespace(status.as_ref(), access) => {
            plain(ErrorCode::NotFound, format!("there is no namespace {namespace}"), None)
        }
        404 if object.is_empty() => plain(ErrorCode::NotFound, words, None),
        404 => plain(ErrorCode::NotFound, format!("there is no {object}"), None),
        409 if reason == "AlreadyExists" => {
            plain(ErrorCode::Conflict, format!("{object} exists already"), None)
        }
        409 => plain(ErrorCode::Conflict, words, None),
        410 => plain(ErrorCode::Expired, "the list is too old to go on from".into(), None),
        400 | 405 | 406 | 413 | 415 | 422 => plain(ErrorCode::Invalid, words, None),
        408 | 504 => plain(ErrorCode::TimedOut, format!("the API server ran out of time: {words}"), None),
        429 => plain(
            ErrorCode::TimedOut,
            format!("the API server is too busy: {words}"),
            Some("try again in a minute".into()),
        ),
        502 | 503 => plain(
            ErrorCode::Unreachable,
            format!("the API server is not ready: {words}"),
            Some("try again in a minute".into()),
        ),
        500 if said.contains("failed calling webhook") => plain(ErrorCode::Failed, words, None),
        other => plain(ErrorCode::Internal, format!("the API server answered {other}: {words}"), None),
    }
}

/// What the API server answered, if it says so in its own form.
pub(crate) fn server_words(body: &[u8]) -> Option<String> {
    let status: Status = serde_json::from_slice(body).ok()?;
    Some(one_line(&status.message)).filter(|words| !words.is_empty())
}

/// The reason in the API's own vocabulary, and where it applies. Nothing here is free text: a webhook may write
/// what it likes into every field of its answer.
fn summary(code: StatusCode, status: &Status, repeated: Words) -> String {
    let reason = known(&status.reason, &REASONS).map_or_else(|| code.as_u16().to_string(), str::to_owned);
    let causes = status.details.iter().flat_map(|details| &details.causes);
    let fields: Vec<String> = match repeated {
        Words::Reason => Vec::new(),
        Words::All | Words::Fields => causes.take(MAX_CAUSES).filter_map(cause).collect(),
    };
    if fields.is_empty() { reason } else { format!("{reason}: {}", fields.join(", ")) }
}

const MAX_CAUSES: usize = 8;
const MAX_PATH_CHARS: usize = 120;

/// The reasons of the API's `Status`.
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

/// The reasons of its causes.
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

/// A path without what stands in its brackets, unless that is an index: keys of maps and items of sets are content.
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

/// The namespace, where it is that and not the object that is missing.
fn missing_namespace<'a>(status: Option<&Status>, access: Option<&'a Access>) -> Option<&'a str> {
    let details = status?.details.as_ref()?;
    let asked = access?.namespace.as_ref()?.as_str();
    (details.kind == "namespaces" && details.name == asked).then_some(asked)
}

/// A 403 is the authorizer's, or admission's: a webhook, a policy, pod security, a quota.
fn forbidden(said: &str, words: String, access: Option<&Access>) -> ApiError {
    if let Some(user) = denied_user(said) {
        let refusal = access.map(|access| {
            Box::new(Refusal { layer: Layer::Rbac, rule: access.missing_rule(), user: Some(user.to_owned()) })
        });
        let message = match access {
            // Who the user is takes a right of its own.
            Some(access) => format!("you may not {}", access.missing_rule()),
            None => words,
        };
        return ApiError { code: ErrorCode::Forbidden, message, hint: None, refusal };
    }
    let code = if said.contains("exceeded quota") { ErrorCode::Forbidden } else { ErrorCode::Invalid };
    ApiError::new(code, words)
}

/// The user in the authorizer's sentence `… User "alice" cannot get resource "pods" …`.
fn denied_user(words: &str) -> Option<&str> {
    let (_, rest) = words.split_once("User \"")?;
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
        answered(
            StatusCode::from_u16(code).unwrap(),
            status.to_string().as_bytes(),
            Some(&access()),
            "trainjob mnist in team-a",
            Words::All,
        )
    }

    #[test]
    fn the_authorizer_s_no_names_user_and_rule() {
        let error = answer(
            403,
            "Forbidden",
            "trainjobs.trainer.kubeflow.org is forbidden: User \"alice\" cannot create resource \"trainjobs\" \
             in API group \"trainer.kubeflow.org\" in the namespace \"team-a\"",
        );
        assert_eq!(error.code, ErrorCode::Forbidden);
        assert_eq!(error.message, "you may not create trainjobs.trainer.kubeflow.org in team-a");
        let refusal = error.refusal.unwrap();
        assert_eq!(refusal.layer, Layer::Rbac);
        assert_eq!(refusal.user.as_deref(), Some("alice"));
    }

    #[test]
    fn admission_s_no_is_about_the_object_and_keeps_its_words() {
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
    fn every_answer_has_a_code_of_its_own() {
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
        assert_eq!(answer(404, "NotFound", "x").message, "there is no trainjob mnist in team-a");
        assert_eq!(answer(409, "AlreadyExists", "x").message, "trainjob mnist in team-a exists already");
    }

    #[test]
    fn a_stranger_s_page_is_not_repeated() {
        let error = answered(StatusCode::FORBIDDEN, b"<html>secret</html>", Some(&access()), "x", Words::All);
        assert!(!error.message.contains("html"));
    }

    #[test]
    fn withheld_words_leave_reason_and_fields() {
        let status = |reason: &str, causes: serde_json::Value| {
            json!({"kind": "Status", "status": "Failure", "code": 422, "reason": reason,
                   "message": "Invalid value: hunter2", "details": {"name": "hunter2", "causes": causes}})
        };
        let message = |status: serde_json::Value, words: Words| {
            let code = StatusCode::UNPROCESSABLE_ENTITY;
            answered(code, status.to_string().as_bytes(), None, "configmap x in team-a", words).message
        };
        let causes = json!([
            {"field": ".spec.containers[name=\"hunter2\"].ports[0]", "reason": "FieldValueInvalid", "message": "hunter2"},
            {"field": "metadata.labels[hunter2]", "reason": "hunter2", "message": "hunter2"},
            {"field": "is hunter2, or so", "reason": "FieldValueInvalid", "message": "hunter2"},
            {"field": "data[hunter2", "reason": "FieldValueInvalid"},
            {"reason": "FieldValueInvalid", "message": "hunter2"},
        ]);
        assert_eq!(
            message(status("Invalid", causes.clone()), Words::Fields),
            "the API server refused configmap x in team-a: \
             Invalid: spec.containers[…].ports[0] (FieldValueInvalid), metadata.labels[…]"
        );
        for (reason, expected) in [("Invalid", "Invalid"), ("hunter2", "422"), ("", "422")] {
            assert_eq!(
                message(status(reason, causes.clone()), Words::Reason),
                format!("the API server refused configmap x in team-a: {expected}")
            );
        }
    }

    #[test]
    fn no_code_lets_withheld_words_through() {
        let forged = "User \"hunter2\" cannot create: hunter2 exceeded quota failed calling webhook";
        for code in (400..=599).filter_map(|code| StatusCode::from_u16(code).ok()) {
            for words in [Words::Fields, Words::Reason] {
                let body = json!({"kind": "Status", "code": code.as_u16(), "reason": "hunter2", "message": forged,
                                  "details": {"kind": "hunter2", "causes": [{"message": "hunter2"}]}});
                let error = answered(code, body.to_string().as_bytes(), Some(&access()), "x", words);
                assert!(!error.message.contains("hunter2"), "{code}: {error}");
                assert!(!error.hint.is_some_and(|hint| hint.contains("hunter2")), "{code}");
            }
        }
    }
}
