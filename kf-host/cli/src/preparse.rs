//! Reads global flags and the command's name before the command is known.

use std::ffi::OsString;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args as _, Command};
use kf_core::ui::Format;

use crate::args::GlobalArgs;

/// Parses the global flags before the first other word.
fn parse(words: &[OsString]) -> Option<ArgMatches> {
    let command = GlobalArgs::augment_args(Command::new("kf")).allow_external_subcommands(true);
    command
        .disable_help_flag(true)
        .args_override_self(true)
        .ignore_errors(true)
        .try_get_matches_from(words)
        .ok()
}

/// The name of the command: the first word that is neither a global flag nor the value of one.
pub fn command_name(words: &[OsString]) -> Option<String> {
    match words.get(1)?.to_str() {
        // Usually it is the first word, and the line need not be parsed twice.
        Some(first) if !first.is_empty() && !first.starts_with('-') => Some(first.to_owned()),
        _ => parse(words)?.subcommand_name().map(str::to_owned),
    }
}

/// The output format and verbosity of a line that may be invalid. Words that cannot be parsed are skipped one
/// by one.
pub fn output(words: &[OsString]) -> (Format, bool) {
    let format = find(words, |matches| {
        let given = matches.value_source("output") == Some(ValueSource::CommandLine);
        matches.get_one("output").copied().filter(|_| given)
    });
    // An invalid line has no default value for it.
    let verbose =
        find(words, |matches| matches.get_one("verbose").filter(|count: &&u8| **count > 0).map(drop));
    (format.unwrap_or_default(), verbose.is_some())
}

fn find<T>(words: &[OsString], wanted: impl Fn(&ArgMatches) -> Option<T>) -> Option<T> {
    /// More words than any user types.
    const MAX_WORDS: usize = 100;
    let words: Vec<_> = words.iter().take(MAX_WORDS).take_while(|word| *word != "--").cloned().collect();
    (1..words.len()).find_map(|from| {
        let line: Vec<_> = words.iter().take(1).chain(words.iter().skip(from)).cloned().collect();
        wanted(&parse(&line)?)
    })
}

#[cfg(test)]
mod tests {
    use kf_core::ui::Format;

    fn words(line: &str) -> Vec<std::ffi::OsString> {
        line.split(' ').map(Into::into).collect()
    }

    #[test]
    fn output_format_is_found_on_invalid_line() {
        let format = |line| super::output(&words(line)).0;
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
    fn verbosity_is_found_on_invalid_line() {
        let verbose = |line| super::output(&words(line)).1;
        for line in ["kf -v trian", "kf trian -v", "kf x --bogus -vv", "kf -n a --verbose", "kf -n -v x"] {
            assert!(verbose(line), "{line}");
        }
        for line in ["kf trian", "kf x -- -v", "kf -V", "kf -o nothing"] {
            assert!(!verbose(line), "{line}");
        }
    }

    #[test]
    fn command_name_is_found_after_kf_flags() {
        let command = |line| super::command_name(&words(line));
        assert_eq!(command("kf -n team-a train mnist").as_deref(), Some("train"));
        assert_eq!(command("kf --namespace=team-a -ojson train").as_deref(), Some("train"));
        assert_eq!(command("kf -v -vv --verbose train").as_deref(), Some("train"));
        assert_eq!(command("kf -n team-a -n team-b train").as_deref(), Some("train"));
        assert_eq!(command("kf --color never --help"), None);
        assert_eq!(command("kf --version"), None);
        assert_eq!(command("kf"), None);
    }
}
