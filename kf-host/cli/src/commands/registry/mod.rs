//! `kf registry`: add, remove, list and build registries.

mod add;
mod build;
mod list;
mod remove;

use clap::Subcommand;
use kf_core::failure::Result;

use crate::app::App;

#[derive(Debug, Subcommand)]
pub enum RegistryCommand {
    Add(add::AddArgs),
    Remove(remove::RemoveArgs),
    List(list::ListArgs),
    Build(build::BuildArgs),
}

pub fn run(app: &App, command: &RegistryCommand) -> Result<()> {
    match command {
        RegistryCommand::Add(args) => add::run(app, args),
        RegistryCommand::Remove(args) => remove::run(app, args),
        RegistryCommand::List(args) => list::run(app, args),
        RegistryCommand::Build(args) => build::run(app, args),
    }
}
