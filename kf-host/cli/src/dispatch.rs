//! From words to a command: kf's own, or one that was added.
//!
//! Starting an added command reads one receipt and builds one command line. The whole tree, with
//! every receipt, is built only for help, completion and mistakes.

use std::ffi::{OsStr, OsString};

use clap::{Args as _, Command, CommandFactory, FromArgMatches};

use crate::app::App;
use crate::args::{Cli, GlobalArgs, HostCommand, RunArgs, deepest};
use crate::commands;
use crate::complete;
use crate::error::{CliError, Result};
use crate::exit;
use crate::interrupt;
use crate::plugin::{added, argv, run};
use crate::ui::{ColorChoice, Ui, escape};
use crate::usage;

/// Runs a command line and gives the exit code. Errors have been shown.
pub fn run(ui: &Ui, words: Vec<OsString>) -> u8 {
    match complete::answer() {
        None => {}
        Some(Ok(())) => return exit::OK,
        Some(Err(error)) => return show_clap(ui, &error),
    }
    let ui = &ui.with(ColorChoice::Auto, usage::format(&words));
    match try_run(ui, words) {
        Ok(code) => code,
        Err(Failure::Usage(error)) => show_clap(ui, &error),
        Err(Failure::Told(ui, error)) => {
            ui.error(&error);
            error.kind().exit_code()
        }
    }
}

/// A failure with the terminal as the command line had it.
enum Failure {
    Usage(clap::Error),
    Told(Box<Ui>, CliError),
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

fn told(ui: &Ui) -> impl Fn(CliError) -> Failure + '_ {
    |error| Failure::Told(Box::new(ui.clone()), error)
}

fn try_run(ui: &Ui, words: Vec<OsString>) -> Result<u8, Failure> {
    let words = help_last(words);
    let name = first_word(&words).and_then(OsStr::to_str).map(str::to_owned);
    let host = Cli::command();
    match name {
        Some(name) if host.find_subcommand(&name).is_none() => run_added(ui, &words, &name),
        name => run_host(ui, &words, name.is_none()),
    }
}

/// `kf help train` is `kf train --help`.
fn help_last(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

/// kf's own flags whose value may be the next word.
const WITH_VALUE: [&str; 8] =
    ["-n", "--namespace", "--context", "--kubeconfig", "--request-timeout", "-o", "--output", "--color"];

/// The first word that is neither a flag of kf nor the value of one.
fn first_word(words: &[OsString]) -> Option<&OsStr> {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        let text = word.to_string_lossy();
        if WITH_VALUE.contains(&text.as_ref()) {
            words.next();
        } else if !text.starts_with('-') {
            return Some(word);
        }
    }
    None
}

/// `bare` is a line without a command: help then lists the added ones too.
fn run_host(ui: &Ui, words: &[OsString], bare: bool) -> Result<u8, Failure> {
    let command = if bare { added::all(Cli::command(), &|_, _, arg| arg) } else { Cli::command() };
    let matches = command.try_get_matches_from(words)?;
    let cli = Cli::from_arg_matches(&matches)?;
    let app = App::new(ui, cli.global).map_err(told(ui))?;
    if !matches!(cli.command, HostCommand::Completion(_)) {
        interrupt::watch(&app.ui);
    }
    let result = match &cli.command {
        HostCommand::Command(command) => commands::command::run(&app, command),
        HostCommand::Registry(command) => commands::registry::run(&app, command),
        HostCommand::Completion(args) => commands::completion::run(&app, args),
    };
    result.map(|()| exit::OK).map_err(told(&app.ui))
}

fn run_added(ui: &Ui, words: &[OsString], name: &str) -> Result<u8, Failure> {
    let app = App::new(ui, GlobalArgs::default()).map_err(told(ui))?;
    let (receipt, tree) = added::find(&app, name).map_err(told(ui))?;
    let command =
        GlobalArgs::augment_args(Command::new("kf")).subcommand(added::command(name, &receipt, &tree));
    let matches = command.try_get_matches_from(words)?;
    let Some((_, own)) = matches.subcommand() else {
        return Err(told(ui)(CliError::usage(format!("`{name}` could not be read from the command line"))));
    };
    let deepest = deepest(own);
    let app = App::new(ui, GlobalArgs::from_arg_matches(deepest)?).map_err(told(ui))?;
    let flags = RunArgs::from_arg_matches(deepest)?;
    let guest = argv::guest_words(&tree, own, crate::env::text);
    let typed = words.get(1..).unwrap_or_default();
    run::run(&app, &receipt, &tree, flags, guest, typed).map_err(told(&app.ui))
}

/// Help goes to stdout and is a success; a mistake goes to stderr.
fn show_clap(ui: &Ui, error: &clap::Error) -> u8 {
    let text = error.render().to_string();
    if let Some(error) = usage::error(error) {
        ui.error(&error);
        return error.kind().exit_code();
    }
    if error.use_stderr() {
        for line in text.trim_end().lines() {
            ui.talk_plain(&escape::filtered(line));
        }
        return exit::USAGE;
    }
    match ui.data(text.as_bytes()) {
        Ok(()) => exit::OK,
        Err(_) => exit::FAILED,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(line: &str) -> Option<String> {
        let words: Vec<OsString> = line.split(' ').map(OsString::from).collect();
        first_word(&words).map(|word| word.to_string_lossy().into_owned())
    }

    #[test]
    fn the_command_is_found_behind_kfs_flags() {
        assert_eq!(first("kf -n team-a train mnist").as_deref(), Some("train"));
        assert_eq!(first("kf --namespace=team-a -ojson train").as_deref(), Some("train"));
        assert_eq!(first("kf --color never --help"), None);
    }

    #[test]
    fn every_flag_with_a_value_is_known() {
        let command = GlobalArgs::augment_args(Command::new("kf"));
        for argument in command.get_arguments().filter(|argument| argument.get_action().takes_values()) {
            let long = argument.get_long().map(|long| format!("--{long}"));
            let short = argument.get_short().map(|short| format!("-{short}"));
            for name in [long, short].into_iter().flatten() {
                assert!(WITH_VALUE.contains(&name.as_str()), "{name}");
            }
        }
    }

    #[test]
    fn the_trees_of_the_host_are_sound() {
        Cli::command().debug_assert();
    }
}
