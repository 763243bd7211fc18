//! The errors that the host returned to a guest, so that a guest cannot forge one.
//!
//! Some error codes are reserved for the host: the cluster did not authenticate the user, a layer refused, the
//! API server is unreachable, a limit was reached. A guest can fail with one of them only if the host returned it
//! before; otherwise its code is [`ErrorCode::Failed`].

use std::collections::VecDeque;

use kf_core::api::ErrorCode;
use kf_core::grants::Refusal;

use crate::run::GuestError;

/// How many errors are remembered with their message.
const MAX_ERRORS: usize = 8;

/// The errors that the host returned in one run.
#[derive(Debug, Default)]
pub(crate) struct HostErrors {
    /// The latest errors.
    errors: VecDeque<(ErrorCode, String, Option<String>)>,
    /// The reserved codes that were returned.
    codes: Vec<ErrorCode>,
    /// The latest refusals, each with its message.
    refusals: VecDeque<(String, Refusal)>,
}

impl HostErrors {
    pub(crate) fn record(&mut self, code: ErrorCode, message: &str, hint: Option<&str>) {
        self.record_code(code);
        if self.errors.len() >= MAX_ERRORS {
            self.errors.pop_front();
        }
        self.errors.push_back((code, message.to_owned(), hint.map(str::to_owned)));
    }

    /// Records the refusal behind an error with this message.
    pub(crate) fn record_refusal(&mut self, message: &str, refusal: Refusal) {
        if self.refusals.len() >= MAX_ERRORS {
            self.refusals.pop_front();
        }
        self.refusals.push_back((message.to_owned(), refusal));
    }

    /// The refusal that the guest failed with. If its message is its own, the latest refusal.
    pub(crate) fn refusal(&self, error: &GuestError) -> Option<Refusal> {
        let same = self.refusals.iter().rev().find(|(message, _)| *message == error.message);
        same.or(self.refusals.back()).map(|(_, refusal)| refusal.clone())
    }

    /// Records an answer that is equivalent to an error.
    pub(crate) fn record_code(&mut self, code: ErrorCode) {
        if is_reserved(code) && !self.codes.contains(&code) {
            self.codes.push(code);
        }
    }

    /// The error that a guest fails with, checked against the errors of the host.
    pub(crate) fn verify(&self, error: GuestError) -> GuestError {
        let is_from_host = self
            .errors
            .iter()
            .any(|(code, message, hint)| (*code, message, hint) == (error.code, &error.message, &error.hint));
        let code = if is_reserved(error.code) && !self.codes.contains(&error.code) {
            ErrorCode::Failed
        } else {
            error.code
        };
        GuestError { code, is_from_host, ..error }
    }
}

fn is_reserved(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::Unauthenticated | ErrorCode::Forbidden | ErrorCode::Unreachable | ErrorCode::Budget
    )
}

#[cfg(test)]
mod tests {
    use kf_core::grants::{Layer, MissingRule};

    use super::*;

    fn error(code: ErrorCode, message: &str) -> GuestError {
        GuestError { code, message: message.to_owned(), hint: None, is_from_host: false }
    }

    #[test]
    fn reserved_code_is_kept_only_after_host_returned_it() {
        let mut errors = HostErrors::default();
        for code in
            [ErrorCode::Unauthenticated, ErrorCode::Forbidden, ErrorCode::Unreachable, ErrorCode::Budget]
        {
            assert_eq!(errors.verify(error(code, "x")).code, ErrorCode::Failed);
            errors.record(code, "no", None);
            assert_eq!(errors.verify(error(code, "x")).code, code);
        }
        for code in [ErrorCode::Invalid, ErrorCode::NotFound, ErrorCode::TimedOut, ErrorCode::Conflict] {
            assert_eq!(errors.verify(error(code, "x")).code, code, "not reserved");
        }
    }

    #[test]
    fn only_exact_repetition_counts_as_host_error() {
        let mut errors = HostErrors::default();
        errors.record(ErrorCode::NotFound, "no pod web", Some("kf status"));
        let repeated =
            GuestError { hint: Some("kf status".to_owned()), ..error(ErrorCode::NotFound, "no pod web") };
        assert!(errors.verify(repeated.clone()).is_from_host);
        assert!(!errors.verify(GuestError { hint: None, ..repeated.clone() }).is_from_host);
        assert!(!errors.verify(GuestError { code: ErrorCode::Failed, ..repeated.clone() }).is_from_host);
        assert!(!errors.verify(GuestError { message: "no pod".to_owned(), ..repeated.clone() }).is_from_host);
        for number in 0..1000 {
            errors.record(ErrorCode::NotFound, &number.to_string(), None);
        }
        assert!(!errors.verify(repeated).is_from_host && errors.errors.len() == MAX_ERRORS);
    }

    #[test]
    fn refusal_matches_the_message_of_the_error() {
        let refused = |resource: &str| Refusal {
            layer: Layer::Rbac,
            rule: MissingRule {
                verb: "list".to_owned(),
                group: String::new(),
                resource: resource.to_owned(),
                name: None,
                namespace: None,
            },
            user: None,
        };
        let mut errors = HostErrors::default();
        assert_eq!(errors.refusal(&error(ErrorCode::Forbidden, "no pods")), None);
        for resource in ["pods", "jobs"] {
            errors.record_refusal(&format!("no {resource}"), refused(resource));
        }
        for (message, resource) in [("no pods", "pods"), ("no jobs", "jobs"), ("in my own words", "jobs")] {
            let refusal = errors.refusal(&error(ErrorCode::Forbidden, message)).unwrap();
            assert_eq!(refusal.rule.resource, resource, "{message}");
        }
        for number in 0..1000 {
            errors.record_refusal(&number.to_string(), refused("secrets"));
        }
        assert_eq!(errors.refusals.len(), MAX_ERRORS);
    }
}
