//! Doing without a kind that is broken.
//!
//! A cluster can serve most kinds and fail at one of them: the server behind an aggregated API is away (503), a
//! conversion webhook fails (500). A command that reads several kinds shows the others, and says in one line which
//! one is missing and why.

use std::collections::BTreeMap;

use crate::error::{Error, ErrorCode, Optional as _, Result};
use crate::kf::Kf;

/// The kinds that a command does without, because they are broken.
///
/// ```
/// use kf_plugin_sdk::workloads::ComponentKind;
/// use kf_plugin_sdk::{Kf, LeftOut, Object, Result};
///
/// fn all(kf: &Kf) -> Result<Vec<Object>> {
///     let kinds = [ComponentKind::Notebook, ComponentKind::InferenceService];
///     let mut left_out = LeftOut::default();
///     let mut objects = Vec::new();
///     for (kind, listed) in kinds.iter().zip(kf.list_many(&kinds.map(ComponentKind::kind))) {
///         let listed = left_out.take(kind.plural(), listed)?;
///         objects.extend(listed.into_iter().flat_map(|listed| listed.items));
///     }
///     left_out.tell(kf);
///     Ok(objects)
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct LeftOut {
    parts: Vec<(String, Error)>,
}

impl LeftOut {
    /// An answer about one kind of several; none where the cluster does not serve it, and where it is broken,
    /// which is remembered. What concerns more than this kind stays an error, and so does a refusal.
    pub fn take<T>(&mut self, what: &str, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Err(error) if error.is_partial() => {
                self.parts.push((what.to_owned(), error));
                Ok(None)
            }
            answer => answer.optional(),
        }
    }

    /// The same, where the command can also do without what the user may not read.
    pub fn take_readable<T>(&mut self, what: &str, answer: Result<T>) -> Result<Option<T>> {
        match answer {
            Err(error) if error.is(ErrorCode::Forbidden) => Ok(None),
            answer => self.take(what, answer),
        }
    }

    /// An optional answer: `None` where the kind is not served, may not be read, or is broken.
    /// The last is said.
    pub fn optional<T>(kf: &Kf, what: &str, answer: Result<T>) -> Result<Option<T>> {
        let mut left_out = Self::default();
        let answer = left_out.take_readable(what, answer);
        left_out.tell(kf);
        answer
    }

    pub fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub fn len(&self) -> usize {
        self.parts.len()
    }

    /// Why the first of them is left out.
    pub fn first_error(&self) -> Option<&Error> {
        self.parts.first().map(|(_, error)| error)
    }

    /// `notebooks (the API server answered 500: …)`, with kinds that fail alike together.
    pub fn words(&self) -> String {
        words(self.parts.iter())
    }

    /// Says in one line what is left out and why; each kind once a run.
    pub fn tell(&self, kf: &Kf) {
        let new: Vec<_> = self.parts.iter().filter(|(what, _)| kf.is_first_mention(what)).collect();
        if !new.is_empty() {
            kf.warn(format!("left out: {}", words(new.into_iter())));
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
    fn broken_kind_is_left_out_and_said_once() {
        let host = FakeHost::new("team-a");
        let kf = host.kf();
        let mut left_out = LeftOut::default();
        for code in [ErrorCode::Unreachable, ErrorCode::Internal, ErrorCode::TimedOut, ErrorCode::Expired] {
            assert_eq!(left_out.take("notebooks", broken(code)), Ok(None));
        }
        assert_eq!(left_out.take("jobs", Ok(7)), Ok(Some(7)));
        assert_eq!(left_out.take("trials", broken(ErrorCode::NotFound)), Ok(None));
        left_out.tell(&kf);
        left_out.tell(&kf.clone());
        // Each answer about it counts, but it is one kind.
        let said = "warning: left out: notebooks (the API server is not ready)";
        assert_eq!(host.terminal().notes, [said]);
    }

    #[test]
    fn failure_of_more_than_one_kind_stays_an_error() {
        let mut left_out = LeftOut::default();
        for code in [ErrorCode::Unauthenticated, ErrorCode::Budget, ErrorCode::Forbidden] {
            assert_eq!(left_out.take("notebooks", broken(code)).unwrap_err().code, code);
        }
        assert!(left_out.is_empty());
        assert_eq!(left_out.take_readable("notebooks", broken(ErrorCode::Forbidden)), Ok(None));
        assert!(left_out.is_empty());
    }

    #[test]
    fn kinds_that_fail_alike_share_their_reason() {
        let mut left_out = LeftOut::default();
        for (what, message) in [("notebooks", "500"), ("trials", "503"), ("workspaces", "500")] {
            let answer: Result<()> = Err(Error::new(ErrorCode::Internal, message));
            left_out.take(what, answer).unwrap();
        }
        assert_eq!(left_out.words(), "notebooks, workspaces (500); trials (503)");
    }
}
