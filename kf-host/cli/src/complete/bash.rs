//! bash, which breaks words at `=`, `:` and `@`.
//!
//! What bash calls a word is part of one: `arn:aws:eks` is five, `--env A=1` four. A program runs with whole
//! words, so they are put together again: whatever stands side by side on the line, with nothing between, is
//! one word, and quotes are taken away. What bash replaces with a candidate is still only the last part of the
//! word, so candidates lose what stands before it.

use std::ffi::OsString;
use std::io::{Error, Write};
use std::path::Path;
use std::sync::Arc;

use clap::Command;
use clap_complete::engine::complete;
use clap_complete::env::{Bash as Script, EnvCompleter};

use super::line::Line;
use super::live::Live;
use crate::bash_script::script;
use crate::env;

/// What stands between candidates.
const SEPARATOR: &str = "_CLAP_IFS";

/// The line, and as much of it as is before the cursor.
const LINE: &str = "_KF_COMPLETE_LINE";
const BEFORE: &str = "_KF_COMPLETE_BEFORE";

/// What bash replaces with a candidate.
const PART: &str = "_KF_COMPLETE_PART";

#[derive(Clone, Default)]
pub struct Bash {
    line: Line,
    /// The part of the word being completed that bash leaves as it is.
    kept: String,
    live: Option<Arc<Live>>,
}

impl Bash {
    /// From what the script hands over. Of another script, which does not say where its words stand, the words
    /// are taken as they are.
    pub fn of_call(line: Line) -> Self {
        let text = |name| std::env::var_os(name).and_then(|text| text.into_string().ok());
        let (Some(whole), Some(before), Some(part)) = (text(LINE), text(BEFORE), text(PART)) else {
            return Self { line, ..Self::default() };
        };
        let words: Option<Vec<&str>> = line.words().iter().map(|word| word.to_str()).collect();
        let home = std::env::home_dir().and_then(|home| home.into_os_string().into_string().ok());
        let broken = words.map(|words| Broken { words, place: line.place(), line: &whole, before: &before });
        broken
            .and_then(|broken| broken.joined(&part, home.as_deref()))
            .unwrap_or(Self { line, ..Self::default() })
    }

    pub fn line(&self) -> &Line {
        &self.line
    }

    /// The same with what answers for names in the cluster.
    pub fn with(self, live: &Arc<Live>) -> Self {
        Self { live: Some(Arc::clone(live)), ..self }
    }
}

/// A line as bash has broken it.
struct Broken<'l> {
    /// With their quotes.
    words: Vec<&'l str>,
    /// Which of them is being completed.
    place: usize,
    line: &'l str,
    /// The line up to the cursor.
    before: &'l str,
}

impl Broken<'_> {
    /// None if the words are not those of the line.
    fn joined(&self, part: &str, home: Option<&str>) -> Option<Bash> {
        /// A whole word, and where it begins on the line.
        struct Whole {
            start: usize,
            text: String,
        }
        let mut whole: Vec<Whole> = Vec::new();
        let (mut rest, mut place, mut apart) = (self.line, None, true);
        for (index, word) in self.words.iter().enumerate() {
            let next = rest.trim_start_matches([' ', '\t', '\n']);
            apart |= next.len() < rest.len() || word.is_empty();
            let after = next.strip_prefix(word)?;
            match whole.last_mut().filter(|_| !apart) {
                Some(begun) => begun.text.push_str(word),
                None => {
                    let start = self.line.len().checked_sub(next.len())?;
                    whole.push(Whole { start, text: (*word).to_owned() });
                }
            }
            if index == self.place {
                place = whole.len().checked_sub(1);
            }
            // An empty word takes no room, and what follows it is another.
            apart = word.is_empty();
            rest = if apart { rest } else { after };
        }
        let place = place?;
        let typed = self.before.get(whole.get(place)?.start..).unwrap_or_default();
        let kept = plain(typed.strip_suffix(part)?, None);
        let words = whole.iter().enumerate().map(|(index, word)| match index == place {
            true => format!("{kept}{part}"),
            false => plain(&word.text, home),
        });
        let line = Line::new(words.map(OsString::from).collect(), place);
        Some(Bash { line, kept, live: None })
    }
}

/// A word without its quotes, closed or not, and with the home directory for `~`. What a shell would compute stays
/// as it is.
fn plain(word: &str, home: Option<&str>) -> String {
    let mut plain = String::with_capacity(word.len());
    let mut rest = word.chars();
    if let (Some(home), Some(below)) = (home, word.strip_prefix("~/")) {
        plain.push_str(home);
        plain.push('/');
        rest = below.chars();
    }
    let mut quote = None;
    while let Some(next) = rest.next() {
        match (quote, next) {
            (None, '\'' | '"') => quote = Some(next),
            (Some(open), _) if open == next => quote = None,
            (None, '\\') => plain.extend(rest.next()),
            (Some('"'), '\\') => match rest.next() {
                Some(escaped @ ('$' | '`' | '"' | '\\')) => plain.push(escaped),
                other => plain.extend(std::iter::once('\\').chain(other)),
            },
            _ => plain.push(next),
        }
    }
    plain
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
        let Self { line, kept, live } = self;
        let mut found = complete(cmd, line.words().to_vec(), line.place(), current_dir)?;
        // Of a few flags bash would type what they have in common, dashes that nobody asked for.
        if line.begins_a_word() && live.as_ref().is_some_and(|live| live.was_asked()) {
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

    /// What bash makes of `line` where `|` is the cursor: `words` stand apart by spaces, as bash has broken them.
    #[track_caller]
    fn joined(line: &str, words: &[&str], place: usize, part: &str) -> (Vec<String>, usize, String) {
        let (before, after) = line.split_once('|').unwrap();
        let whole = format!("{before}{after}");
        let broken = Broken { words: words.to_vec(), place, line: &whole, before };
        let Bash { line, kept, .. } = broken.joined(part, Some("/home/ada")).unwrap();
        let words = line.words().iter().map(|word| word.to_str().unwrap().to_owned()).collect();
        (words, line.place(), kept)
    }

    /// The words, the breaks and the part are what bash 5.2 hands to a completion function.
    #[test]
    fn words_that_bash_breaks_are_joined() {
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
    fn words_after_the_cursor_stay_and_the_rest_of_its_word_goes() {
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
    fn quotes_are_taken_away() {
        let words = ["kf", "-n", "\"team a\"", "--kubeconfig", "~/k.yaml", "x\\ y", "A", "=", "'b c'", "m"];
        let (found, ..) = joined("kf -n \"team a\" --kubeconfig ~/k.yaml x\\ y A='b c' m|", &words, 9, "m");
        assert_eq!(found, ["kf", "-n", "team a", "--kubeconfig", "/home/ada/k.yaml", "x y", "A=b c", "m"]);
        for quote in ['"', '\''] {
            let (line, word) = (format!("kf --context {quote}arn:a|"), format!("{quote}arn:a"));
            let (found, _, kept) = joined(&line, &["kf", "--context", &word], 2, "arn:a");
            assert_eq!((found.last().unwrap().as_str(), kept.as_str()), ("arn:a", ""));
        }
        assert_eq!(plain(r#""a\"b\c$x""#, None), r#"a"b\c$x"#);
    }

    #[test]
    fn words_of_another_line_are_not_joined() {
        let broken = Broken { words: vec!["kf", "logs"], place: 1, line: "kf status", before: "kf status" };
        assert!(broken.joined("status", None).is_none());
        let broken = Broken { words: vec!["kf"], place: 3, line: "kf", before: "kf" };
        assert!(broken.joined("", None).is_none());
    }
}
