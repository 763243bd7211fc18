//! Filters the candidates that are printed for the shell.
//!
//! A candidate comes from a command, a cluster or a registry, and is inserted into the user's command line.
//! bash inserts it unquoted: `$(…)` would be executed, a space or a line end would start another word, and a
//! leading dash would be a flag. Valid names need none of these.

pub mod known;

use clap_complete::CompletionCandidate;
use kf_core::tree::ValueType;
use kf_sandbox::Candidate;

use crate::ui::escape;

const MAX_CANDIDATES: usize = 500;

/// Enough for two Kubernetes names with a slash between them.
const MAX_VALUE_BYTES: usize = 512;

const MAX_HELP_CHARS: usize = 100;

/// The candidates that begin with what is typed, without duplicates.
pub fn matching(candidates: impl IntoIterator<Item = Candidate>, typed: &str) -> Vec<CompletionCandidate> {
    let mut seen = std::collections::BTreeSet::new();
    candidates
        .into_iter()
        .filter(|candidate| candidate.value.starts_with(typed) && is_literal(&candidate.value))
        .filter(|candidate| seen.insert(candidate.value.clone()))
        .take(MAX_CANDIDATES)
        .map(|Candidate { value, help }| {
            let help = help.map(|help| escape::line(&help).chars().take(MAX_HELP_CHARS).collect::<String>());
            CompletionCandidate::new(value).help(help.map(Into::into))
        })
        .collect()
}

/// The candidates that would not grant access to a file, which only the user may choose.
pub fn without_files(candidates: Vec<Candidate>, value_type: ValueType) -> Vec<Candidate> {
    candidates.into_iter().filter(|candidate| !value_type.is_file(&candidate.value)).collect()
}

/// Whether every shell takes the value as one word that is not a flag.
fn is_literal(value: &str) -> bool {
    let literal = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./:@%+=,".contains(&byte);
    let first = value.bytes().next();
    value.len() <= MAX_VALUE_BYTES
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
        matching(candidates, typed).iter().map(value).collect()
    }

    #[test]
    fn only_candidates_with_typed_prefix_are_offered() {
        assert_eq!(values(&["mnist", "mn", "iris", "mnist"], "mn"), ["mnist", "mn"]);
        assert_eq!(values(&["trainjob/mnist", "iris@v2"], ""), ["trainjob/mnist", "iris@v2"]);
    }

    #[test]
    fn files_are_not_offered_as_names() {
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
    fn candidates_with_shell_syntax_are_dropped() {
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
    fn candidates_over_limits_are_dropped() {
        let many: Vec<String> = (0..10_000).map(|number| format!("job-{number}")).collect();
        assert_eq!(values(&many.iter().map(String::as_str).collect::<Vec<_>>(), "job").len(), MAX_CANDIDATES);
        assert_eq!(
            values(&[&"x".repeat(MAX_VALUE_BYTES), &"y".repeat(MAX_VALUE_BYTES + 1)], ""),
            ["x".repeat(MAX_VALUE_BYTES)]
        );
    }

    #[test]
    fn candidate_help_is_one_short_safe_line() {
        let help = format!("one\ntwo\u{1b}[2J {}", "x".repeat(1000));
        let found = matching([Candidate { value: "a".into(), help: Some(help) }], "");
        let shown = found[0].get_help().unwrap().to_string();
        assert!(shown.starts_with("one two "), "{shown:?}");
        assert_eq!(shown.chars().count(), MAX_HELP_CHARS);
    }

    proptest! {
        #[test]
        fn kubernetes_names_are_offered(name in "[a-z0-9]([-a-z0-9.]{0,60}[a-z0-9])?", kind in "[a-z]{1,30}") {
            let value = format!("{kind}/{name}");
            prop_assert_eq!(values(&[&name, &value], "").len(), 2);
        }
    }
}
