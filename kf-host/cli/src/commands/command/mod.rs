//! `kf command`: add, remove and inspect commands.

mod add;
mod describe;
mod export;
mod import;
mod list;
mod lock;
mod locked;
mod outdated;
mod remove;
mod replace;
mod rollback;
mod target;
mod upgrade;
mod verify;

use clap::Subcommand;
use kf_core::failure::Result;

use crate::app::App;

#[derive(Debug, Subcommand)]
pub enum CommandCommand {
    Add(add::AddArgs),
    Remove(remove::RemoveArgs),
    Replace(replace::ReplaceArgs),
    Upgrade(upgrade::UpgradeArgs),
    Outdated(outdated::OutdatedArgs),
    Rollback(rollback::RollbackArgs),
    List(list::ListArgs),
    Describe(describe::DescribeArgs),
    Lock(lock::LockArgs),
    Export(export::ExportArgs),
    Import(import::ImportArgs),
    Verify(verify::VerifyArgs),
}

pub fn run(app: &App, command: &CommandCommand) -> Result<()> {
    match command {
        CommandCommand::Add(args) => add::run(app, args),
        CommandCommand::Remove(args) => remove::run(app, args),
        CommandCommand::Replace(args) => replace::run(app, args),
        CommandCommand::Upgrade(args) => upgrade::run(app, args),
        CommandCommand::Outdated(args) => outdated::run(app, args),
        CommandCommand::Rollback(args) => rollback::run(app, args),
        CommandCommand::List(args) => list::run(app, args),
        CommandCommand::Describe(args) => describe::run(app, args),
        CommandCommand::Lock(args) => lock::run(app, args),
        CommandCommand::Export(args) => export::run(app, args),
        CommandCommand::Import(args) => import::run(app, args),
        CommandCommand::Verify(args) => verify::run(app, args),
    }
}
