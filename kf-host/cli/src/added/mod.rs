//! Added commands as words of the command line, built from their receipts.

pub mod argv;
pub mod clap_tree;

use clap::{Arg, Command};
use kf_command::installed::Installed;
use kf_core::tree::Argument;
use kf_home::Home;

use crate::app::commands_in;
use crate::show::rights;
use clap_tree::{Finish, Frame};

pub fn command(name: &str, installed: &Installed) -> Command {
    command_with(name, installed, &|_, arg| arg)
}

fn command_with(name: &str, installed: &Installed, finish: &Finish<'_>) -> Command {
    let footer = rights::footer(installed);
    clap_tree::build_with(&Frame { name, footer }, &installed.tree, finish)
}

/// Adds every name that an added command answers to; `finish` gets the name with each argument.
pub fn all(
    mut command: Command,
    home: Option<&Home>,
    finish: &dyn Fn(&str, &Argument, Arg) -> Arg,
) -> Command {
    for (name, installed) in home.map(|home| commands_in(home).by_name()).unwrap_or_default() {
        let name = name.as_str();
        let finish = |argument: &Argument, arg: Arg| finish(name, argument, arg);
        command = command.subcommand(command_with(name, &installed, &finish));
    }
    command
}
