//! The words and flags of kf itself. What each command does with them stands elsewhere.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgMatches, Args, Parser, Subcommand};
use clap_complete::Shell;

use crate::commands;
use crate::ui::{ColorChoice, Format};

/// The data scientist's command line for Kubeflow
#[derive(Debug, Parser)]
#[command(name = "kf", version, disable_help_subcommand = true, subcommand_required = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: GlobalArgs,

    #[command(subcommand)]
    pub command: HostCommand,
}

/// Flags of every command, kf's own and added ones.
#[derive(Clone, Debug, Default, Args)]
pub struct GlobalArgs {
    /// Namespace to work in; default: the one `kf use` chose, or the kubeconfig context's
    #[arg(long, short = 'n', global = true, value_name = "NAMESPACE", help_heading = GLOBAL)]
    pub namespace: Option<String>,

    /// Context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL)]
    pub context: Option<String>,

    /// Kubeconfig file
    #[arg(long, global = true, value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = GLOBAL)]
    pub kubeconfig: Option<PathBuf>,

    /// How long the API server may take for an answer, such as 90s or 2m; default: 30s, 0: for ever
    #[arg(long, global = true, value_parser = timeout, value_name = "DURATION", help_heading = GLOBAL)]
    pub request_timeout: Option<Duration>,

    /// How to print results
    #[arg(long, short = 'o', global = true, value_enum, default_value_t, value_name = "FORMAT", help_heading = GLOBAL)]
    pub output: Format,

    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = GLOBAL)]
    pub color: ColorChoice,
}

/// The matches of the last subcommand, where flags of every command are read.
pub fn deepest(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    matches
}

/// Flags the host adds to every added command, because it stands between the command and the
/// cluster.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Let the server check every change and store none; show what would change
    #[arg(long, global = true, help_heading = RUN)]
    pub dry_run: bool,

    /// Refuse every change, whatever the command may do
    #[arg(long, global = true, help_heading = RUN)]
    pub read_only: bool,

    /// Show each call to the API server with the rule that allowed it
    #[arg(long, global = true, help_heading = RUN)]
    pub explain: bool,
}

/// Reads a duration as kubectl does: a plain number is seconds.
fn timeout(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok())
            .ok_or("not a duration such as 90s or 2m")?,
    };
    Ok(if duration.is_zero() { Duration::MAX } else { duration })
}

pub const GLOBAL: &str = "Global options";
pub const RUN: &str = "How it runs";

/// kf's own commands: the trust root. Everything else is an added command.
#[derive(Debug, Subcommand)]
pub enum HostCommand {
    /// Add, remove and look at commands
    #[command(subcommand)]
    Command(commands::command::CommandCommand),

    /// Set up, build and look at registries of commands
    #[command(subcommand)]
    Registry(commands::registry::RegistryCommand),

    /// Print a completion script for a shell
    Completion(CompletionArgs),
}

#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell to complete in
    pub shell: Shell,
}
