//! `kf command`: add, remove and inspect commands.

mod add;
mod describe;
mod list;
mod remove;
mod replace;
mod upgrade;

use clap::Subcommand;
use kf_core::failure::Result;

use crate::app::App;

#[derive(Debug, Subcommand)]
pub enum CommandCommand {
    Add(add::AddArgs),
    Remove(remove::RemoveArgs),
    Replace(replace::ReplaceArgs),
    Upgrade(upgrade::UpgradeArgs),
    List(list::ListArgs),
    Describe(describe::DescribeArgs),
}

pub fn run(app: &App, command: &CommandCommand) -> Result<()> {
    match command {
        CommandCommand::Add(args) => add::run(app, args),
        CommandCommand::Remove(args) => remove::run(app, args),
        CommandCommand::Replace(args) => replace::run(app, args),
        CommandCommand::Upgrade(args) => upgrade::run(app, args),
        CommandCommand::List(args) => list::run(app, args),
        CommandCommand::Describe(args) => describe::run(app, args),
    }
}
