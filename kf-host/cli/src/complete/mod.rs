//! What kf answers the shell at Tab.
//!
//! Commands, flags and fixed values stand in the receipts, and for those no guest is started, however
//! many commands are added. What lives in the cluster is asked for only while the value of an argument
//! that names such a thing is completed, and then of one command: [`live`] says how. Names that kf
//! itself keeps are read from its files by [`known`](crate::candidates::known).
//!
//! Whoever offers a candidate is not trusted with the command line it lands on: [`candidates`](crate::candidates) lets
//! through what a shell takes literally, and no more.
//!
//! Flags are offered once a dash is typed, and where there is nothing else to offer: a name is what people press Tab
//! for.

mod bash;
mod line;
mod live;

use std::path::Path;
use std::sync::Arc;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompleteEnv;
use clap_complete::env::{Elvish, Fish, Powershell, Shells, Zsh};

use crate::added;
use crate::commands::Cli;
use crate::env;
use bash::Bash;
use line::Line;
use live::Live;

/// Where the scripts of most shells say which word is being completed.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// Answers the shell if it is the shell that asks. An error is one of how it asks.
pub fn answer() -> Option<Result<(), clap::Error>> {
    let shell = env::var(env::KF_COMPLETE)?;
    let line = Line::of_call(std::env::args_os(), env::text(INDEX).as_deref());
    let is_bash = Path::new(&shell).file_stem().is_some_and(|name| name == "bash");
    let bash = if is_bash { Bash::of_call(line.clone()) } else { Bash::default() };
    let line = if is_bash { bash.line().clone() } else { line };
    let live = Arc::new(Live::new(line.clone()));
    let factory = || match line.begins_a_word() {
        true => without_flags(command(&live)),
        false => command(&live),
    };
    let bash = bash.with(&live);
    let shells = Shells(&[&bash, &Elvish, &Fish, &Powershell, &Zsh]);
    let complete = CompleteEnv::with_factory(factory).var(env::KF_COMPLETE).shells(shells);
    let directory = std::env::current_dir().ok();
    match complete.try_complete(std::env::args_os(), directory.as_deref()) {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        // Whoever presses Tab in a strange place wants no lecture.
        Err(_) if !line.is_empty() => Some(Ok(())),
        Err(error) => Some(Err(error)),
    }
}

/// Every command there is, with what completes the values of its arguments.
fn command(live: &Arc<Live>) -> Command {
    added::all(host(live), env::kf_home().ok().as_ref(), &|name, argument, arg| match live
        .values(name, argument)
    {
        Some(completer) => arg.add(completer),
        None => arg,
    })
}

fn host(live: &Arc<Live>) -> Command {
    Cli::command()
        .mut_arg("namespace", |arg| arg.add(live.namespaces()))
        .mut_arg("context", |arg| arg.add(live.contexts()))
}

/// The command with flags that are offered only where nothing else is.
fn without_flags(mut command: Command) -> Command {
    // Before that a flag for help is not there yet.
    command.build();
    hide_flags(command)
}

fn hide_flags(command: Command) -> Command {
    let hidden = |arg: Arg| if arg.is_positional() { arg } else { arg.hide(true) };
    command.mut_args(hidden).mut_subcommands(hide_flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_with_completed_values_are_where_they_are_looked_for() {
        host(&Arc::new(Live::new(Line::default()))).debug_assert();
    }
}
