//! Parses the command line and runs the author's function.

use std::ffi::OsString;

use clap::error::{ContextKind, ErrorKind};

use crate::error::{Error, Exit, Result};
use crate::kf::Kf;
use crate::tree::{Candidate, CompletionRequest};

/// A kf command. `#[kf_plugin_sdk::main]` implements it for a function.
pub trait Command {
    /// The arguments, as a clap struct.
    type Arguments: clap::Parser + crate::Describe;

    /// Runs the command.
    fn run(arguments: Self::Arguments, kf: &Kf) -> Result<Exit>;

    /// Completes arguments whose completion source is [`crate::Completion::Dynamic`].
    fn complete(request: &CompletionRequest, kf: &Kf) -> Result<Vec<Candidate>> {
        let _ = (request, kf);
        Ok(Vec::new())
    }
}

/// Runs a command with the words after its name.
pub fn run<C: Command>(words: &[String], kf: &Kf) -> Result<Exit> {
    let name = kf.context().command;
    match parse::<C::Arguments>(&name, words)? {
        Parsed::Arguments(arguments) => {
            let kf = &kf.with_tree(<C::Arguments as clap::CommandFactory>::command);
            C::run(arguments, kf).map_err(|error| retarget(error, kf))
        }
        Parsed::Text(text) => {
            kf.print(text)?;
            Ok(Exit::OK)
        }
    }
}

/// Adds the flags for the same cluster and namespace to the command in a hint.
fn retarget(error: Error, kf: &Kf) -> Error {
    match &error.hint {
        Some(hint) if hint.starts_with("kf ") => {
            let hint = kf.same_target(hint);
            error.hint(hint)
        }
        _ => error,
    }
}

enum Parsed<A> {
    Arguments(A),
    /// Help or version text, if the guest itself is asked for it.
    Text(String),
}

fn parse<A: clap::Parser>(name: &str, words: &[String]) -> Result<Parsed<A>> {
    let bin = if name.is_empty() { "kf".to_owned() } else { format!("kf {name}") };
    let words = std::iter::once(OsString::from(&bin)).chain(words.iter().map(OsString::from));
    let parsed = A::command()
        .bin_name(&bin)
        .try_get_matches_from(words)
        .and_then(|mut matches| A::from_arg_matches_mut(&mut matches));
    match parsed {
        Ok(arguments) => Ok(Parsed::Arguments(arguments)),
        Err(error) if matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) => {
            Ok(Parsed::Text(error.render().to_string()))
        }
        Err(error) => Err(usage_error(&bin, &error)),
    }
}

/// Converts an error of clap: its first line is the message, its suggestion or `--help` the hint.
fn usage_error(bin: &str, error: &clap::Error) -> Error {
    let rendered = error.render().to_string();
    let message = rendered
        .lines()
        .map(|line| line.trim().trim_start_matches("error: "))
        .take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"))
        .take_while(|line| !line.starts_with("tip:"))
        .filter(|line| !line.is_empty())
        .collect::<Vec<_>>()
        .join(" ");
    let suggestion =
        [ContextKind::SuggestedArg, ContextKind::SuggestedValue, ContextKind::SuggestedSubcommand]
            .into_iter()
            .find_map(|kind| error.get(kind))
            .map(|value| format!("did you mean `{value}`? see `{bin} --help`"));
    Error::invalid(message).hint(suggestion.unwrap_or_else(|| format!("{bin} --help")))
}
