//! From words to a command: kf's own, or one that was added.
//!
//! Starting an added command reads one receipt and builds one command line. The whole tree, with
//! every receipt, is built only for help, completion and mistakes.

use std::ffi::{OsStr, OsString};

use clap::{ArgMatches, Args as _, Command, CommandFactory, FromArgMatches};
use kf_registry::receipt::{self, Receipt};
use kf_registry::{PluginName, slot};
use kf_sandbox::tree::CommandTree;

use crate::app::App;
use crate::args::{Cli, GlobalArgs, HostCommand, RunArgs};
use crate::commands;
use crate::error::{CliError, Result};
use crate::exit;
use crate::interrupt;
use crate::plugin::clap_tree::{self, Frame};
use crate::plugin::{argv, rights, run};
use crate::ui::{ColorChoice, Ui, escape};
use crate::unknown;
use crate::usage;

/// Runs a command line and gives the exit code. Errors have been shown.
pub fn run(ui: &Ui, words: Vec<OsString>) -> u8 {
    if let Some(code) = complete(ui) {
        return code;
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
    let command = if bare { with_added(Cli::command()) } else { Cli::command() };
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
    let (receipt, tree) = installed(&app, name).map_err(told(ui))?;
    let command =
        GlobalArgs::augment_args(Command::new("kf")).subcommand(added_command(name, &receipt, &tree));
    let matches = command.try_get_matches_from(words)?;
    let Some((_, own)) = matches.subcommand() else {
        return Err(told(ui)(CliError::usage(format!("`{name}` could not be read from the command line"))));
    };
    let deepest = deepest(own);
    let app = App::new(ui, GlobalArgs::from_arg_matches(deepest)?).map_err(told(ui))?;
    let flags = RunArgs::from_arg_matches(deepest)?;
    let guest = argv::guest_words(&tree, own, crate::env::text);
    run::run(&app, &receipt, &tree, flags, guest).map_err(told(&app.ui))
}

fn installed(app: &App, name: &str) -> Result<(Receipt, CommandTree)> {
    let Ok(typed) = PluginName::parse(name) else { return Err(unknown::command(app, name)) };
    let answering = slot::answering(&app.home, &typed)?;
    let Some(receipt) = receipt::read(&app.home, &answering)? else {
        return Err(unknown::command(app, name));
    };
    let tree = tree_of(&receipt)?;
    Ok((receipt, tree))
}

fn tree_of(receipt: &Receipt) -> Result<CommandTree> {
    CommandTree::from_value(&receipt.commands).map_err(|error| {
        CliError::untrusted(format!("the receipt of {} cannot be used: {error}", receipt.name))
            .hint(format!("kf command remove {0} && kf command add {0}", receipt.name))
    })
}

fn added_command(name: &str, receipt: &Receipt, tree: &CommandTree) -> Command {
    let footer = rights::footer(receipt);
    clap_tree::build(&Frame { name, footer }, tree)
}

/// Adds every command that answers to a name. One whose receipt cannot be used is left out here
/// and says why when it is called.
fn with_added(mut command: Command) -> Command {
    let Some(home) = crate::env::kf_home() else { return command };
    for (name, receipt) in receipt::list(&home).unwrap_or_default() {
        let Ok(receipt) = receipt else { continue };
        let Ok(tree) = tree_of(&receipt) else { continue };
        command = command.subcommand(added_command(name.as_str(), &receipt, &tree));
    }
    command
}

fn deepest(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    matches
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

/// Answers the shell if it is the shell that asks.
fn complete(ui: &Ui) -> Option<u8> {
    crate::env::var(commands::completion::VARIABLE)?;
    let complete = clap_complete::CompleteEnv::with_factory(|| with_added(Cli::command()))
        .var(commands::completion::VARIABLE);
    let directory = std::env::current_dir().ok();
    match complete.try_complete(std::env::args_os(), directory.as_deref()) {
        Ok(true) => Some(exit::OK),
        Ok(false) => None,
        Err(error) => Some(show_clap(ui, &error)),
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
