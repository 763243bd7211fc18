use std::collections::BTreeSet;

use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::lockfile::{self, FILE_NAME, Found, Status, Update};
use kf_core::PluginName;
use kf_core::failure::{Failure, Result};
use kf_core::ui::{Cell, Column, Row, Tone};
use kf_registry::index::Request;
use serde_json::json;

use super::locked::FileArgs;
use crate::app::App;
use crate::candidates::known;
use crate::show::plan;

/// Pin commands and their rights in kf.lock, for `kf command add --locked`
///
/// Pins each command as it is installed, or else in the newest version. Updates the nearest kf.lock in this folder or
/// above, or creates it here. Without a name, updates the commands that it pins; a new or empty file pins all commands
/// that are installed from a registry. A command stays pinned until --remove. Commit the file: a change of a version, a
/// signer or a right shows in its difference.
#[derive(Debug, Args)]
pub struct LockArgs {
    /// Commands to pin, or to remove with --remove
    #[arg(value_name = "[REGISTRY/]NAME[@VERSION]", add = ArgValueCompleter::new(known::all))]
    names: Vec<String>,

    /// Pin the newest versions instead of the installed ones
    #[arg(long)]
    upgrade: bool,

    /// Remove the named commands from kf.lock; they stay installed
    #[arg(long, requires = "names", conflicts_with = "upgrade")]
    remove: bool,

    /// Only compare kf.lock with what is installed; exits with 1 if they differ
    #[arg(long, conflicts_with_all = ["names", "upgrade", "remove"])]
    check: bool,

    #[command(flatten)]
    file: FileArgs,
}

pub fn run(app: &App, args: &LockArgs) -> Result<()> {
    if args.check {
        return check(app, &args.file.require()?);
    }
    if args.remove {
        return remove(app, args);
    }
    let requests = args.names.iter().map(|word| Request::parse(word)).collect::<Result<Vec<_>, _>>()?;
    let mut found = match args.file.find()? {
        Some(found) => found,
        None => args.file.create()?,
    };
    let mut installer = plan::installer(app);
    let updates = lockfile::update(&mut installer, app.commands(), &mut found, &requests, args.upgrade)?;
    if updates.is_empty() {
        app.ui.note(&format!("{} is up to date", found.path.display()));
        return Ok(());
    }
    lockfile::write(&found.path, &found.lock)?;
    updates.iter().try_for_each(|update| show(app, update))?;
    app.ui.note(&format!("wrote {}", found.path.display()));
    Ok(())
}

fn remove(app: &App, args: &LockArgs) -> Result<()> {
    let names = args.names.iter().map(PluginName::parse).collect::<Result<BTreeSet<_>, _>>()?;
    let mut found = args.file.require()?;
    let removed = lockfile::remove(&mut found, &names)?;
    lockfile::write(&found.path, &found.lock)?;
    for (name, entry) in removed {
        app.ui.data_line(&format!("Unlocked {name} {}", entry.version))?;
    }
    app.ui.note(&format!("wrote {}", found.path.display()));
    Ok(())
}

/// Prints a change and, unless the command is new in the file, how its rights changed.
fn show(app: &App, update: &Update) -> Result<()> {
    let Update { name, old, new, yanked } = update;
    let version = match old {
        Some(old) if old.version != new.version => format!("{} → {}", old.version, new.version),
        _ => new.version.to_string(),
    };
    app.ui.data_line(&format!("Locked {name} {version}"))?;
    if let Some(yanked) = yanked {
        app.ui.warn(&format!("{name} {} was {yanked}", new.version));
    }
    for line in old.iter().flat_map(|old| new.changed_rights(Some(old))) {
        app.ui.note(&format!("  {line}"));
    }
    Ok(())
}

fn check(app: &App, found: &Found) -> Result<()> {
    let compared = lockfile::compare(app.commands(), &found.lock);
    let columns = ["NAME", "LOCKED", "INSTALLED", "STATUS"].map(Column::new);
    let rows: Vec<Row> = compared
        .iter()
        .map(|lockfile::Installed { name, pinned, status }| {
            let (installed, words) = match status {
                Status::Same => (Some(pinned), "same".to_owned()),
                Status::NotInstalled => (None, "not installed".to_owned()),
                Status::Differs { version, why } => (Some(version), why.join("; ")),
                Status::Broken { why } => (None, why.clone()),
            };
            let tone = if *status == Status::Same { Tone::Good } else { Tone::Warning };
            let shown = installed.map_or_else(|| "-".to_owned(), ToString::to_string);
            Row {
                cells: vec![
                    name.as_str().into(),
                    pinned.to_string().into(),
                    shown.into(),
                    Cell::toned(words.clone(), tone),
                ],
                object: json!({
                    "name": name, "locked": pinned, "installed": installed, "same": *status == Status::Same,
                    "status": words,
                })
                .into(),
                name: format!("command/{name}"),
            }
        })
        .collect();
    app.ui.table(&columns, &rows)?;
    match compared.iter().filter(|one| one.status != Status::Same).count() {
        0 => Ok(()),
        differ => {
            Err(Failure::failed(format!("{differ} of {} commands differ from {FILE_NAME}", compared.len()))
                .hint(found.hint("kf command add --locked")))
        }
    }
}
