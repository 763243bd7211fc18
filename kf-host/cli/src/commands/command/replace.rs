use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::hints;
use kf_command::install::Prepared;
use kf_command::local;
use kf_command::remove::{self, Restored};
use kf_core::PluginName;
use kf_core::failure::{Failure, Result};
use kf_home::lock::NameLock;
use kf_registry::index::Origin;
use kf_registry::receipt::Receipt;
use kf_registry::replacement;

use super::target::Target;
use crate::app::App;
use crate::candidates::known;
use crate::show::plan::{self, AnswerArgs};

/// Run another command under a name, or restore the original
///
/// A built-in command can also be replaced by one of the same name: `kf command replace train --with team/train`.
#[derive(Debug, Args)]
pub struct ReplaceArgs {
    /// Name to replace
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    name: String,

    /// Command to run instead, as for `kf command add`; added if needed
    #[arg(long, value_name = "OTHER", required_unless_present = "restore", add = ArgValueCompleter::new(known::all))]
    with: Option<String>,

    /// Restore the original command
    #[arg(long, conflicts_with = "with")]
    restore: bool,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &ReplaceArgs) -> Result<()> {
    let name = PluginName::parse(&args.name)?;
    let Some(with) = &args.with else { return restore(app, &name) };
    let wanted = Target::parse(with)?;
    let other = match &wanted {
        Target::Request(request) => request.name.clone(),
        Target::File(path) => local::name(path)?,
    };
    if other == name {
        replace_built_in(app, &name, &wanted, args)?;
    } else {
        add(app, &other, &wanted, args)?;
    }
    let Receipt { version, origin, .. } = app.commands().require(&other)?;
    let lock = NameLock::try_acquire(&app.home, &name)?;
    replacement::replace(&app.home, &lock, &other)?;
    app.ui.data_line(&format!("Replaced {name} with {other} {version} ({origin})"))?;
    app.ui.note(&format!("undo with `kf command replace {name} --restore`"));
    Ok(())
}

fn restore(app: &App, name: &PluginName) -> Result<()> {
    let Restored { answers, removed } = remove::restore(app.commands(), name)?;
    let message = match answers {
        Some(Receipt { version, origin: origin @ Origin::BuiltIn { .. }, .. }) => {
            format!("Restored {name} {version} ({origin})")
        }
        _ => format!("Restored {name}"),
    };
    app.ui.data_line(&message)?;
    if let Some(Receipt { version, origin, .. }) = removed {
        app.ui.note(&format!("removed {name} {version} ({origin})"));
    }
    Ok(())
}

/// Adds the replacing command, unless it is added already.
fn add(app: &App, other: &PluginName, wanted: &Target, args: &ReplaceArgs) -> Result<()> {
    let mut installer = plan::installer(app);
    let prepared = match wanted {
        Target::File(path) => installer.prepare_local(path)?,
        Target::Request(request) => {
            let here = app.commands().named(other)?.answers;
            if here.is_some_and(|receipt| request.is_met_by(&receipt.origin, &receipt.version)) {
                return Ok(());
            }
            let resolved = installer.resolve(request)?;
            installer.prepare(&resolved)?
        }
    };
    match prepared {
        Some(prepared) => {
            plan::confirm_and_install_with(app, &installer, &prepared, &args.answer, &retry(&prepared, args))
                .map(drop)
        }
        None => Ok(()),
    }
}

/// Replaces a built-in command with another of the same name.
fn replace_built_in(app: &App, name: &PluginName, wanted: &Target, args: &ReplaceArgs) -> Result<()> {
    if app.commands().built_in.receipt(name)?.is_none() {
        return Err(Failure::usage(format!("{name} cannot replace itself"))
            .hint(format!("kf command replace {name} --restore")));
    }
    let mut installer = plan::installer(app);
    let prepared = match wanted {
        Target::File(path) => installer.prepare_local_replacement(path)?,
        Target::Request(request) => {
            let resolved = installer.resolve_replacement(request)?;
            installer.prepare_replacement(&resolved)?
        }
    };
    plan::confirm_and_install_with(app, &installer, &prepared, &args.answer, &retry(&prepared, args))
        .map(drop)
}

/// The command line to retry with `--accept`.
fn retry(prepared: &Prepared, args: &ReplaceArgs) -> String {
    format!("kf command replace {} --with {}", args.name, hints::release(&prepared.fetched.resolved))
}
