//! Whether the user consents to the rights of a command.
//!
//! Consent is bound to the component's digest and its rules. It is needed only if rights grow. The user gives
//! it at the prompt, or with `--accept` and the digest of exactly these bytes with exactly these rights.
//! `--yes` never accepts growth.

use kf_core::{Digest, Failure};

/// The answers on the command line, and whether the user can be prompted.
#[derive(Clone, Debug, Default)]
pub struct Answers {
    /// `--yes`: accepts everything but growth of rights.
    pub yes: bool,
    /// The digests given with `--accept`.
    pub accept: Vec<String>,
    /// Whether the user is at a terminal.
    pub interactive: bool,
}

/// One question.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// `add train`, `upgrade train and let it read secrets`
    pub action: &'a str,
    /// The digest of the command and its rights.
    pub digest: Digest,
    pub grows: bool,
    /// The command line to run instead, without `--accept`.
    pub retry: &'a str,
}

/// The answer without a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    Given,
    /// The user has to confirm; anything but yes declines.
    Ask,
}

impl Answers {
    /// # Errors
    ///
    /// Consent is needed and was not given, and the user cannot be prompted.
    pub fn to(&self, question: &Question<'_>) -> Result<Answer, Failure> {
        let digest = question.digest.to_string();
        if !question.grows || self.accept.contains(&digest) {
            return Ok(Answer::Given);
        }
        let retry = format!("{} --accept {digest}", question.retry);
        if self.yes {
            return Err(Failure::untrusted(format!(
                "`--yes` does not accept new rights: refusing to {}",
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

/// The digest that accepts several commands at once: each of these, with its rights, and no other.
pub fn of_all(digests: impl IntoIterator<Item = Digest>) -> Digest {
    let mut digests: Vec<String> = digests.into_iter().map(|digest| digest.to_string()).collect();
    digests.sort_unstable();
    let parts = std::iter::once("kf consent to several commands").chain(digests.iter().map(String::as_str));
    Digest::of_parts(&parts.map(str::as_bytes).collect::<Vec<_>>())
}

impl Question<'_> {
    /// The user declined.
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
    fn no_growth_needs_no_consent() {
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
    fn combined_digest_accepts_exactly_its_commands() {
        let [a, b, c] = [b"a", b"b", b"c"].map(|one| Digest::of(one));
        assert_eq!(of_all([a, b]), of_all([b, a]));
        let others = [of_all([a]), of_all([a, b, c]), of_all([a, c]), of_all([a, a, b]), a, b];
        assert!(!others.contains(&of_all([a, b])));
    }

    #[test]
    fn only_exact_digest_is_accepted() {
        let right = Digest::of(b"train and its rights").to_string();
        let wrong = Digest::of(b"train and more rights").to_string();
        let prefix = right.chars().take(32).collect();
        let accepting = |accept| Answers { accept, ..Answers::default() };
        assert_eq!(ask(&accepting(vec![wrong.clone(), right]), true).unwrap(), Answer::Given);
        assert!(ask(&Answers { yes: true, ..accepting(vec![wrong, prefix]) }, true).is_err());
    }
}
