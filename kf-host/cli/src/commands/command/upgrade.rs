use std::collections::BTreeSet;

use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install::Installer;
use kf_command::installed::Named;
use kf_core::PluginName;
use kf_core::failure::{Failure, Result};
use kf_registry::index::Resolved;

use super::outdated::{self, no_registry, show_once, warn_of_yank};
use crate::app::App;
use crate::candidates::known;
use crate::show::batch;
use crate::show::plan::{self, AnswerArgs};

/// Upgrade commands to the newest version
///
/// Asks for confirmation only if the new version needs more rights. Without a name, lists the available
/// upgrades, as `kf command outdated` does.
#[derive(Debug, Args)]
pub struct UpgradeArgs {
    /// Commands to upgrade
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    names: Vec<String>,

    /// Upgrade all commands
    #[arg(long, conflicts_with = "names")]
    all: bool,

    /// Show what would change, without changing anything
    #[arg(long)]
    dry_run: bool,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &UpgradeArgs) -> Result<()> {
    let mut installer = plan::installer(app);
    if !args.all && args.names.is_empty() {
        return outdated::list(app, &mut installer);
    }
    let names: BTreeSet<PluginName> = if args.all {
        all(app)?
    } else {
        args.names.iter().map(PluginName::parse).collect::<Result<_, _>>()?
    };
    let mut refused = None;
    let mut shown = BTreeSet::new();
    // With `--all`, a failure does not stop the other upgrades.
    let mut keep_going = |result: Result<()>| match result {
        Err(error) if args.all => {
            show_once(app, &error, &mut shown);
            refused = Some(error.kind());
            Ok(())
        }
        result => result,
    };
    let mut newer = Vec::new();
    for name in &names {
        keep_going(find_newer(app, &mut installer, name).map(|found| newer.extend(found)))?;
    }
    let mut prepared = Vec::new();
    for resolved in &newer {
        keep_going(installer.prepare(resolved).map(|found| prepared.extend(found)))?;
    }
    if args.dry_run && !prepared.is_empty() {
        prepared.iter().for_each(|prepared| plan::show(app, prepared));
        app.ui.note("Nothing was changed.");
    } else {
        keep_going(batch::install(app, &installer, prepared, &args.answer, |receipt| {
            Ok(app.ui.data_line(&format!("Upgraded {} to {}", receipt.name, receipt.version))?)
        }))?;
    }
    match refused {
        None => Ok(()),
        Some(kind) => Err(Failure::new(kind, "some commands could not be upgraded")),
    }
}

/// The names of all added commands. Without a registry, built-in commands are skipped.
fn all(app: &App) -> Result<BTreeSet<PluginName>> {
    let offline = app.registries()?.is_empty();
    let is_wanted = |named: &Result<Named, kf_registry::Error>| match named {
        Ok(Named { answers, .. }) => {
            answers.as_ref().is_some_and(|receipt| !(offline && receipt.origin.is_built_in()))
        }
        Err(_) => true,
    };
    if offline && !app.commands().built_in.is_empty() {
        no_registry(app);
    }
    let commands = app.commands().list()?.into_iter();
    Ok(commands.filter(|(_, named)| is_wanted(named)).map(|(name, _)| name).collect())
}

/// The release to upgrade to. If there is none, prints why.
fn find_newer(app: &App, installer: &mut Installer<'_>, name: &PluginName) -> Result<Option<Resolved>> {
    let old = app.commands().require(name)?;
    let newer = installer.resolve_newer(&old)?;
    if newer.is_none() {
        // Read again: the refreshed registry may have yanked it.
        let receipt = app.commands().require(name)?;
        let version = &receipt.version;
        match receipt.yank() {
            Some(yanked) => warn_of_yank(app, &receipt, &yanked, false),
            None if old.origin.is_built_in() && app.registries()?.is_empty() => no_registry(app),
            None => app.ui.note(&format!("{name} {version} is up to date")),
        }
    }
    Ok(newer)
}
