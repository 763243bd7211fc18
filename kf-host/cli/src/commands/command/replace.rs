use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install::Prepared;
use kf_command::local;
use kf_command::remove::{self, Restored};
use kf_core::PluginName;
use kf_core::failure::{Failure, Result};
use kf_home::lock::NameLock;
use kf_registry::index::Origin;
use kf_registry::receipt::Receipt;
use kf_registry::slot;

use super::add::Wanted;
use crate::app::App;
use crate::candidates::known;
use crate::show::plan::{self, AnswerArgs};

/// Let another command answer to a name, or the first one again
///
/// A built-in command can be replaced by one of the same name, too: `kf command replace train --with team/train`.
#[derive(Debug, Args)]
pub struct ReplaceArgs {
    /// The name to type
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    name: String,

    /// The command that answers to it, as for `kf command add`; added if what is installed is another
    #[arg(long, value_name = "OTHER", required_unless_present = "restore", add = ArgValueCompleter::new(known::every))]
    with: Option<String>,

    /// Back to the command of that name
    #[arg(long, conflicts_with = "with")]
    restore: bool,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &ReplaceArgs) -> Result<()> {
    let name = PluginName::parse(&args.name)?;
    let Some(with) = &args.with else { return restore(app, &name) };
    let wanted = Wanted::parse(with)?;
    let other = match &wanted {
        Wanted::Request(request) => request.name.clone(),
        Wanted::File(path) => local::name(path)?,
    };
    if other == name {
        replace_built_in(app, &name, &wanted, args)?;
    } else {
        add(app, &other, &wanted, args)?;
    }
    let Receipt { version, origin, .. } = app.commands().require(&other)?;
    let lock = NameLock::try_acquire(&app.home, &name)?;
    slot::replace(&app.home, &lock, &other)?;
    app.ui.data_line(&format!("{name} is now answered by {other} {version} ({origin})"))?;
    app.ui.note(&format!("back with `kf command replace {name} --restore`"));
    Ok(())
}

fn restore(app: &App, name: &PluginName) -> Result<()> {
    let Restored { answers, removed } = remove::restore(app.commands(), name)?;
    let said = match answers {
        Some(Receipt { version, origin: origin @ Origin::BuiltIn { .. }, .. }) => {
            format!("{name} is answered by {name} {version} ({origin}) again")
        }
        _ => format!("{name} answers for itself again"),
    };
    app.ui.data_line(&said)?;
    if let Some(Receipt { version, origin, .. }) = removed {
        app.ui.note(&format!("removed {name} {version} ({origin})"));
    }
    Ok(())
}

/// Adds the command that is to answer to another name, unless it is there.
fn add(app: &App, other: &PluginName, wanted: &Wanted, args: &ReplaceArgs) -> Result<()> {
    let mut installer = plan::installer(app);
    let prepared = match wanted {
        Wanted::File(path) => installer.prepare_local(path)?,
        Wanted::Request(request) => {
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
            plan::finish_with(app, &installer, &prepared, &args.answer, &retry(&prepared, args)).map(drop)
        }
        None => Ok(()),
    }
}

/// Puts a command in front of the built-in one of the same name.
fn replace_built_in(app: &App, name: &PluginName, wanted: &Wanted, args: &ReplaceArgs) -> Result<()> {
    if app.commands().built_in.receipt(name)?.is_none() {
        return Err(Failure::usage(format!("{name} cannot replace itself"))
            .hint(format!("kf command replace {name} --restore")));
    }
    let mut installer = plan::installer(app);
    let prepared = match wanted {
        Wanted::File(path) => installer.prepare_local_replacement(path)?,
        Wanted::Request(request) => {
            let resolved = installer.resolve_replacement(request)?;
            installer.prepare_replacement(&resolved)?
        }
    };
    plan::finish_with(app, &installer, &prepared, &args.answer, &retry(&prepared, args)).map(drop)
}

/// The line that answers the question, without the answer.
fn retry(prepared: &Prepared, args: &ReplaceArgs) -> String {
    let word = plan::word(prepared);
    let word = match prepared.fetched.resolved.origin.registry() {
        Some(registry) => format!("{registry}/{word}"),
        None => word,
    };
    format!("kf command replace {} --with {word}", args.name)
}
