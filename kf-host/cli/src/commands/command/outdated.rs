use std::collections::BTreeSet;

use clap::Args;
use kf_command::install::{ADD_REGISTRY, Installer};
use kf_core::failure::{Failure, Result};
use kf_core::ui::{Cell, Column, Format, Row, Tone};
use kf_registry::index::Resolved;
use kf_registry::receipt::Receipt;
use kf_registry::yank::Yanked;
use serde_json::json;

use crate::app::App;
use crate::show::plan;

/// List commands that have a newer version
///
/// Refreshes the registries and changes nothing. The exit code is 0 whether or not there are newer versions.
#[derive(Debug, Args)]
pub struct OutdatedArgs {}

pub fn run(app: &App, _args: &OutdatedArgs) -> Result<()> {
    list(app, &mut plan::installer(app))
}

/// Lists the available upgrades. An unreachable registry is reported once and skipped.
pub(super) fn list(app: &App, installer: &mut Installer<'_>) -> Result<()> {
    let (mut rows, mut yanks) = (Vec::new(), Vec::new());
    let (mut unreachable, mut shown, mut failed) = (BTreeSet::new(), BTreeSet::new(), None);
    for (name, named) in app.commands().list()? {
        let old = match named.map(|named| named.answers) {
            Ok(None) => continue,
            Ok(Some(old)) if old.origin.registry().is_some_and(|registry| unreachable.contains(registry)) => {
                continue;
            }
            Ok(Some(old)) => old,
            Err(error) => {
                app.ui.error(&error.into());
                continue;
            }
        };
        match installer.resolve_newer(&old) {
            Ok(newer) => {
                // Read again: the refreshed registry may have yanked it.
                let old = app.commands().require(&name).unwrap_or(old);
                // A yank without a reason shows in the table.
                if let Some(yanked) = old.yank().filter(|yanked| newer.is_none() || yanked.reason.is_some()) {
                    yanks.push((old.clone(), yanked, newer.is_some()));
                }
                rows.extend(newer.map(|newer| row(&old, &newer)));
            }
            Err(error) => {
                show_once(app, &error, &mut shown);
                failed = Some(error.kind());
                unreachable.extend(old.origin.registry().cloned());
                tracing::debug!(command = %name, "registry not reachable");
            }
        }
    }
    // An empty table would be only a line of titles.
    if !rows.is_empty() || !matches!(app.ui.format(), Format::Table | Format::Wide) {
        app.ui.table(&columns(), &rows)?;
    }
    for (old, yanked, has_newer) in &yanks {
        warn_of_yank(app, old, yanked, *has_newer);
    }
    match (failed, rows.is_empty()) {
        (Some(kind), _) => return Err(Failure::new(kind, "some registries could not be reached")),
        (None, true) if app.registries()?.is_empty() && !app.commands().built_in.is_empty() => {
            no_registry(app);
        }
        (None, true) if !yanks.is_empty() => {}
        (None, true) => app.ui.note("all commands are up to date"),
        (None, false) => {
            app.ui.note("upgrade one with `kf command upgrade NAME`, or all with `kf command upgrade --all`");
        }
    }
    Ok(())
}

fn columns() -> [Column; 4] {
    ["NAME", "VERSION", "NEWEST", "SOURCE"].map(Column::new)
}

fn row(old: &Receipt, newer: &Resolved) -> Row {
    let source = old.origin.to_string();
    let object = json!({
        "name": old.name, "version": old.version, "newest": newer.version, "source": source,
        "yanked": old.yanked, "yankReason": old.yank_reason,
    });
    let installed = match old.yanked {
        true => Cell::toned(format!("{} (yanked)", old.version), Tone::Bad),
        false => old.version.to_string().into(),
    };
    let newest = Cell::toned(newer.version.to_string(), Tone::Good);
    Row {
        cells: vec![old.name.as_str().into(), installed, newest, source.into()],
        object: object.into(),
        name: format!("command/{}", old.name),
    }
}

/// Warns of a yanked version, and whether there is one to upgrade to.
pub(super) fn warn_of_yank(app: &App, old: &Receipt, yanked: &Yanked, has_newer: bool) {
    let Receipt { name, version, .. } = old;
    let end = if has_newer { "" } else { "; no newer version is available" };
    app.ui.warn(&format!("{name} {version} was {yanked}{end}"));
}

/// Prints an error unless it was printed before: several commands may fail because of the same registry.
pub(super) fn show_once(app: &App, error: &Failure, shown: &mut BTreeSet<String>) {
    if shown.insert(error.message().to_owned()) {
        app.ui.error(error);
    }
}

pub(super) fn no_registry(app: &App) {
    app.ui.note("cannot upgrade built-in commands: no registry is set up");
    app.ui.note(&format!("hint: {ADD_REGISTRY}"));
}
