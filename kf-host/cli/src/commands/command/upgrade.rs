use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::PluginName;
use kf_registry::receipt;

use crate::app::App;
use crate::complete::known;
use crate::error::{CliError, Result};
use crate::plugin::consent::Answer;
use crate::plugin::install::{Installer, Outcome};

/// Upgrade commands to the newest version
///
/// Asks only when a new version wants more than the old one.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// What to upgrade
    #[arg(value_name = "NAME", required_unless_present = "all", add = ArgValueCompleter::new(known::installed))]
    names: Vec<String>,

    /// Everything that is added
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    answer: Answer,
}

pub fn run(app: &App, args: &UpgradeArgs) -> Result<()> {
    let names = if args.all {
        receipt::list(&app.home)?.into_iter().map(|(name, _)| name).collect()
    } else {
        args.names.iter().map(|name| PluginName::parse(name)).collect::<Result<Vec<_>, _>>()?
    };
    let mut installer = Installer::new(app, &args.answer);
    let mut refused = None;
    for name in &names {
        match upgrade(app, &mut installer, name, args.dry_run) {
            Ok(()) => {}
            // One command that may not grow does not hold up the others.
            Err(error) if args.all => {
                app.ui.error(&error);
                refused = Some(error.kind());
            }
            Err(error) => return Err(error),
        }
    }
    match refused {
        None => Ok(()),
        Some(kind) => Err(CliError::new(kind, "not every command could be upgraded")),
    }
}

fn upgrade(app: &App, installer: &mut Installer<'_>, name: &PluginName, dry_run: bool) -> Result<()> {
    match installer.upgrade(name, dry_run)? {
        Outcome::Installed { .. } if dry_run => {}
        Outcome::Installed { name, version } => app.ui.data_line(&format!("Upgraded {name} to {version}"))?,
        Outcome::Unchanged { name, version } => app.ui.note(&format!("{name} {version} is the newest")),
    }
    Ok(())
}
