//! kf's own commands, which set up and inspect what is trusted. All others are added commands.

pub mod command;
pub mod completion;
pub mod doctor;
pub mod keygen;
pub mod man;
pub mod plugin;
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
    /// Add, remove and inspect commands
    #[command(subcommand)]
    Command(command::CommandCommand),

    /// Add, remove, publish and inspect registries
    #[command(subcommand)]
    Registry(registry::RegistryCommand),

    /// Check and sign plugins, and generate keys
    #[command(subcommand)]
    Plugin(plugin::PluginCommand),

    Doctor(doctor::DoctorArgs),

    /// Print a completion script for a shell
    Completion(completion::CompletionArgs),

    Man(man::ManArgs),
}
