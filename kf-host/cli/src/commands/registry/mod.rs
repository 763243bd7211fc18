//! `kf registry`: add, remove, list and build registries.

mod add;
mod build;
mod list;
mod remove;

use std::path::Path;

use clap::Subcommand;
use kf_core::Kind;
use kf_core::failure::{Context as _, Result};

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

/// Reads the root metadata that a flag names.
pub fn read_root(path: &Path) -> Result<Vec<u8>> {
    fs_err::read(path).context(Kind::Usage, || "cannot read the root".to_owned())
}
