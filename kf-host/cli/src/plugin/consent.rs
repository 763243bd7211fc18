//! Asking whether a command may have the rights it wants.
//!
//! Consent is bound to the component's digest and its rules. It is asked for only when rights
//! grow, and it can be given in three ways: at the terminal, by `--accept` with the digest that
//! names exactly these bytes with exactly these rights, and not at all otherwise. `--yes` never
//! covers growth.

use clap::Args;
use kf_core::Digest;

use crate::error::{CliError, Result};
use crate::ui::Ui;

/// Answers given beforehand.
#[derive(Clone, Debug, Default, Args)]
pub struct Answer {
    /// Answer yes where no rights grow
    #[arg(long, short = 'y')]
    pub yes: bool,

    /// Accept this very command with these very rights; `kf` prints the digest when it asks
    #[arg(long, value_name = "DIGEST")]
    pub accept: Vec<String>,
}

/// One question.
pub struct Question<'a> {
    /// `add train`, `upgrade train and let it read secrets`
    pub action: &'a str,
    /// The command and rights, in one word.
    pub digest: Digest,
    pub grows: bool,
    /// What to type instead of answering, without the digest.
    pub retry: &'a str,
}

impl Answer {
    /// Returns only if the answer is yes.
    pub fn ask(&self, ui: &Ui, question: &Question<'_>) -> Result<()> {
        let digest = question.digest.to_string();
        if !question.grows || self.accept.contains(&digest) {
            return Ok(());
        }
        let retry = format!("{} --accept {digest}", question.retry);
        if self.yes {
            return Err(CliError::untrusted(format!(
                "`--yes` does not cover the rights it takes to {}",
                question.action
            ))
            .hint(retry));
        }
        if !ui.interactive() {
            return Err(CliError::untrusted(format!(
                "nobody can be asked whether to {}, so the answer is no",
                question.action
            ))
            .hint(retry));
        }
        let asked = capitalised(question.action);
        if ui.confirm(&format!("{asked}?"), false) {
            return Ok(());
        }
        Err(CliError::untrusted(format!("you said no to {}; nothing was changed", question.action)))
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use kf_core::Kind;

    use super::*;
    use crate::ui::{ColorChoice, Format};

    fn ask(answer: &Answer, grows: bool) -> Result<()> {
        let digest = Digest::of(b"train and its rights");
        let question = Question { action: "add train", digest, grows, retry: "kf command add train@1.4.0" };
        answer.ask(&Ui::new(ColorChoice::Never, Format::Table), &question)
    }

    #[test]
    fn nothing_is_asked_when_nothing_grows() {
        ask(&Answer::default(), false).unwrap();
    }

    #[test]
    fn yes_does_not_cover_growth() {
        let error = ask(&Answer { yes: true, accept: Vec::new() }, true).unwrap_err();
        assert_eq!(error.kind(), Kind::Untrusted);
        assert!(error.lines().last().unwrap().starts_with("hint: kf command add train@1.4.0 --accept "));
    }

    #[test]
    fn only_the_very_digest_is_accepted() {
        let right = Digest::of(b"train and its rights").to_string();
        let wrong = Digest::of(b"train and more rights").to_string();
        let prefix = right.chars().take(32).collect();
        ask(&Answer { yes: false, accept: vec![wrong.clone(), right] }, true).unwrap();
        assert!(ask(&Answer { yes: true, accept: vec![wrong, prefix] }, true).is_err());
    }
}
