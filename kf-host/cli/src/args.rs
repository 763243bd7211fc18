//! Flags of all commands, both kf's own and added ones.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{ArgAction, ArgMatches, Args};
use kf_command::reserved::Reserved;
use kf_core::ui::Format;

use crate::env;
use crate::ui::ColorChoice;

/// Flags of all commands, both kf's own and added ones.
#[derive(Clone, Debug, Default, Args)]
pub struct GlobalArgs {
    /// Namespace [default: the one set by `kf use`, or by the kubeconfig context]
    #[arg(long, short = 'n', global = true, value_name = "NAMESPACE", help_heading = GLOBAL_HEADING)]
    pub namespace: Option<String>,

    /// Kubeconfig context to use
    #[arg(long, global = true, value_name = "NAME", help_heading = GLOBAL_HEADING)]
    pub context: Option<String>,

    /// Path of the kubeconfig file
    #[arg(long, global = true, value_parser = path(), value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = GLOBAL_HEADING)]
    pub kubeconfig: Option<PathBuf>,

    /// Timeout of each API request, such as 90s or 2m; 0 for no timeout [default: 30s]
    #[arg(long, global = true, value_parser = timeout, value_name = "DURATION", help_heading = GLOBAL_HEADING)]
    pub request_timeout: Option<Duration>,

    /// Output format
    #[arg(long, short = 'o', global = true, value_parser = format(), default_value = "table", value_name = "FORMAT", help_heading = GLOBAL_HEADING)]
    pub output: Format,

    /// Use verbose output; -vv for more detail
    #[arg(long, short = 'v', global = true, action = ArgAction::Count, help_heading = GLOBAL_HEADING)]
    pub verbose: u8,

    /// When to use colour
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN", help_heading = GLOBAL_HEADING)]
    pub color: ColorChoice,
}

/// The matches of the last subcommand, which contain the global flags.
pub fn deepest(mut matches: &ArgMatches) -> &ArgMatches {
    while let Some((_, below)) = matches.subcommand() {
        matches = below;
    }
    matches
}

/// Flags that the host adds to every added command, and applies to the command's requests itself.
#[derive(Clone, Debug, Default, Args)]
pub struct RunArgs {
    /// Show what would change; the server checks each change but stores none
    #[arg(long, global = true, help_heading = RUN_HEADING)]
    pub dry_run: bool,

    /// Refuse all changes
    #[arg(long, global = true, help_heading = RUN_HEADING)]
    pub read_only: bool,

    /// Show each API request and the rule that allowed it
    #[arg(long, global = true, help_heading = RUN_HEADING)]
    pub explain: bool,
}

/// Parses a path that may be empty, as from an unset shell variable.
fn path() -> impl clap::builder::TypedValueParser<Value = PathBuf> {
    clap::builder::OsStringValueParser::new().map(PathBuf::from)
}

fn format() -> impl clap::builder::TypedValueParser<Value = Format> {
    let names = FORMATS.map(|(name, _)| name);
    PossibleValuesParser::new(names).map(|name| {
        let known = FORMATS.iter().find(|(known, _)| *known == name);
        known.map(|(_, format)| *format).unwrap_or_default()
    })
}

const FORMATS: [(&str, Format); 5] = [
    ("table", Format::Table),
    ("wide", Format::Wide),
    ("json", Format::Json),
    ("yaml", Format::Yaml),
    ("name", Format::Name),
];

/// Flags and variables that added commands cannot use.
pub const RESERVED: Reserved = Reserved {
    long: &[
        "namespace",
        "context",
        "kubeconfig",
        "request-timeout",
        "output",
        "color",
        "dry-run",
        "explain",
        "help",
        "version",
        "read-only",
        "verbose",
    ],
    short: &['n', 'o', 'v', 'h', 'V'],
    variables: &env::OWN_VARIABLES,
};

/// Parses a duration as kubectl does: a number without a unit is seconds.
fn timeout(text: &str) -> Result<Duration, String> {
    let duration = match text.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => text
            .parse::<jiff::SignedDuration>()
            .ok()
            .and_then(|duration| Duration::try_from(duration).ok())
            .ok_or("expected a duration such as 90s or 2m")?,
    };
    Ok(if duration.is_zero() { Duration::MAX } else { duration })
}

pub const GLOBAL_HEADING: &str = "Global options";
pub const RUN_HEADING: &str = "Execution";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kf_flag_is_reserved() {
        let command = RunArgs::augment_args(GlobalArgs::augment_args(clap::Command::new("kf")));
        for argument in command.get_arguments() {
            let long = argument.get_long();
            assert!(long.is_none_or(|long| RESERVED.long.contains(&long)), "{long:?}");
            let short = argument.get_short();
            assert!(short.is_none_or(|short| RESERVED.short.contains(&short)), "{short:?}");
        }
    }
}
