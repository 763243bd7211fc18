//! The command line that is being completed.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{ArgMatches, Command, FromArgMatches as _};

use crate::args::{GlobalArgs, deepest};

/// The words, starting with `kf`, and the index of the one being completed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Line {
    words: Vec<OsString>,
    place: usize,
}

/// A parsed line, which may be incomplete.
pub struct ParsedLine {
    pub global: GlobalArgs,
    pub matches: ArgMatches,
}

impl Line {
    /// From the words of a script's call, where the line follows `--`. Without an index the last word is
    /// completed.
    pub fn from_call(call: impl IntoIterator<Item = OsString>, index: Option<&str>) -> Self {
        let words: Vec<_> = call.into_iter().skip_while(|word| word != "--").skip(1).collect();
        let last = words.len().saturating_sub(1);
        let place = index.and_then(|index| index.parse().ok()).unwrap_or(last);
        Self { words, place }
    }

    pub fn new(words: Vec<OsString>, place: usize) -> Self {
        Self { words, place }
    }

    pub fn words(&self) -> &[OsString] {
        &self.words
    }

    pub fn place(&self) -> usize {
        self.place
    }

    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// Whether the word being completed is empty.
    pub fn is_at_word_start(&self) -> bool {
        self.words.get(self.place).is_none_or(|word| word.is_empty())
    }

    /// Parses the whole line, including what follows the cursor. None if the line is invalid rather than
    /// incomplete.
    pub fn parse(&self, command: Command) -> Option<ParsedLine> {
        if let Err(error) = command.clone().try_get_matches_from(&self.words)
            && !is_unfinished(error.kind())
        {
            return None;
        }
        let matches = command.ignore_errors(true).try_get_matches_from(&self.words).ok()?;
        let global = GlobalArgs::from_arg_matches(deepest(&matches)).ok()?;
        Some(ParsedLine { global, matches })
    }
}

fn is_unfinished(kind: ErrorKind) -> bool {
    matches!(
        kind,
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
    )
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Args as _};

    use super::*;

    fn line(words: &[&str], place: usize) -> Line {
        Line { words: words.iter().map(OsString::from).collect(), place }
    }

    #[test]
    fn line_starts_after_double_dash() {
        let call = |words: &[&str], index| Line::from_call(words.iter().map(OsString::from), index);
        assert_eq!(call(&["kf", "--", "kf", "logs", "m"], None), line(&["kf", "logs", "m"], 2));
        assert_eq!(call(&["kf", "--", "kf", "m", "--", "x"], Some("1")), line(&["kf", "m", "--", "x"], 1));
        assert_eq!(call(&["kf", "--", "kf", "m"], Some("many")), line(&["kf", "m"], 1));
        assert!(call(&["kf", "logs"], Some("1")).is_empty());
    }

    fn typed(words: &[&str]) -> Option<(Option<String>, Option<String>)> {
        let logs = Command::new("logs")
            .arg(Arg::new("name").required(true))
            .arg(Arg::new("rank").long("rank").value_parser(clap::value_parser!(u32)));
        let command = GlobalArgs::augment_args(Command::new("kf")).subcommand_required(true).subcommand(logs);
        let typed = line(words, words.len() - 1).parse(command)?;
        let name = typed.matches.subcommand().and_then(|(_, own)| own.get_one::<String>("name").cloned());
        Some((typed.global.namespace, name))
    }

    #[test]
    fn kf_flags_are_read_at_any_position() {
        let found = Some((Some("team-a".to_owned()), Some("mn".to_owned())));
        assert_eq!(typed(&["kf", "-n", "team-a", "logs", "mn"]), found);
        assert_eq!(typed(&["kf", "logs", "--rank", "1", "mn", "--namespace=team-a"]), found);
        assert_eq!(typed(&["kf", "logs", "-nteam-a"]), Some((Some("team-a".to_owned()), None)));
        assert_eq!(typed(&["kf", "-n", "te"]), Some((Some("te".to_owned()), None)));
    }

    #[test]
    fn invalid_line_is_not_parsed() {
        for mistake in [
            &["kf", "logs", "--bogus", "-n", "team-a", "mn"][..],
            &["kf", "logs", "--rank", "one", "-n", "team-a", "mn"],
            &["kf", "logs", "-n", "team-a", "-n", "team-b", "mn"],
            &["kf", "logs", "--help", "mn"],
            &["kf", "bogus", "mn"],
        ] {
            assert_eq!(typed(mistake), None, "{mistake:?}");
        }
    }
}
