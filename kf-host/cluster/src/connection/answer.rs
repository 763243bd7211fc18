//! Answers that are not a success: the API server's `Status` as kf's words.
//!
//! The server's own words are repeated where they are the point, a rejection by a schema, a
//! webhook or a policy, in one line and without control characters.

use http::StatusCode;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::grants::{Access, Layer, Refusal};
use kf_core::text::one_line;
use kube::core::Status;

/// Turns a failed answer into an error. `access` is what was asked for, `object` how a person
/// would call it: `trainjob mnist in team-a`.
pub(crate) fn answered(code: StatusCode, body: &[u8], access: Option<&Access>, object: &str) -> ApiError {
    let status: Option<Status> = serde_json::from_slice(body).ok();
    let words = status.as_ref().map_or_else(
        // Not the API server's form: a proxy, perhaps. Its page is not worth repeating.
        || format!("the answer {} is not the API server's", code.as_u16()),
        |status| one_line(&status.message),
    );
    let reason = status.as_ref().map(|status| status.reason.as_str()).unwrap_or_default();
    let plain = |code, message: String, hint: Option<String>| ApiError { code, message, hint, refusal: None };
    match code.as_u16() {
        401 => plain(
            ErrorCode::Unauthenticated,
            "the API server does not accept your credentials".into(),
            Some("renew the credentials in your kubeconfig, or take another: kf --kubeconfig FILE …".into()),
        ),
        403 => forbidden(&words, access),
        404 if let Some(namespace) = missing_namespace(status.as_ref()) => {
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
        500 if words.contains("failed calling webhook") => plain(ErrorCode::Failed, words, None),
        other => plain(ErrorCode::Internal, format!("the API server answered {other}: {words}"), None),
    }
}

/// The namespace, where it is that and not the object that is missing.
fn missing_namespace(status: Option<&Status>) -> Option<&str> {
    let details = status?.details.as_ref()?;
    (details.kind == "namespaces").then_some(details.name.as_str())
}

/// A 403 is the authorizer's, or admission's: a webhook, a policy, pod security, a quota.
fn forbidden(words: &str, access: Option<&Access>) -> ApiError {
    if let Some(user) = denied_user(words) {
        let refusal = access.map(|access| {
            Box::new(Refusal { layer: Layer::Rbac, rule: access.missing_rule(), user: Some(user.to_owned()) })
        });
        let message = match access {
            Some(access) => format!("{user} may not {}", access.missing_rule()),
            None => words.to_owned(),
        };
        return ApiError { code: ErrorCode::Forbidden, message, hint: None, refusal };
    }
    let code = if words.contains("exceeded quota") { ErrorCode::Forbidden } else { ErrorCode::Invalid };
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
        assert_eq!(error.message, "alice may not create trainjobs.trainer.kubeflow.org in team-a");
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
        let error = answered(StatusCode::FORBIDDEN, b"<html>secret</html>", Some(&access()), "x");
        assert!(!error.message.contains("html"));
    }
}
