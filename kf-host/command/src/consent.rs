//! Whether a command may have the rights it wants.
//!
//! Consent is bound to the component's digest and its rules. It is needed only where rights grow, and it
//! can be given in three ways: by a person who is asked, by `--accept` with the digest that names exactly
//! these bytes with exactly these rights, and not at all otherwise. `--yes` never covers growth.

use kf_core::{Digest, Failure};

/// Answers given beforehand, and whether there is a terminal to ask at.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// Yes, where no rights grow.
    pub yes: bool,
    /// Digests that were accepted.
    pub accept: Vec<String>,
    /// Somebody is at a terminal.
    pub interactive: bool,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `add train`, `upgrade train and let it read secrets`
    pub action: &'a str,
    /// The command and rights, in one word.
    pub digest: Digest,
    pub grows: bool,
    /// What to type instead of answering, without the digest.
    pub retry: &'a str,
}

/// What comes of a question without asking anybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Given,
    /// A person has to say yes; anything else is a no.
    Ask,
}

impl Answers {
    /// # Errors
    ///
    /// Consent is needed and was not given, and there is no terminal to ask at.
    pub fn to(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        let digest = question.digest.to_string();
        if !question.grows || self.accept.contains(&digest) {
            return Ok(Answer::Given);
        }
        let retry = format!("{} --accept {digest}", question.retry);
        if self.yes {
            return Err(Failure::untrusted(format!(
                "`--yes` does not cover the rights it takes to {}",
                question.action
            ))
            .hint(retry));
        }
        if !self.interactive {
            return Err(Failure::untrusted(format!(
                "not a terminal: refusing to {} without confirmation",
                question.action
            ))
            .hint(retry));
        }
        Ok(Answer::Ask)
    }
}

/// The digest that accepts several commands with one word: each of these, with its rights, and no other.
pub fn of_all(digests: impl IntoIterator<Item = Digest>) -> Digest {
    let mut digests: Vec<String> = digests.into_iter().map(|digest| digest.to_string()).collect();
    digests.sort_unstable();
    let parts = std::iter::once("kf consent to several commands").chain(digests.iter().map(String::as_str));
    Digest::of_parts(&parts.map(str::as_bytes).collect::<Vec<_>>())
}

impl Question<'_> {
    /// The person said no.
    pub fn declined(&self) -> Failure {
        Failure::untrusted(format!("cancelled: did not {}", self.action))
    }
}

#[cfg(test)]
mod tests {
    use kf_core::Kind;

    use super::*;

    fn ask(answers: &Answers, grows: bool) -> Result<Answer, Failure> {
        let digest = Digest::of(b"train and its rights");
        answers.to(&Question { action: "add train", digest, grows, retry: "kf command add train@1.4.0" })
    }

    #[test]
    fn nothing_is_asked_when_nothing_grows() {
        assert_eq!(ask(&Answers::default(), false).unwrap(), Answer::Given);
    }

    #[test]
    fn growth_without_terminal_is_refused() {
        let error = ask(&Answers::default(), true).unwrap_err();
        assert_eq!(error.kind(), Kind::Untrusted);
        let terminal = Answers { interactive: true, ..Answers::default() };
        assert_eq!(ask(&terminal, true).unwrap(), Answer::Ask);
    }

    #[test]
    fn yes_does_not_cover_growth() {
        let error = ask(&Answers { yes: true, interactive: true, ..Answers::default() }, true).unwrap_err();
        assert_eq!(error.kind(), Kind::Untrusted);
        assert!(error.lines().last().unwrap().starts_with("hint: kf command add train@1.4.0 --accept "));
    }

    #[test]
    fn several_are_accepted_by_a_digest_of_exactly_them() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|one| Digest::of(one));
        assert_eq!(of_all([a, b]), of_all([b, a]));
        let others = [of_all([a]), of_all([a, b, c]), of_all([a, c]), of_all([a, a, b]), a, b];
        assert!(!others.contains(&of_all([a, b])));
    }

    #[test]
    fn only_the_very_digest_is_accepted() {
        let right = Digest::of(b"train and its rights").to_string();
        let wrong = Digest::of(b"train and more rights").to_string();
        let prefix = right.chars().take(32).collect();
        let accepting = |accept| Answers { accept, ..Answers::default() };
        assert_eq!(ask(&accepting(vec![wrong.clone(), right]), true).unwrap(), Answer::Given);
        assert!(ask(&Answers { yes: true, ..accepting(vec![wrong, prefix]) }, true).is_err());
    }
}
