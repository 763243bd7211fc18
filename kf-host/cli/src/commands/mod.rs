//! kf's own commands: the trust root. Everything else is an added command.

pub mod command;
pub mod completion;
pub mod doctor;
pub mod man;
pub mod registry;

use clap::{Parser, Subcommand};

use crate::args::GlobalArgs;

/// The data scientist's command line for Kubeflow
#[derive(Debug, Parser)]
#[command(name = "kf", version, disable_help_subcommand = true, subcommand_required = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,

    #[command(subcommand)]
    pub command: HostCommand,
}

#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Add, remove and look at commands
    #[command(subcommand)]
    Command(command::CommandCommand),

    /// Set up, build and look at registries of commands
    #[command(subcommand)]
    Registry(registry::RegistryCommand),

    Doctor(doctor::DoctorArgs),

    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),

    Man(man::ManArgs),
}
