//! Which candidates reach the shell.
//!
//! A candidate comes from a command, a cluster or a registry, and lands on the line a person is about to
//! enter. bash puts it there as it is: `$(…)` would be run, a space or a line end would begin another
//! word, and a dash would be a flag nobody chose. Names of what kf deals with need none of that.

pub mod known;

use clap_complete::CompletionCandidate;
use kf_core::tree::ValueType;
use kf_sandbox::Candidate;

use crate::ui::escape;

/// More than a person would look through.
const MOST: usize = 500;

/// Bytes of a value: two names of Kubernetes, with a slash between them.
const LONGEST: usize = 512;

/// Characters of what stands beside a value.
const LONGEST_HELP: usize = 100;

/// Those that go on from what is typed, each once.
pub fn fitting(candidates: impl IntoIterator<Item = Candidate>, typed: &str) -> Vec<CompletionCandidate> {
    let mut seen = std::collections::BTreeSet::new();
    candidates
        .into_iter()
        .filter(|candidate| candidate.value.starts_with(typed) && is_literal(&candidate.value))
        .filter(|candidate| seen.insert(candidate.value.clone()))
        .take(MOST)
        .map(|Candidate { value, help }| {
            let help = help.map(|help| escape::line(&help).chars().take(LONGEST_HELP).collect::<String>());
            CompletionCandidate::new(value).help(help.map(Into::into))
        })
        .collect()
}

/// Those that name no file for the command to read: which one it reads is the user's choice.
pub fn without_files(candidates: Vec<Candidate>, value_type: ValueType) -> Vec<Candidate> {
    candidates.into_iter().filter(|candidate| !value_type.is_file(&candidate.value)).collect()
}

/// Whether every shell takes it for one word that is no flag.
fn is_literal(value: &str) -> bool {
    let literal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    let first = value.bytes().next();
    value.len() <= LONGEST
        && first.is_some_and(|byte| byte.is_ascii_alphanumeric() || b"_./".contains(&byte))
        && value.bytes().all(literal)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn values(candidates: &[&str], typed: &str) -> Vec<String> {
        let candidates = candidates.iter().map(|value| Candidate { value: (*value).into(), help: None });
        let value = |found: &CompletionCandidate| found.get_value().to_string_lossy().into_owned();
        fitting(candidates, typed).iter().map(value).collect()
    }

    #[test]
    fn only_what_goes_on_from_the_typed_word_is_offered() {
        assert_eq!(values(&["mnist", "mn", "iris", "mnist"], "mn"), ["mnist", "mn"]);
        assert_eq!(values(&["trainjob/mnist", "iris@v2"], ""), ["trainjob/mnist", "iris@v2"]);
    }

    #[test]
    fn command_does_not_offer_files_in_place_of_names() {
        let candidates = ["mnist", ".kube/config.yaml", "job.yml", "a.json", "-", "bert"];
        let candidates = candidates.map(|value| Candidate { value: value.into(), help: None }).to_vec();
        let left = |value_type| -> Vec<String> {
            let left = without_files(candidates.clone(), value_type);
            left.into_iter().map(|candidate| candidate.value).collect()
        };
        assert_eq!(left(ValueType::NameOrFile), ["mnist", "bert"]);
        assert_eq!(left(ValueType::File), [""; 0]);
        assert_eq!(left(ValueType::Text).len(), candidates.len());
    }

    #[test]
    fn what_a_shell_would_act_on_is_dropped() {
        for hostile in [
            "",
            "a b",
            "a\nb",
            "a\u{b}b",
            "$(reboot)",
            "a`b`",
            "a;b",
            "a|b",
            "a&b",
            "a>b",
            "~root",
            "a*",
            "a?",
            "{a,b}",
            "a'b",
            "a\"b",
            "a\\b",
            "#a",
            "a!b",
            "=ls",
            "%self",
            "@a",
            "--yes",
            "-",
            "a\u{1b}[2J",
            "a\u{202e}b",
            "\u{430}lice",
        ] {
            assert_eq!(values(&[hostile], ""), [""; 0], "{hostile:?}");
        }
    }

    #[test]
    fn there_is_an_end_to_them() {
        let many: Vec<String> = (0..10_000).map(|number| format!("job-{number}")).collect();
        assert_eq!(values(&many.iter().map(String::as_str).collect::<Vec<_>>(), "job").len(), MOST);
        assert_eq!(values(&[&"x".repeat(LONGEST), &"y".repeat(LONGEST + 1)], ""), ["x".repeat(LONGEST)]);
    }

    #[test]
    fn help_is_one_short_line_that_drives_no_terminal() {
        let help = format!("one\ntwo\u{1b}[2J {}", "x".repeat(1000));
        let found = fitting([Candidate { value: "a".into(), help: Some(help) }], "");
        let shown = found[0].get_help().unwrap().to_string();
        assert!(shown.starts_with("one two "), "{shown:?}");
        assert_eq!(shown.chars().count(), LONGEST_HELP);
    }

    proptest! {
        #[test]
        fn names_of_kubernetes_pass(name in "[a-z0-9]([-a-z0-9.]{0,60}[a-z0-9])?", kind in "[a-z]{1,30}") {
            let value = format!("{kind}/{name}");
            prop_assert_eq!(values(&[&name, &value], "").len(), 2);
        }
    }
}
