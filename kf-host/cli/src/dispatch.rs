//! Runs the command that the command line names: kf's own, or an added one.
//!
//! Starting an added command reads one receipt and builds one clap command. All receipts are read only for
//! help, completion and errors.

use std::ffi::OsString;

use clap::error::ErrorKind;
use clap::{Args as _, Command, CommandFactory, FromArgMatches, Subcommand as _};
use kf_command::installed::Installed;
use kf_command::run::{Executor as _, Local, Request};
use kf_core::failure::{Failure, Result};
use kf_core::{PluginName, exit};

use crate::added;
use crate::added::argv::{self, GuestWords};
use crate::app::App;
use crate::args::{GlobalArgs, RunArgs, deepest};
use crate::commands::{self, Cli, HostCommand};
use crate::complete;
use crate::env;
use crate::interrupt;
use crate::log;
use crate::show::report;
use crate::show::wrap::width;
use crate::ui::guest::GuestUi;
use crate::ui::{ColorChoice, Ui, escape};
use crate::{notice, preparse, unknown, usage};

/// Runs a command line, shows its errors, and returns the exit code.
pub fn run(ui: &Ui, words: Vec<OsString>) -> u8 {
    match complete::answer() {
        None => {}
        Some(Ok(())) => return exit::OK,
        Some(Err(error)) => return show_clap(ui, &error),
    }
    let words = help_word_to_flag(words);
    let requested_ui = || {
        let (format, verbose) = preparse::output(&words);
        ui.with(ColorChoice::Auto, format, verbose)
    };
    match try_run(ui, &words) {
        Ok(code) => code,
        Err(RunError::Usage(error)) => show_clap(&requested_ui(), &error),
        Err(RunError::Early(error)) => show(&requested_ui(), &error),
        Err(RunError::WithUi(ui, error)) => show(&ui, &error),
    }
}

fn show(ui: &Ui, error: &Failure) -> u8 {
    ui.error(error);
    error.kind().exit_code()
}

/// Why a command line failed.
enum RunError {
    Usage(clap::Error),
    /// Before the flags were parsed.
    Early(Failure),
    /// With the output options of the command line.
    WithUi(Box<Ui>, Failure),
}

impl From<clap::Error> for RunError {
    fn from(error: clap::Error) -> Self {
        Self::Usage(error)
    }
}

fn with_ui(ui: &Ui) -> impl Fn(Failure) -> RunError + '_ {
    |error| RunError::WithUi(Box::new(ui.clone()), error)
}

fn try_run(ui: &Ui, words: &[OsString]) -> Result<u8, RunError> {
    match preparse::command_name(words) {
        Some(name) if !HostCommand::has_subcommand(&name) => run_added(ui, words, &name),
        name => run_host(ui, words, name.is_none()),
    }
}

/// `kf help train` is `kf train --help`.
fn help_word_to_flag(mut words: Vec<OsString>) -> Vec<OsString> {
    if words.get(1).is_some_and(|word| word == "help") {
        words.remove(1);
        words.push("--help".into());
    }
    words
}

/// Runs kf's own command. `bare` is a line without a command: its help and errors include added commands.
fn run_host(ui: &Ui, words: &[OsString], bare: bool) -> Result<u8, RunError> {
    let matches = match Cli::command().try_get_matches_from(words) {
        Err(error) if bare && error.kind() != ErrorKind::DisplayVersion => {
            added::overview(Cli::command(), env::kf_home().ok().as_ref(), width(ui.stdout_columns()))
                .try_get_matches_from(words)
        }
        matches => matches,
    }?;
    let cli = Cli::from_arg_matches(&matches)?;
    let app = match (App::new(ui, cli.global.clone()), &cli.command) {
        // `kf doctor` reports this itself.
        (Err(_), HostCommand::Doctor(_)) => App::in_home(ui, cli.global, commands::doctor::no_home()),
        (app, _) => app.map_err(RunError::Early)?,
    };
    log::start(&app.ui, app.global.verbose).map_err(with_ui(&app.ui))?;
    if !matches!(cli.command, HostCommand::Completion(_)) {
        interrupt::watch(&app.ui);
    }
    let result = match &cli.command {
        HostCommand::Command(command) => commands::command::run(&app, command),
        HostCommand::Registry(command) => commands::registry::run(&app, command),
        HostCommand::Plugin(command) => commands::plugin::run(&app, command),
        HostCommand::Doctor(args) => commands::doctor::run(&app, args),
        HostCommand::Completion(args) => commands::completion::run(&app, args),
        HostCommand::Man(args) => commands::man::run(&app, args),
    };
    result.map(|()| report::warn_unused_wide(&app.ui)).map(|()| exit::OK).map_err(with_ui(&app.ui))
}

fn run_added(ui: &Ui, words: &[OsString], name: &str) -> Result<u8, RunError> {
    let app = App::new(ui, GlobalArgs::default()).map_err(RunError::Early)?;
    let installed = find(&app, name).map_err(RunError::Early)?;
    let command = GlobalArgs::augment_args(Command::new("kf")).subcommand(added::command(name, &installed));
    let matches = command.try_get_matches_from(words)?;
    let Some((_, own)) = matches.subcommand() else {
        return Err(RunError::Early(Failure::usage(format!("cannot parse the command line of `{name}`"))));
    };
    let deepest = deepest(own);
    let app = App::in_home(ui, GlobalArgs::from_arg_matches(deepest)?, app.home);
    log::start(&app.ui, app.global.verbose).map_err(with_ui(&app.ui))?;
    let flags = RunArgs::from_arg_matches(deepest)?;
    let guest = argv::guest_words(&installed.tree, own, env::text);
    let typed = argv::guest_command_line(words.get(1..).unwrap_or_default());
    let code = execute(&app, &installed, &flags, guest, typed).map_err(with_ui(&app.ui))?;
    if code == exit::OK {
        notice::show(&app);
    }
    Ok(code)
}

fn find(app: &App, name: &str) -> Result<Installed> {
    let found = match PluginName::parse(name) {
        Ok(typed) => app.commands().find(&typed)?,
        Err(_) => None,
    };
    found.ok_or_else(|| unknown::command(app, name))
}

fn execute(
    app: &App,
    installed: &Installed,
    flags: &RunArgs,
    guest: GuestWords,
    command_line: Vec<String>,
) -> Result<u8> {
    let request = Request {
        files: guest.file_grants(),
        arguments: guest.words,
        command_line,
        ui: &|| Box::new(GuestUi::new(app.ui.clone(), installed.receipt.name.as_str())),
    };
    let finished = Local.execute(installed, &app.setting(flags), request)?;
    report::show(app, flags, &finished)?;
    finished.exit
}

/// Prints help to stdout with success, and errors to stderr.
fn show_clap(ui: &Ui, error: &clap::Error) -> u8 {
    if let Some(error) = usage::error(error) {
        return show(ui, &error);
    }
    let text = error.to_string();
    if error.use_stderr() {
        for line in text.trim_end().lines() {
            ui.message_verbatim(&escape::filtered(line));
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

    #[test]
    fn host_command_tree_is_valid() {
        Cli::command().debug_assert();
    }
}
