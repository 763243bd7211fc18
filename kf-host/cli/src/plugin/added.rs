//! Added commands as words of the command line: found by their names, built from their receipts.

use std::collections::{BTreeMap, BTreeSet};

use clap::{Arg, Command};
use kf_core::PluginName;
use kf_core::tree::{Argument, CommandTree};
use kf_registry::receipt::{self, Receipt};
use kf_registry::slot;

use super::clap_tree::{self, Finish, Frame};
use super::rights;
use crate::app::App;
use crate::error::{CliError, Result};
use crate::unknown;

/// The command that answers to a name.
pub fn find(app: &App, name: &str) -> Result<(Receipt, CommandTree)> {
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

pub fn command(name: &str, receipt: &Receipt, tree: &CommandTree) -> Command {
    command_with(name, receipt, tree, &|_, arg| arg)
}

fn command_with(name: &str, receipt: &Receipt, tree: &CommandTree, finish: &Finish<'_>) -> Command {
    let footer = rights::footer(receipt);
    clap_tree::build_with(&Frame { name, footer }, tree, finish)
}

/// Adds every name that an added command answers to; `finish` gets the name with each argument. A
/// command whose receipt cannot be used is left out here and says why when it is called.
pub fn all(mut command: Command, finish: &dyn Fn(&str, &Argument, Arg) -> Arg) -> Command {
    let Some(home) = crate::env::kf_home() else { return command };
    let receipts: BTreeMap<PluginName, Receipt> = receipt::list(&home)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, receipt)| Some((name, receipt.ok()?)))
        .collect();
    let replaced: BTreeMap<_, _> = slot::list(&home).unwrap_or_default().into_iter().collect();
    let names: BTreeSet<&PluginName> = receipts.keys().chain(replaced.keys()).collect();
    for name in names {
        let Some(receipt) = receipts.get(replaced.get(name).unwrap_or(name)) else { continue };
        let Ok(tree) = tree_of(receipt) else { continue };
        let name = name.as_str();
        let finish = |argument: &Argument, arg: Arg| finish(name, argument, arg);
        command = command.subcommand(command_with(name, receipt, &tree, &finish));
    }
    command
}
