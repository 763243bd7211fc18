//! Skipping kinds that cannot be read.
//!
//! A cluster can serve most kinds and fail for one: the server of an aggregated API is unavailable (503), or a
//! conversion webhook fails (500). A command that reads several kinds shows the others, and prints one line that
//! says which were skipped and why.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorCode, Optional as _, Result};
use crate::kf::Kf;

/// The kinds that a command skipped because they cannot be read.
///
/// ```
/// use kf_plugin_sdk::workloads::WorkloadKind;
/// use kf_plugin_sdk::{Kf, Skipped, Object, Result};
///
/// fn all(kf: &Kf) -> Result<Vec<Object>> {
///     let kinds = [WorkloadKind::Notebook, WorkloadKind::InferenceService];
///     let mut left_out = Skipped::default();
///     let mut objects = Vec::new();
///     for (kind, listed) in kinds.iter().zip(kf.list_many(&kinds.map(WorkloadKind::kind))) {
///         let listed = left_out.take(kind.plural(), listed)?;
///         objects.extend(listed.into_iter().flat_map(|listed| listed.items));
///     }
///     left_out.tell(kf);
///     Ok(objects)
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Skipped {
    parts: Vec<(String, Error)>,
}

impl Skipped {
    /// Unwraps the result for one of several kinds. Returns `None` if the cluster does not serve the kind, or if the
    /// kind is broken, which is recorded. Denials and errors that affect more than this kind are returned.
    pub fn take<T>(&mut self, what: &str, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Err(error) if error.is_partial() => {
                self.parts.push((what.to_owned(), error));
                Ok(None)
            }
            answer => answer.optional(),
        }
    }

    /// Like [`Self::take`], but also returns `None` if the user has no permission to read the kind.
    pub fn take_readable<T>(&mut self, what: &str, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Err(error) if error.is(ErrorCode::Forbidden) => Ok(None),
            answer => self.take(what, answer),
        }
    }

    /// Returns `None` if the kind is not served, not readable for the user, or broken. Prints a warning if it is
    /// broken.
    pub fn optional<T>(kf: &Kf, what: &str, answer: Result<T>) -> Result<Option<T>> {
        let mut left_out = Self::default();
        let answer = left_out.take_readable(what, answer);
        left_out.tell(kf);
        answer
    }

    /// Returns whether no kind was skipped.
    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the number of skipped kinds.
    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Returns why the first kind was skipped.
    pub fn first_error(&self) -> Option<&Error> {
        self.parts.first().map(|(_, error)| error)
    }

    /// Returns a summary such as `notebooks (the API server answered 500: …)`, grouped by reason.
    pub fn words(&self) -> String {
        words(self.parts.iter())
    }

    /// Prints a warning that says what was skipped and why, each kind once per run.
    pub fn tell(&self, kf: &Kf) {
        let new: Vec<_> = self.parts.iter().filter(|(what, _)| kf.is_first_mention(what)).collect();
        if !new.is_empty() {
            kf.warn(format!("skipped: {}", words(new.into_iter())));
        }
    }
}

fn words<'a>(parts: impl Iterator<Item = &'a (String, Error)>) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    let mut alike: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (what, error) in parts {
        if !alike.contains_key(error.message.as_str()) {
            reasons.push(&error.message);
        }
        alike.entry(&error.message).or_default().push(what);
    }
    let words = |reason: &&str| {
        let kinds = alike.get(reason).map(|kinds| kinds.join(", ")).unwrap_or_default();
        format!("{kinds} ({reason})")
    };
    reasons.iter().map(words).collect::<Vec<_>>().join("; ")
}

#[cfg(all(test, not(target_arch = "wasm32")))]
mod tests {
    use super::*;
    use crate::testing::FakeHost;

    fn broken(code: ErrorCode) -> Result<()> {
        Err(Error::new(code, "the API server is not ready"))
    }

    #[test]
    fn broken_kind_is_skipped_and_reported_once() {
        let host = FakeHost::new("team-a");
        let kf = host.kf();
        let mut left_out = Skipped::default();
        for code in [ErrorCode::Unreachable, ErrorCode::Internal, ErrorCode::TimedOut, ErrorCode::Expired] {
            assert_eq!(left_out.take("notebooks", broken(code)), Ok(None));
        }
        assert_eq!(left_out.take("jobs", Ok(7)), Ok(Some(7)));
        assert_eq!(left_out.take("trials", broken(ErrorCode::NotFound)), Ok(None));
        left_out.tell(&kf);
        left_out.tell(&kf.clone());
        // Four errors, but one kind.
        let warning = "warning: skipped: notebooks (the API server is not ready)";
        assert_eq!(host.terminal().notes, [warning]);
    }

    #[test]
    fn error_that_affects_all_kinds_is_returned() {
        let mut left_out = Skipped::default();
        for code in [ErrorCode::Unauthenticated, ErrorCode::Budget, ErrorCode::Forbidden] {
            assert_eq!(left_out.take("notebooks", broken(code)).unwrap_err().code, code);
        }
        assert!(left_out.is_empty());
        assert_eq!(left_out.take_readable("notebooks", broken(ErrorCode::Forbidden)), Ok(None));
        assert!(left_out.is_empty());
    }

    #[test]
    fn kinds_with_same_error_share_one_reason() {
        let mut left_out = Skipped::default();
        for (what, message) in [("notebooks", "500"), ("trials", "503"), ("workspaces", "500")] {
            let answer: Result<()> = Err(Error::new(ErrorCode::Internal, message));
            left_out.take(what, answer).unwrap();
        }
        assert_eq!(left_out.words(), "notebooks, workspaces (500); trials (503)");
    }
}
