//! Shell completion.
//!
//! Commands, flags and fixed values are read from the receipts without starting a guest, however many
//! commands are added. Names in the cluster are queried only while the value of an argument that declares
//! them is completed, and only from that one command: see [`dynamic`]. Names that kf itself stores are
//! read from its files by [`known`](crate::candidates::known).
//!
//! Sources of candidates are not trusted: [`candidates`](crate::candidates) passes only what a shell takes
//! literally.
//!
//! Flags are offered after a dash, or if there are no other candidates: users press Tab for names.

mod bash;
mod dynamic;
mod line;

use std::path::Path;
use std::sync::Arc;

use clap::{Arg, Command, CommandFactory as _};
use clap_complete::CompleteEnv;
use clap_complete::env::{Elvish, Fish, Powershell, Shells, Zsh};

use crate::added;
use crate::commands::Cli;
use crate::env;
use bash::Bash;
use dynamic::ClusterNames;
use line::Line;

/// The variable in which the scripts of most shells pass the index of the word being completed.
const INDEX: &str = "_CLAP_COMPLETE_INDEX";

/// Answers the shell if a completion script called kf. An error is an invalid call.
pub fn answer() -> Option<Result<(), clap::Error>> {
    let shell = env::var(env::KF_COMPLETE)?;
    let line = Line::from_call(std::env::args_os(), env::text(INDEX).as_deref());
    let is_bash = Path::new(&shell).file_stem().is_some_and(|name| name == "bash");
    let bash = if is_bash { Bash::from_call(line.clone()) } else { Bash::default() };
    let line = if is_bash { bash.line().clone() } else { line };
    let names = Arc::new(ClusterNames::new(line.clone()));
    let factory = || match line.is_at_word_start() {
        true => without_flags(command(&names)),
        false => command(&names),
    };
    let bash = bash.with(&names);
    let shells = Shells(&[&bash, &Elvish, &Fish, &Powershell, &Zsh]);
    let complete = CompleteEnv::with_factory(factory).var(env::KF_COMPLETE).shells(shells);
    let directory = std::env::current_dir().ok();
    match complete.try_complete(std::env::args_os(), directory.as_deref()) {
        Ok(true) => Some(Ok(())),
        Ok(false) => None,
        // An error message would be printed into the user's line.
        Err(_) if !line.is_empty() => Some(Ok(())),
        Err(error) => Some(Err(error)),
    }
}

/// Every command, with completers for the values of its arguments.
fn command(names: &Arc<ClusterNames>) -> Command {
    added::all(host(names), env::kf_home().ok().as_ref(), &|name, argument, arg| match names
        .values(name, argument)
    {
        Some(completer) => arg.add(completer),
        None => arg,
    })
}

fn host(names: &Arc<ClusterNames>) -> Command {
    Cli::command()
        .mut_arg("namespace", |arg| arg.add(names.namespaces()))
        .mut_arg("context", |arg| arg.add(names.contexts()))
}

/// The command with flags that are offered only if there is nothing else.
fn without_flags(mut command: Command) -> Command {
    // Only a built command has its help flag.
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
    fn completed_host_flags_exist() {
        host(&Arc::new(ClusterNames::new(Line::default()))).debug_assert();
    }
}
