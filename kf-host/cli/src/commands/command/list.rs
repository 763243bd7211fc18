use std::collections::BTreeMap;

use clap::Args;
use kf_command::availability::{self, Availability};
use kf_command::install::{self, ADD_REGISTRY};
use kf_core::failure::Result;
use kf_core::grants::RuleSet;
use kf_core::ui::{Cell, Column, Format, Row, Tone};
use kf_core::{AuthorId, PluginName};
use kf_registry::index::Origin;
use kf_registry::receipt::{self, Receipt};
use kf_registry::trust::Session;
use kf_registry::{registries, slot};
use serde_json::json;

use crate::app::App;
use crate::show::availability::tone;

/// List the commands that are added, or all there are
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Also those that could be added, and whether each can be used here
    #[arg(long, short = 'a')]
    available: bool,
}

pub fn run(app: &App, args: &ListArgs) -> Result<()> {
    let installed: BTreeMap<PluginName, Result<Receipt, kf_registry::Error>> =
        receipt::list(&app.home)?.into_iter().collect();
    let replaced: BTreeMap<PluginName, PluginName> = slot::list(&app.home)?.into_iter().collect();
    if args.available {
        return available(app, &installed);
    }
    let columns = columns(&["NAME", "VERSION", "SOURCE", "ABOUT"]);
    let rows: Vec<Row> = installed
        .iter()
        .map(|(name, receipt)| match receipt {
            Err(error) => broken(name, error),
            Ok(receipt) => {
                let about = match replaced.get(name) {
                    Some(other) => Cell::toned(format!("replaced by {other}"), Tone::Warning),
                    None => Cell::from(receipt.summary.as_str()),
                };
                row(name, receipt, about, None)
            }
        })
        .collect();
    if rows.is_empty() {
        let next = if registries::list(&app.home)?.is_empty() {
            ADD_REGISTRY
        } else {
            "kf command list --available"
        };
        nothing(app, "no command is added", next);
    }
    shown(app, &columns, &rows)
}

/// Says why a list is empty, and what to type next.
fn nothing(app: &App, why: &str, next: &str) {
    app.ui.note(why);
    app.ui.note(&format!("hint: {next}"));
}

/// A table of nothing would be a line of titles.
fn shown(app: &App, columns: &[Column], rows: &[Row]) -> Result<()> {
    let for_people = matches!(app.ui.format(), Format::Table | Format::Wide);
    if rows.is_empty() && for_people { Ok(()) } else { Ok(app.ui.table(columns, rows)?) }
}

/// These, and what `-o wide` says of commands that are here.
fn columns(titles: &[&str]) -> Vec<Column> {
    let wide = ["OWNER", "SHA256"].map(Column::wide);
    titles.iter().copied().map(Column::new).chain(wide).collect()
}

fn row(name: &PluginName, receipt: &Receipt, about: Cell, here: Option<&Availability>) -> Row {
    let object = json!({
        "name": name,
        "version": receipt.version,
        "source": receipt.origin.to_string(),
        "owner": owner(&receipt.origin),
        "sha256": receipt.program_digest(),
        "installed": true,
        "about": receipt.summary,
        "here": here.map(Availability::as_str),
        "why": here.and_then(Availability::why),
    });
    let mut cells: Vec<Cell> =
        vec![name.as_str().into(), receipt.version.to_string().into(), receipt.origin.to_string().into()];
    cells.extend(here.map(|here| Cell::toned(here.as_str(), tone(here))));
    cells.push(about);
    cells.push(owner(&receipt.origin).map_or_else(String::new, ToString::to_string).into());
    cells.push(receipt.program_digest().to_string().into());
    Row { cells, object: object.into(), name: format!("command/{name}") }
}

/// Who signed it, if anybody did.
fn owner(origin: &Origin) -> Option<&AuthorId> {
    match origin {
        Origin::Registry { owner, .. } => Some(owner),
        Origin::BuiltIn | Origin::Local { .. } => None,
    }
}

fn broken(name: &PluginName, error: &kf_registry::Error) -> Row {
    Row {
        cells: vec![name.as_str().into(), "-".into(), "-".into(), Cell::toned(error.to_string(), Tone::Bad)],
        object: json!({ "name": name, "installed": true, "error": error.to_string() }).into(),
        name: format!("command/{name}"),
    }
}

/// Everything that is added or offered, and whether it can be used in this namespace.
fn available(app: &App, installed: &BTreeMap<PluginName, Result<Receipt, kf_registry::Error>>) -> Result<()> {
    let mut sessions: Vec<Session> = Vec::new();
    let registries = registries::list(&app.home)?;
    for id in &registries {
        match install::refresh(&app.home, id, app.reporter().as_ref(), App::now()) {
            Ok(session) => sessions.push(session),
            // What another registry offers, and what is added, can still be listed.
            Err(error) => app.ui.error(&error),
        }
    }
    let mut wanted: BTreeMap<PluginName, &[serde_json::Value]> = BTreeMap::new();
    for (name, receipt) in installed {
        wanted.extend(
            receipt.as_ref().ok().map(|receipt| (name.clone(), receipt.permissions.kubernetes.as_slice())),
        );
    }
    let rules: Vec<(PluginName, RuleSet)> =
        wanted.into_iter().filter_map(|(name, rules)| Some((name, RuleSet::parse(rules).ok()?))).collect();
    let here = availability::of_all(&app.home, &app.target(), &rules);
    let mut rows: BTreeMap<PluginName, Row> = BTreeMap::new();
    for session in &sessions {
        for (name, listed) in &session.view().plugins {
            let Some(release) = listed.newest().filter(|_| !installed.contains_key(name)) else { continue };
            let hint = format!("{}: kf command add {name}", listed.entry.summary);
            let object = json!({
                "name": name, "version": release.version, "source": session.view().registry,
                "owner": listed.entry.owner, "sha256": release.parts.program().sha256, "installed": false,
                "about": listed.entry.summary, "here": "not installed",
            });
            let cells = vec![
                name.as_str().into(),
                release.version.to_string().into(),
                session.view().registry.as_str().into(),
                Cell::toned("not installed", Tone::Faint),
                hint.into(),
            ];
            rows.insert(name.clone(), Row { cells, object: object.into(), name: format!("command/{name}") });
        }
    }
    for (name, receipt) in installed {
        let added = match receipt {
            Err(error) => {
                let mut row = broken(name, error);
                row.cells.insert(3, Cell::toned("broken", Tone::Bad));
                row
            }
            Ok(receipt) => {
                let here = here.get(name).unwrap_or(&Availability::Ready);
                let about = here.why().map_or_else(|| Cell::from(receipt.summary.as_str()), Cell::from);
                row(name, receipt, about, Some(here))
            }
        };
        rows.insert(name.clone(), added);
    }
    if rows.is_empty() {
        match (registries.is_empty(), sessions.is_empty()) {
            (true, _) => nothing(app, "no registry is set up, so there is nothing to add", ADD_REGISTRY),
            (_, false) => nothing(app, "no registry that is set up offers a command", "kf registry list"),
            // Why none answers was said.
            (false, true) => {}
        }
    }
    let columns = columns(&["NAME", "VERSION", "SOURCE", "HERE", "ABOUT"]);
    shown(app, &columns, &rows.into_values().collect::<Vec<_>>())
}
