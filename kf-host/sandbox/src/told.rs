//! What the host has told a guest of errors, so that a guest cannot put words into its mouth.
//!
//! Exit codes say who failed. That the cluster does not know the user, that a layer said no, that nobody
//! answers and that a limit was reached is for the host to say: a guest that fails so has been told so, or
//! it has just failed.

use std::collections::VecDeque;

use kf_core::api::ErrorCode;

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
}

impl Told {
    pub(crate) fn tell(&mut self, code: ErrorCode, message: &str, hint: Option<&str>) {
        self.tell_code(code);
        if self.errors.len() >= MAX_ERRORS {
            self.errors.pop_front();
        }
        self.errors.push_back((code, message.to_owned(), hint.map(str::to_owned)));
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
}
