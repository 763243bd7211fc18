use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install::Installer;
use kf_core::PluginName;
use kf_core::failure::{Failure, Result};
use kf_registry::receipt::{self, Receipt};

use crate::app::App;
use crate::candidates::known;
use crate::show::plan::{self, AnswerArgs};

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
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &UpgradeArgs) -> Result<()> {
    let names = if args.all {
        receipt::list(&app.home)?.into_iter().map(|(name, _)| name).collect()
    } else {
        args.names.iter().map(PluginName::parse).collect::<Result<Vec<_>, _>>()?
    };
    let mut installer = plan::installer(app);
    let mut refused = None;
    for name in &names {
        match upgrade(app, &mut installer, name, args) {
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
        Some(kind) => Err(Failure::new(kind, "not every command could be upgraded")),
    }
}

fn upgrade(app: &App, installer: &mut Installer<'_>, name: &PluginName, args: &UpgradeArgs) -> Result<()> {
    let old = receipt::require(&app.home, name)?;
    let prepared = match installer.resolve_newer(&old)? {
        Some(resolved) => installer.prepare(&resolved)?,
        None => None,
    };
    let Some(prepared) = prepared else {
        // Read again: the registry may just have said something about it.
        let Receipt { version, yanked, .. } = receipt::require(&app.home, name)?;
        match yanked {
            true => app
                .ui
                .warn(&format!("{name} {version} was withdrawn by its registry; nothing newer is on offer")),
            false => app.ui.note(&format!("{name} {version} is the newest")),
        }
        return Ok(());
    };
    plan::show(app, &prepared);
    if args.dry_run {
        app.ui.note("Nothing was changed.");
        return Ok(());
    }
    plan::agree(app, &prepared, &args.answer)?;
    let receipt = installer.apply(&prepared)?;
    Ok(app.ui.data_line(&format!("Upgraded {name} to {}", receipt.version))?)
}
