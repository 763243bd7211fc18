//! What the host has told a guest of errors, so that a guest cannot put words into its mouth.
//!
//! Exit codes say who failed. That the cluster does not know the user, that a layer said no, that nobody
//! answers and that a limit was reached is for the host to say: a guest that fails so has been told so, or
//! it has just failed.

use std::collections::VecDeque;

use kf_core::api::ErrorCode;
use kf_core::grants::Refusal;

use crate::run::GuestError;

/// As many errors as are known word for word.
const MAX_ERRORS: usize = 8;

/// The errors of one run.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// The latest.
    errors: VecDeque<(ErrorCode, String, Option<String>)>,
    /// Those of the host's own codes that were told.
    codes: Vec<ErrorCode>,
    /// The latest that a layer refused, each by its message.
    refusals: VecDeque<(String, Refusal)>,
}

impl Told {
    pub(crate) fn tell(&mut self, code: ErrorCode, message: &str, hint: Option<&str>) {
        self.tell_code(code);
        if self.errors.len() >= MAX_ERRORS {
            self.errors.pop_front();
        }
        self.errors.push_back((code, message.to_owned(), hint.map(str::to_owned)));
    }

    /// Which layer refused what ended in an error of this message.
    pub(crate) fn refused(&mut self, message: &str, refusal: Refusal) {
        if self.refusals.len() >= MAX_ERRORS {
            self.refusals.pop_front();
        }
        self.refusals.push_back((message.to_owned(), refusal));
    }

    /// The refusal that the guest ended with or, where it says so in words of its own, the latest.
    pub(crate) fn refusal(&self, error: &GuestError) -> Option<Refusal> {
        let same = self.refusals.iter().rev().find(|(message, _)| *message == error.message);
        same.or(self.refusals.back()).map(|(_, refusal)| refusal.clone())
    }

    /// An answer that says the same as an error.
    pub(crate) fn tell_code(&mut self, code: ErrorCode) {
        if is_of_host(code) && !self.codes.contains(&code) {
            self.codes.push(code);
        }
    }

    /// What a guest may end with.
    pub(crate) fn judge(&self, error: GuestError) -> GuestError {
        let of_host = self
            .errors
            .iter()
            .any(|(code, message, hint)| (*code, message, hint) == (error.code, &error.message, &error.hint));
        let code = if is_of_host(error.code) && !self.codes.contains(&error.code) {
            ErrorCode::Failed
        } else {
            error.code
        };
        GuestError { code, of_host, ..error }
    }
}

fn is_of_host(code: ErrorCode) -> bool {
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
        GuestError { code, message: message.to_owned(), hint: None, of_host: false }
    }

    #[test]
    fn host_codes_are_given_only_after_the_host_told_them() {
        let mut told = Told::default();
        for code in
            [ErrorCode::Unauthenticated, ErrorCode::Forbidden, ErrorCode::Unreachable, ErrorCode::Budget]
        {
            assert_eq!(told.judge(error(code, "x")).code, ErrorCode::Failed);
            told.tell(code, "no", None);
            assert_eq!(told.judge(error(code, "x")).code, code);
        }
        for code in [ErrorCode::Invalid, ErrorCode::NotFound, ErrorCode::TimedOut, ErrorCode::Conflict] {
            assert_eq!(told.judge(error(code, "x")).code, code, "a guest may find that out by itself");
        }
    }

    #[test]
    fn only_the_very_words_are_the_hosts() {
        let mut told = Told::default();
        told.tell(ErrorCode::NotFound, "no pod web", Some("kf status"));
        let repeated =
            GuestError { hint: Some("kf status".to_owned()), ..error(ErrorCode::NotFound, "no pod web") };
        assert!(told.judge(repeated.clone()).of_host);
        assert!(!told.judge(GuestError { hint: None, ..repeated.clone() }).of_host);
        assert!(!told.judge(GuestError { code: ErrorCode::Failed, ..repeated.clone() }).of_host);
        assert!(!told.judge(GuestError { message: "no pod".to_owned(), ..repeated.clone() }).of_host);
        for number in 0..1000 {
            told.tell(ErrorCode::NotFound, &number.to_string(), None);
        }
        assert!(!told.judge(repeated).of_host && told.errors.len() == MAX_ERRORS);
    }

    #[test]
    fn refusal_is_that_of_the_error_the_guest_ends_with() {
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
        let mut told = Told::default();
        assert_eq!(told.refusal(&error(ErrorCode::Forbidden, "no pods")), None);
        for resource in ["pods", "jobs"] {
            told.refused(&format!("no {resource}"), refused(resource));
        }
        for (message, resource) in [("no pods", "pods"), ("no jobs", "jobs"), ("in my own words", "jobs")] {
            let refusal = told.refusal(&error(ErrorCode::Forbidden, message)).unwrap();
            assert_eq!(refusal.rule.resource, resource, "{message}");
        }
        for number in 0..1000 {
            told.refused(&number.to_string(), refused("secrets"));
        }
        assert_eq!(told.refusals.len(), MAX_ERRORS);
    }
}
