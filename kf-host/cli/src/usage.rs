//! Converts clap's errors to kf's own errors.

use std::error::Error as _;

use clap::Error;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use kf_core::failure::Failure;

use crate::synonyms;

/// The error; none for help and versions.
pub fn error(error: &Error) -> Option<Failure> {
    use ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand, DisplayVersion};
    if let DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand | DisplayVersion = error.kind() {
        return None;
    }
    let mut failure = Failure::usage(message(error)).details(listed(error));
    let usage = texts(error, ContextKind::Usage).pop();
    let usage = usage.as_deref().map(|usage| usage.strip_prefix("Usage: ").unwrap_or(usage));
    let words = usage.map(words_before_arguments).unwrap_or_default();
    let unknown = texts(error, ContextKind::InvalidSubcommand).join(" ");
    // A synonym from another tool takes precedence over a similar spelling.
    match synonyms::below(&words, &unknown) {
        Some(line) => failure = failure.hint(line),
        None => failure = tips(error).into_iter().fold(failure, Failure::hint),
    }
    let Some(usage) = usage else { return Some(failure) };
    let help = format!("{words} --help");
    Some(failure.details([format!("usage: {usage}")]).hint(help))
}

/// The message, in clap's words.
fn message(error: &Error) -> String {
    let text = |kind| texts(error, kind).join(", ");
    let number = |kind| match error.get(kind) {
        Some(ContextValue::Number(number)) => *number,
        _ => 0,
    };
    let argument = text(ContextKind::InvalidArg);
    let value = text(ContextKind::InvalidValue);
    let provided = || match number(ContextKind::ActualNumValues) {
        many @ 2.. => format!("{many} were provided"),
        few => format!("{few} was provided"),
    };
    match error.kind() {
        // A custom error has only its text.
        _ if error.context().next().is_none() => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            line.strip_prefix("error: ").unwrap_or(line).to_owned()
        }
        ErrorKind::UnknownArgument => format!("unexpected argument '{argument}' found"),
        ErrorKind::InvalidSubcommand => {
            format!("unrecognized subcommand '{}'", text(ContextKind::InvalidSubcommand))
        }
        ErrorKind::MissingSubcommand => {
            let command = text(ContextKind::InvalidSubcommand);
            format!("'{command}' requires a subcommand but one was not provided")
        }
        ErrorKind::MissingRequiredArgument => {
            "the following required arguments were not provided:".to_owned()
        }
        ErrorKind::InvalidValue if value.is_empty() => {
            format!("a value is required for '{argument}' but none was supplied")
        }
        ErrorKind::InvalidValue => format!("invalid value '{value}' for '{argument}'"),
        ErrorKind::ValueValidation => match error.source() {
            Some(why) => format!("invalid value '{value}' for '{argument}': {why}"),
            None => format!("invalid value '{value}' for '{argument}'"),
        },
        ErrorKind::NoEquals => format!("equal sign is needed when assigning values to '{argument}'"),
        ErrorKind::TooManyValues => {
            format!("unexpected value '{value}' for '{argument}' found; no more were expected")
        }
        ErrorKind::TooFewValues => {
            let min = number(ContextKind::MinValues);
            format!("{min} values required by '{argument}'; only {}", provided())
        }
        ErrorKind::WrongNumberOfValues => {
            let expected = number(ContextKind::ExpectedNumValues);
            format!("{expected} values required for '{argument}' but {}", provided())
        }
        ErrorKind::ArgumentConflict => conflict(error),
        other => match error.source() {
            Some(why) => why.to_string(),
            None => other.to_string(),
        },
    }
}

fn conflict(error: &Error) -> String {
    let argument = texts(error, ContextKind::InvalidArg);
    let (what, name) = match argument.first() {
        Some(name) => ("argument", name.clone()),
        None => ("subcommand", texts(error, ContextKind::InvalidSubcommand).join(", ")),
    };
    match error.get(ContextKind::PriorArg) {
        Some(ContextValue::String(prior)) if *prior == name => {
            format!("the {what} '{name}' cannot be used multiple times")
        }
        Some(ContextValue::String(prior)) => format!("the {what} '{name}' cannot be used with '{prior}'"),
        Some(ContextValue::Strings(_)) => format!("the {what} '{name}' cannot be used with:"),
        _ => format!("the {what} '{name}' cannot be used with one or more of the other specified arguments"),
    }
}

/// The lines below the message: missing arguments, conflicting arguments or possible values.
fn listed(error: &Error) -> Vec<String> {
    let choice = |what, kind| {
        let values = texts(error, kind);
        if values.is_empty() { vec![] } else { vec![format!("[{what}: {}]", values.join(", "))] }
    };
    match error.kind() {
        ErrorKind::MissingRequiredArgument => texts(error, ContextKind::InvalidArg),
        ErrorKind::ArgumentConflict => match error.get(ContextKind::PriorArg) {
            Some(ContextValue::Strings(prior)) => prior.clone(),
            _ => Vec::new(),
        },
        ErrorKind::InvalidValue => choice("possible values", ContextKind::ValidValue),
        ErrorKind::MissingSubcommand => choice("subcommands", ContextKind::ValidSubcommand),
        _ => Vec::new(),
    }
}

fn tips(error: &Error) -> Vec<String> {
    let similar = [
        ("subcommand", ContextKind::SuggestedSubcommand),
        ("argument", ContextKind::SuggestedArg),
        ("value", ContextKind::SuggestedValue),
    ];
    let similar = similar.into_iter().filter_map(|(what, kind)| {
        let names: Vec<String> = texts(error, kind).iter().map(|name| format!("'{name}'")).collect();
        match names.as_slice() {
            [] => None,
            [name] => Some(format!("a similar {what} exists: {name}")),
            names => Some(format!("some similar {what}s exist: {}", names.join(", "))),
        }
    });
    similar.chain(texts(error, ContextKind::Suggested)).collect()
}

/// The context values of one kind, without colours.
fn texts(error: &Error, kind: ContextKind) -> Vec<String> {
    match error.get(kind) {
        Some(ContextValue::String(text)) => vec![text.clone()],
        Some(ContextValue::Strings(texts)) => texts.clone(),
        Some(ContextValue::StyledStr(text)) => vec![text.to_string()],
        Some(ContextValue::StyledStrs(texts)) => texts.iter().map(ToString::to_string).collect(),
        _ => Vec::new(),
    }
}

/// The words before the first argument: `kf command add` from `kf command add [OPTIONS] <NAME>`.
fn words_before_arguments(usage: &str) -> String {
    let words: Vec<&str> = usage.split(' ').take_while(|word| !word.starts_with(['-', '<', '['])).collect();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use clap::{Arg, ArgAction, Command, value_parser};

    fn command() -> Command {
        let add = Command::new("add").args([
            Arg::new("NAME").required(true),
            Arg::new("loud").long("loud").action(ArgAction::SetTrue).conflicts_with("mute"),
            Arg::new("mute").long("mute").action(ArgAction::SetTrue),
            Arg::new("shy").long("shy").action(ArgAction::SetTrue).conflicts_with_all(["mute", "loud"]),
            Arg::new("size").long("size").value_parser(value_parser!(u8)),
            Arg::new("color").long("color").value_parser(["red", "green"]).require_equals(true),
            Arg::new("pair").long("pair").num_args(2).value_names(["A", "B"]),
            Arg::new("few").long("few").num_args(2..=3),
        ]);
        Command::new("kf").subcommand_required(true).subcommand(add).subcommand(Command::new("remove"))
    }

    fn lines(line: &str) -> Vec<String> {
        let error = command().try_get_matches_from(line.split(' ')).unwrap_err();
        super::error(&error).map(|e| e.lines()).unwrap_or_default()
    }

    #[test]
    fn usage_error_has_message_usage_and_hints() {
        assert_eq!(
            lines("kf add x --lod"),
            [
                "error: unexpected argument '--lod' found",
                "  usage: kf add --loud <NAME>",
                "hint: a similar argument exists: '--loud'",
                "hint: kf add --help",
            ]
        );
        assert_eq!(
            lines("kf add"),
            [
                "error: the following required arguments were not provided:",
                "  <NAME>",
                "  usage: kf add <NAME>",
                "hint: kf add --help",
            ]
        );
    }

    /// The lines of clap's own rendering, without usage and tips.
    fn in_claps_words(line: &str) -> Vec<String> {
        let error = command().try_get_matches_from(line.split(' ')).unwrap_err().to_string();
        let lines = error.lines().take_while(|line| !line.is_empty()).map(str::trim);
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn usage_errors_use_clap_messages() {
        for line in [
            "kf",
            "kf ad",
            "kf nothing",
            "kf add",
            "kf add x y",
            "kf add x --bogus",
            "kf add x --size",
            "kf add x --size 300",
            "kf add x --size abc",
            "kf add x --color red",
            "kf add x --color=blue",
            "kf add x --color=gren",
            "kf add x --loud --mute",
            "kf add x --loud --loud",
            "kf add x --shy --mute --loud",
            "kf add x --pair a",
            "kf add x --few a",
            "kf add x --loud=yes",
        ] {
            let message: Vec<String> = lines(line)
                .into_iter()
                .map(|line| line.trim().to_owned())
                .filter(|line| !line.starts_with("usage:") && !line.starts_with("hint:"))
                .collect();
            assert_eq!(message, in_claps_words(line), "{line}");
        }
    }

    #[test]
    fn custom_clap_error_keeps_its_text() {
        let error = command().error(clap::error::ErrorKind::Io, "the disk is full");
        assert_eq!(super::error(&error).unwrap().lines(), ["error: the disk is full"]);
    }

    #[test]
    fn help_is_not_an_error() {
        assert!(lines("kf --help").is_empty());
    }
}
