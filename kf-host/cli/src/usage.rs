//! What the parser says of a command line it cannot read, in the form of kf's own errors.

use std::ffi::OsString;

use clap::ValueEnum;

use crate::error::CliError;
use crate::ui::Format;

/// The format that a line asks for which may not be readable otherwise.
pub fn format(words: &[OsString]) -> Format {
    let mut words = words.iter().filter_map(|word| word.to_str()).take_while(|word| *word != "--");
    let mut wanted = None;
    while let Some(word) = words.next() {
        let value = match word {
            "-o" | "--output" => words.next(),
            word => word.strip_prefix("--output=").or_else(|| word.strip_prefix("-o")),
        };
        let value = value.map(|value| value.trim_start_matches('='));
        wanted = wanted.or_else(|| Format::from_str(value?, false).ok());
    }
    wanted.unwrap_or_default()
}

/// None for help and versions, which are no mistakes.
pub fn error(error: &clap::Error) -> Option<CliError> {
    let text = error.render().to_string();
    let mut lines = text.lines().map(str::trim_end).filter(|line| !line.is_empty());
    let mut told = CliError::usage(lines.next()?.strip_prefix("error: ")?);
    let mut help = None;
    for line in lines {
        if let Some(tip) = line.trim_start().strip_prefix("tip: ") {
            told = told.hint(tip);
        } else if let Some(usage) = line.strip_prefix("Usage: ") {
            help = Some(format!("{} --help", command(usage)));
            told = told.details([format!("usage: {usage}")]);
        } else if !line.starts_with("For more information") {
            told = told.details([line.trim_start().to_owned()]);
        }
    }
    Some(told.maybe_hint(help))
}

/// The words before the first argument: `kf command add` of `kf command add [OPTIONS] <NAME>`.
fn command(usage: &str) -> String {
    let words: Vec<&str> = usage.split(' ').take_while(|word| !word.starts_with(['-', '<', '['])).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::{Arg, Command};

    use crate::ui::Format;

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

    #[test]
    fn the_format_is_known_even_so() {
        let format = |line: &str| super::format(&line.split(' ').map(Into::into).collect::<Vec<_>>());
        for line in ["kf trian -o json", "kf -ojson trian", "kf --output=json", "kf --output json --lod"] {
            assert_eq!(format(line), Format::Json, "{line}");
        }
        for line in ["kf trian", "kf -o", "kf -o jsno", "kf x -- -o json", "kf -o yam"] {
            assert_eq!(format(line), Format::Table, "{line}");
        }
    }

    #[test]
    fn help_is_no_mistake() {
        assert!(lines(&["kf", "--help"]).is_empty());
    }
}
