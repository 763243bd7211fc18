//! Added commands as clap subcommands, built from their receipts.

pub mod argv;
pub mod clap_tree;
pub mod help;

use std::collections::BTreeMap;

use clap::{Arg, Command};
use kf_command::installed::Installed;
use kf_core::tree::Argument;
use kf_core::{CommandGroup, PluginName};
use kf_home::Home;

use crate::app::commands_in;
use crate::overview::{Section, grouped};
use crate::show::rights;
use clap_tree::{Finish, Frame};

pub fn command(name: &str, installed: &Installed) -> Command {
    command_with(name, installed, &|_, arg| arg)
}

fn command_with(name: &str, installed: &Installed, finish: &Finish<'_>) -> Command {
    let footer = rights::footer(installed);
    clap_tree::build_with(&Frame { name, footer }, &installed.tree, finish)
}

/// Adds a subcommand for each name of an added command; `finish` gets the name with each argument.
pub fn all(command: Command, home: Option<&Home>, finish: &dyn Fn(&str, &Argument, Arg) -> Arg) -> Command {
    with(command, &home.map(|home| commands_in(home).by_name()).unwrap_or_default(), finish)
}

/// The same for the help of kf itself, in lines of at most `width` characters.
pub fn overview(command: Command, home: Option<&Home>, width: usize) -> Command {
    let all = home.map(|home| commands_in(home).by_name()).unwrap_or_default();
    let section = |name: &str| match PluginName::parse(name).ok().and_then(|name| all.get(&name)) {
        Some(added) => Section::Group(added.receipt.group.as_ref().map(CommandGroup::as_str)),
        None => Section::Own,
    };
    grouped(with(command, &all, &|_, _, arg| arg), section, width)
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
