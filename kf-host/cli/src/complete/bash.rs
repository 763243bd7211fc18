//! Completion in bash, which splits words at `=`, `:` and `@`.
//!
//! bash passes `arn:aws:eks` as five words and `--env A=1` as four. They are joined again: parts without a
//! space between them on the line are one word, and quotes are removed. bash replaces only the last part of
//! the word with a candidate, so candidates are printed without the parts before it.

use std::ffi::OsString;
use std::io::{Error, Write};
use std::path::Path;
use std::sync::Arc;

use clap::Command;
use clap_complete::engine::complete;
use clap_complete::env::{Bash as Script, EnvCompleter};

use super::dynamic::ClusterNames;
use super::line::Line;
use crate::bash_script::script;
use crate::env;

/// The variable with the separator of candidates.
const SEPARATOR: &str = "_CLAP_IFS";

/// The variables with the line, and with the line up to the cursor.
const LINE: &str = "_KF_COMPLETE_LINE";
const BEFORE: &str = "_KF_COMPLETE_BEFORE";

/// The variable with the text that bash replaces with a candidate.
const PART: &str = "_KF_COMPLETE_PART";

#[derive(Clone, Default)]
pub struct Bash {
    line: Line,
    /// The start of the word being completed, which bash keeps.
    kept: String,
    names: Option<Arc<ClusterNames>>,
}

impl Bash {
    /// From the variables that the script sets. Without them, as with another script, the words are used
    /// unchanged.
    pub fn from_call(line: Line) -> Self {
        let text = |name| std::env::var_os(name).and_then(|text| text.into_string().ok());
        let (Some(whole), Some(before), Some(part)) = (text(LINE), text(BEFORE), text(PART)) else {
            return Self { line, ..Self::default() };
        };
        let words: Option<Vec<&str>> = line.words().iter().map(|word| word.to_str()).collect();
        let home = std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
        let split =
            words.map(|words| SplitLine { words, place: line.place(), line: &whole, before: &before });
        split.and_then(|split| split.join(&part, home.as_deref())).unwrap_or(Self { line, ..Self::default() })
    }

    pub fn line(&self) -> &Line {
        &self.line
    }

    /// The same, with the completer of names in the cluster.
    pub fn with(self, names: &Arc<ClusterNames>) -> Self {
        Self { names: Some(Arc::clone(names)), ..self }
    }
}

/// A line as bash has split it.
struct SplitLine<'l> {
    /// The words, with their quotes.
    words: Vec<&'l str>,
    /// The index of the word being completed.
    place: usize,
    line: &'l str,
    /// The line up to the cursor.
    before: &'l str,
}

impl SplitLine<'_> {
    /// None if the words are not from this line.
    fn join(&self, part: &str, home: Option<&str>) -> Option<Bash> {
        /// A joined word, and its offset on the line.
        struct Word {
            start: usize,
            text: String,
        }
        let mut whole: Vec<Word> = Vec::new();
        let (mut rest, mut place, mut apart) = (self.line, None, true);
        for (index, word) in self.words.iter().enumerate() {
            let next = rest.trim_start_matches([' ', '\t', '\n']);
            apart |= next.len() < rest.len() || word.is_empty();
            let after = next.strip_prefix(word)?;
            match whole.last_mut().filter(|_| !apart) {
                Some(begun) => begun.text.push_str(word),
                None => {
                    let start = self.line.len().checked_sub(next.len())?;
                    whole.push(Word { start, text: (*word).to_owned() });
                }
            }
            if index == self.place {
                place = whole.len().checked_sub(1);
            }
            // An empty word takes no space, and the next word is separate.
            apart = word.is_empty();
            rest = if apart { rest } else { after };
        }
        let place = place?;
        let typed = self.before.get(whole.get(place)?.start..).unwrap_or_default();
        let kept = unquote(typed.strip_suffix(part)?, None);
        let words = whole.iter().enumerate().map(|(index, word)| match index == place {
            true => format!("{kept}{part}"),
            false => unquote(&word.text, home),
        });
        let line = Line::new(words.map(OsString::from).collect(), place);
        Some(Bash { line, kept, names: None })
    }
}

/// A word without its quotes, even unclosed ones, and with the home directory for `~`. Other expansions are not
/// made.
fn unquote(word: &str, home: Option<&str>) -> String {
    let mut unquoted = String::with_capacity(word.len());
    let mut rest = word.chars();
    if let (Some(home), Some(below)) = (home, word.strip_prefix("~/")) {
        unquoted.push_str(home);
        unquoted.push('/');
        rest = below.chars();
    }
    let mut quote = None;
    while let Some(next) = rest.next() {
        match (quote, next) {
            (None, '\'' | '"') => quote = Some(next),
            (Some(open), _) if open == next => quote = None,
            (None, '\\') => unquoted.extend(rest.next()),
            (Some('"'), '\\') => match rest.next() {
                Some(escaped @ ('$' | '`' | '"' | '\\')) => unquoted.push(escaped),
                other => unquoted.extend(std::iter::once('\\').chain(other)),
            },
            _ => unquoted.push(next),
        }
    }
    unquoted
}

impl EnvCompleter for Bash {
    fn name(&self) -> &'static str {
        Script.name()
    }

    fn is(&self, name: &str) -> bool {
        Script.is(name)
    }

    fn write_registration(
        &self,
        var: &str,
        name: &str,
        _: &str,
        completer: &str,
        buf: &mut dyn Write,
    ) -> Result<(), Error> {
        buf.write_all(script(var, name, completer).as_bytes())
    }

    fn write_complete(
        &self,
        cmd: &mut Command,
        _: Vec<OsString>,
        current_dir: Option<&Path>,
        buf: &mut dyn Write,
    ) -> Result<(), Error> {
        let Self { line, kept, names } = self;
        let mut found = complete(cmd, line.words().to_vec(), line.place(), current_dir)?;
        // Otherwise bash would insert the common prefix of several flags: dashes.
        if line.is_at_word_start() && names.as_ref().is_some_and(|names| names.was_queried()) {
            found.retain(|candidate| !candidate.get_value().to_string_lossy().starts_with('-'));
        }
        let values = found.iter().map(|candidate| candidate.get_value().to_string_lossy());
        let parts: Vec<String> =
            values.filter_map(|value| value.strip_prefix(kept.as_str()).map(str::to_owned)).collect();
        let separator = env::text(SEPARATOR).unwrap_or_else(|| "\n".to_owned());
        buf.write_all(parts.join(&separator).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Joins `words`, as bash has split `line`, where `|` is the cursor.
    #[track_caller]
    fn joined(line: &str, words: &[&str], place: usize, part: &str) -> (Vec<String>, usize, String) {
        let (before, after) = line.split_once('|').unwrap();
        let whole = format!("{before}{after}");
        let split = SplitLine { words: words.to_vec(), place, line: &whole, before };
        let Bash { line, kept, .. } = split.join(part, Some("/home/ada")).unwrap();
        let words = line.words().iter().map(|word| word.to_str().unwrap().to_owned()).collect();
        (words, line.place(), kept)
    }

    /// The words, their splits and the part are as bash 5.2 passes them to a completion function.
    #[test]
    fn words_split_by_bash_are_joined() {
        for (line, words, part, whole, kept) in [
            (
                "kf --context arn:aws:e|",
                "kf --context arn : aws : e",
                "e",
                "kf --context arn:aws:e",
                "arn:aws:",
            ),
            ("kf --context arn:|", "kf --context arn :", "", "kf --context arn:", "arn:"),
            ("kf --context=|", "kf --context =", "", "kf --context=", "--context="),
            ("kf --context=arn:a|", "kf --context = arn : a", "a", "kf --context=arn:a", "--context=arn:"),
            ("kf t --env A=1 --ru|", "kf t --env A = 1 --ru", "--ru", "kf t --env A=1 --ru", ""),
            ("kf t --env A= --ru|", "kf t --env A = --ru", "--ru", "kf t --env A= --ru", ""),
            ("kf t --env=A=1 m|", "kf t --env = A = 1 m", "m", "kf t --env=A=1 m", ""),
            ("kf  --env  A=B=C\t--x|", "kf --env A = B = C --x", "--x", "kf --env A=B=C --x", ""),
            ("kf add train@0|", "kf add train @ 0", "@0", "kf add train@0", "train"),
            ("kf a::b|", "kf a :: b", "b", "kf a::b", "a::"),
            ("kf a: b|", "kf a : b", "b", "kf a: b", ""),
            ("kf a :b|", "kf a : b", "b", "kf a :b", ":"),
            ("kf -e ü:é m|", "kf -e ü : é m", "m", "kf -e ü:é m", ""),
        ] {
            let words: Vec<_> = words.split(' ').collect();
            let whole: Vec<_> = whole.split(' ').map(str::to_owned).collect();
            let place = whole.len() - 1;
            assert_eq!(
                joined(line, &words, words.len() - 1, part),
                (whole, place, kept.to_owned()),
                "{line}"
            );
        }
    }

    #[test]
    fn words_after_cursor_stay_and_rest_of_word_is_dropped() {
        let found = joined("kf logs m| --env A=1", &["kf", "logs", "m", "--env", "A", "=", "1"], 2, "m");
        assert_eq!(
            found,
            (["kf", "logs", "m", "--env", "A=1"].map(str::to_owned).to_vec(), 2, String::new())
        );
        let found = joined("kf logs a|b:c", &["kf", "logs", "ab", ":", "c"], 2, "a");
        assert_eq!(found.0, ["kf", "logs", "a"]);
        let found = joined("kf logs | m", &["kf", "logs", "", "m"], 2, "");
        assert_eq!((found.0.join("+"), found.1), ("kf+logs++m".to_owned(), 2));
    }

    #[test]
    fn quotes_are_removed() {
        let words = ["kf", "-n", "\"team a\"", "--kubeconfig", "~/k.yaml", "x\\ y", "A", "=", "'b c'", "m"];
        let (found, ..) = joined("kf -n \"team a\" --kubeconfig ~/k.yaml x\\ y A='b c' m|", &words, 9, "m");
        assert_eq!(found, ["kf", "-n", "team a", "--kubeconfig", "/home/ada/k.yaml", "x y", "A=b c", "m"]);
        for quote in ['"', '\''] {
            let (line, word) = (format!("kf --context {quote}arn:a|"), format!("{quote}arn:a"));
            let (found, _, kept) = joined(&line, &["kf", "--context", &word], 2, "arn:a");
            assert_eq!((found.last().unwrap().as_str(), kept.as_str()), ("arn:a", ""));
        }
        assert_eq!(unquote(r#""a\"b\c$x""#, None), r#"a"b\c$x"#);
    }

    #[test]
    fn words_of_another_line_are_not_joined() {
        let split = SplitLine { words: vec!["kf", "logs"], place: 1, line: "kf status", before: "kf status" };
        assert!(split.join("status", None).is_none());
        let split = SplitLine { words: vec!["kf"], place: 3, line: "kf", before: "kf" };
        assert!(split.join("", None).is_none());
    }
}
