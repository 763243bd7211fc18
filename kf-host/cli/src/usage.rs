//! What the parser says of a command line it cannot read, in the form of kf's own errors.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command};
use kf_core::failure::Failure;
use kf_core::ui::Format;

use crate::args::GlobalArgs;

/// Reads the flags of every command up to the first word that is neither a flag of kf nor the value of
/// one.
fn before_command(words: &[OsString]) -> Option<ArgMatches> {
    let command = GlobalArgs::augment_args(Command::new("kf")).allow_external_subcommands(true);
    command
        .disable_help_flag(true)
        .args_override_self(true)
        .ignore_errors(true)
        .try_get_matches_from(words)
        .ok()
}

/// The first word that is neither a flag of kf nor the value of one.
pub fn command(words: &[OsString]) -> Option<String> {
    before_command(words)?.subcommand_name().map(str::to_owned)
}

/// The format that a line asks for which cannot be read otherwise. Words that mean nothing here are left
/// out, one after the other.
pub fn format(words: &[OsString]) -> Format {
    /// More words than a person types.
    const MAX_WORDS: usize = 100;
    let words: Vec<_> = words.iter().take(MAX_WORDS).take_while(|word| *word != "--").cloned().collect();
    let asked_for = |from: usize| {
        let line: Vec<_> = words.iter().take(1).chain(words.iter().skip(from)).cloned().collect();
        let matches = before_command(&line)?;
        let given = matches.value_source("output") == Some(ValueSource::CommandLine);
        matches.get_one("output").copied().filter(|_| given)
    };
    (1..words.len()).find_map(asked_for).unwrap_or_default()
}

/// None for help and versions, which are no mistakes.
pub fn error(error: &clap::Error) -> Option<Failure> {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let mut told = Failure::usage(lines.next()?.strip_prefix("error: ")?);
    let mut help = None;
    for line in lines {
        if let Some(tip) = line.trim_start().strip_prefix("tip: ") {
            told = told.hint(tip);
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            help = Some(format!("{} --help", words_before_arguments(usage)));
            told = told.details([format!("usage: {usage}")]);
        } else if !line.starts_with("For more information") {
            told = told.details([line.trim_start().to_owned()]);
        }
    }
    Some(told.maybe_hint(help))
}

/// The words before the first argument: `kf command add` of `kf command add [OPTIONS] <NAME>`.
fn words_before_arguments(usage: &str) -> String {
    let words: Vec<&str> = usage.split(' ').take_while(|word| !word.starts_with(['-', '<', '['])).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};
    use kf_core::ui::Format;

    fn lines(words: &[&str]) -> Vec<String> {
        let add = Command::new("add").arg(Arg::new("NAME").required(true)).arg(Arg::new("loud").long("loud"));
        let command = Command::new("kf").subcommand_required(true).subcommand(add);
        super::error(&command.try_get_matches_from(words).unwrap_err()).map(|e| e.lines()).unwrap_or_default()
    }

    #[test]
    fn a_mistake_has_one_line_and_the_way_on() {
        assert_eq!(
            lines(&["kf", "add", "x", "--lod"]),
            [
                "error: unexpected argument '--lod' found",
                "  usage: kf add --loud <loud> <NAME>",
                "hint: a similar argument exists: '--loud'",
                "hint: kf add --help",
            ]
        );
        assert_eq!(
            lines(&["kf", "add"]),
            [
                "error: the following required arguments were not provided:",
                "  <NAME>",
                "  usage: kf add <NAME>",
                "hint: kf add --help",
            ]
        );
    }

    fn words(line: &str) -> Vec<std::ffi::OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn format_is_known_whatever_else_is_wrong() {
        let format = |line| super::format(&words(line));
        for line in ["kf trian -o json", "kf -ojson trian", "kf --output=json", "kf --output json --lod"] {
            assert_eq!(format(line), Format::Json, "{line}");
        }
        for line in ["kf x --lod -o json", "kf --bogus=1 train -o=json y", "kf -n a x -n b -o json"] {
            assert_eq!(format(line), Format::Json, "{line}");
        }
        for line in ["kf trian", "kf -o", "kf -o jsno", "kf x -- -o json", "kf -o yam"] {
            assert_eq!(format(line), Format::Table, "{line}");
        }
    }

    #[test]
    fn command_is_found_behind_kfs_flags() {
        let command = |line| super::command(&words(line));
        assert_eq!(command("kf -n team-a train mnist").as_deref(), Some("train"));
        assert_eq!(command("kf --namespace=team-a -ojson train").as_deref(), Some("train"));
        assert_eq!(command("kf -n team-a -n team-b train").as_deref(), Some("train"));
        assert_eq!(command("kf --color never --help"), None);
        assert_eq!(command("kf --version"), None);
        assert_eq!(command("kf"), None);
    }

    #[test]
    fn help_is_no_mistake() {
        assert!(lines(&["kf", "--help"]).is_empty());
    }
}
