use std::collections::BTreeSet;

use clap::Args;
use kf_command::install::{ADD_REGISTRY, Installer};
use kf_core::failure::{Failure, Result};
use kf_core::ui::{Cell, Column, Format, Row, Tone};
use kf_registry::index::Resolved;
use kf_registry::receipt::Receipt;
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
    let (mut rows, mut unreachable, mut shown, mut failed) =
        (Vec::new(), BTreeSet::new(), BTreeSet::new(), None);
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
            Ok(None) => {}
            Ok(Some(newer)) => rows.push(row(&old, &newer)),
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
    match (failed, rows.is_empty()) {
        (Some(kind), _) => return Err(Failure::new(kind, "some registries could not be reached")),
        (None, true) if app.registries()?.is_empty() && !app.commands().built_in.is_empty() => {
            no_registry(app);
        }
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
        "yanked": old.yanked,
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
