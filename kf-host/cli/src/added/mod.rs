//! Added commands as words of the command line, built from their receipts.

pub mod argv;
pub mod clap_tree;

use std::collections::BTreeMap;

use clap::{Arg, Command};
use kf_command::installed::Installed;
use kf_core::tree::Argument;
use kf_core::{CommandGroup, PluginName};
use kf_home::Home;

use crate::app::commands_in;
use crate::overview::{Belongs, grouped};
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
pub fn all(command: Command, home: Option<&Home>, finish: &dyn Fn(&str, &Argument, Arg) -> Arg) -> Command {
    with(command, &home.map(|home| commands_in(home).by_name()).unwrap_or_default(), finish)
}

/// The same for the help of kf itself, in lines that are not wider than `width`.
pub fn overview(command: Command, home: Option<&Home>, width: usize) -> Command {
    let all = home.map(|home| commands_in(home).by_name()).unwrap_or_default();
    let belongs = |name: &str| match PluginName::parse(name).ok().and_then(|name| all.get(&name)) {
        Some(added) => Belongs::ToGroup(added.receipt.group.as_ref().map(CommandGroup::as_str)),
        None => Belongs::ToKf,
    };
    grouped(with(command, &all, &|_, _, arg| arg), belongs, width)
}

fn with(
    mut command: Command,
    all: &BTreeMap<PluginName, Installed>,
    finish: &dyn Fn(&str, &Argument, Arg) -> Arg,
) -> Command {
    for (name, installed) in all {
        let name = name.as_str();
        let finish = |argument: &Argument, arg: Arg| finish(name, argument, arg);
        command = command.subcommand(command_with(name, installed, &finish));
    }
    command
}
