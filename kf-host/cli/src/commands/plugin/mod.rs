//! `kf plugin`: what authors do before a command is published.

mod check;
mod sign;

use clap::Subcommand;
use kf_core::failure::Result;

use crate::app::App;
use crate::commands::keygen::{self, KeygenArgs};

#[derive(Debug, Subcommand)]
pub enum PluginCommand {
    Check(check::CheckArgs),
    Keygen(KeygenArgs),
    Sign(sign::SignArgs),
}

pub fn run(app: &App, command: &PluginCommand) -> Result<()> {
    match command {
        PluginCommand::Check(args) => check::run(app, args),
        PluginCommand::Keygen(args) => keygen::run(app, args),
        PluginCommand::Sign(args) => sign::run(app, args),
    }
}
