//! The flags of every command, kf's own and added ones.

use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser as _};
use clap::{ArgAction, ArgMatches, Args};
use kf_command::reserved::Reserved;
use kf_core::ui::Format;

use crate::env;
use crate::ui::ColorChoice;

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
    #[arg(long, global = true, value_parser = path(), value_name = "FILE", value_hint = clap::ValueHint::FilePath, help_heading = GLOBAL)]
    pub kubeconfig: Option<PathBuf>,

    /// How long the API server may take for an answer, such as 90s or 2m; default: 30s, 0: for ever
    #[arg(long, global = true, value_parser = timeout, value_name = "DURATION", help_heading = GLOBAL)]
    pub request_timeout: Option<Duration>,

    /// How to print results
    #[arg(long, short = 'o', global = true, value_parser = format(), default_value = "table", value_name = "FORMAT", help_heading = GLOBAL)]
    pub output: Format,

    /// Use verbose output; -vv for more detail
    #[arg(long, short = 'v', global = true, action = ArgAction::Count, help_heading = GLOBAL)]
    pub verbose: u8,

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

/// A path that may be empty, as of a shell variable that is not set.
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

/// Words that no added command may take for itself.
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
    variables: &env::OWN,
};

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

#[cfg(test)]
mod tests {
    use super::*;

    /// Every flag that kf adds is on the list, so that a new one cannot be forgotten.
    #[test]
    fn every_flag_of_kf_is_reserved() {
        let command = RunArgs::augment_args(GlobalArgs::augment_args(clap::Command::new("kf")));
        for argument in command.get_arguments() {
            let long = argument.get_long();
            assert!(long.is_none_or(|long| RESERVED.long.contains(&long)), "{long:?}");
            let short = argument.get_short();
            assert!(short.is_none_or(|short| RESERVED.short.contains(&short)), "{short:?}");
        }
    }
}
