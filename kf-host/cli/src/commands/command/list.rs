use std::collections::BTreeMap;

use clap::Args;
use kf_command::availability::{self, Availability};
use kf_command::install::{self, ADD_REGISTRY};
use kf_command::installed::{Listed, Named};
use kf_core::failure::Result;
use kf_core::grants::RuleSet;
use kf_core::ui::{Cell, Column, Format, Row, Tone};
use kf_core::{AuthorId, Digest, PluginName, RegistryId};
use kf_registry::catalogue::{self, Offers};
use kf_registry::receipt::Receipt;
use kf_registry::replacement;
use serde_json::json;

use crate::app::App;
use crate::show::availability::tone;
use crate::show::precedence;

/// List added commands, or all available ones
#[derive(Debug, Args)]
pub struct ListArgs {
    /// Also list commands that can be added, and whether each works in this namespace
    #[arg(long, short = 'a')]
    available: bool,
}

pub fn run(app: &App, args: &ListArgs) -> Result<()> {
    let commands: Vec<Listed> = app.commands().list()?;
    let replaced: BTreeMap<PluginName, PluginName> = replacement::list(&app.home)?.into_iter().collect();
    if args.available {
        return available(app, &commands);
    }
    let columns = columns(&["NAME", "VERSION", "SOURCE", "ABOUT"]);
    let rows: Vec<Row> = commands
        .iter()
        .filter_map(|(name, listed)| match listed {
            Err(error) => Some(broken(name, error)),
            Ok(named) => {
                let receipt = named.answers.as_ref()?;
                let about = match (replaced.get(name), &receipt.blocked) {
                    (Some(other), _) => Cell::toned(format!("replaced by {other}"), Tone::Warning),
                    (None, Some(reason)) => Cell::toned(format!("blocked: {reason}"), Tone::Bad),
                    (None, None) => Cell::from(receipt.summary.as_str()),
                };
                Some(row(named, receipt, about, None))
            }
        })
        .collect();
    if rows.is_empty() {
        let next = if app.registries()?.is_empty() { ADD_REGISTRY } else { "kf command list --available" };
        note_empty(app, "no commands added", next);
    }
    print_table(app, &columns, &rows)
}

/// Prints why a list is empty, and the next command to type.
fn note_empty(app: &App, why: &str, next: &str) {
    app.ui.note(why);
    app.ui.note(&format!("hint: {next}"));
}

/// Prints a table, unless it would be only a line of titles.
fn print_table(app: &App, columns: &[Column], rows: &[Row]) -> Result<()> {
    let for_people = matches!(app.ui.format(), Format::Table | Format::Wide);
    if rows.is_empty() && for_people { Ok(()) } else { Ok(app.ui.table(columns, rows)?) }
}

/// These columns, and those of `-o wide`.
fn columns(titles: &[&str]) -> Vec<Column> {
    let wide = ["OWNER", "SHA256"].map(Column::wide);
    titles.iter().copied().map(Column::new).chain(wide).collect()
}

fn row(named: &Named, receipt: &Receipt, about: Cell, availability: Option<&Availability>) -> Row {
    let name = &receipt.name;
    let owner = receipt.origin.owner();
    let object = json!({
        "name": name,
        "version": receipt.version,
        "source": receipt.origin.to_string(),
        "insteadOf": precedence::other_json(named),
        "owner": owner,
        "sha256": receipt.program_digest(),
        "installed": true,
        "blocked": receipt.blocked,
        "about": receipt.summary,
        "here": availability.map(Availability::as_str),
        "why": availability.and_then(Availability::why),
    });
    let mut cells: Vec<Cell> = vec![
        name.as_str().into(),
        receipt.version.to_string().into(),
        precedence::source(receipt, named.other.as_ref()).into(),
    ];
    cells.extend(availability.map(|availability| Cell::toned(availability.as_str(), tone(availability))));
    cells.push(about);
    cells.push(owner.map_or_else(String::new, ToString::to_string).into());
    cells.push(receipt.program_digest().to_string().into());
    Row { cells, object: object.into(), name: format!("command/{name}") }
}

fn broken(name: &PluginName, error: &kf_registry::Error) -> Row {
    Row {
        cells: vec![name.as_str().into(), "-".into(), "-".into(), Cell::toned(error.to_string(), Tone::Bad)],
        object: json!({ "name": name, "installed": true, "error": error.to_string() }).into(),
        name: format!("command/{name}"),
    }
}

/// A command that can be added.
struct Offer<'a> {
    name: &'a PluginName,
    version: String,
    source: &'a str,
    owner: Option<&'a AuthorId>,
    sha256: Digest,
    about: &'a str,
    /// The argument of `kf command add`.
    argument: String,
}

impl Offer<'_> {
    fn row(&self) -> Row {
        let Self { name, version, source, owner, sha256, about, argument } = self;
        let object = json!({
            "name": name, "version": version, "source": source, "owner": owner, "sha256": sha256,
            "installed": false, "about": about, "here": "not installed",
        });
        let cells = vec![
            name.as_str().into(),
            version.to_string().into(),
            (*source).into(),
            Cell::toned("not installed", Tone::Faint),
            format!("{about}: kf command add {argument}").into(),
        ];
        Row { cells, object: object.into(), name: format!("command/{name}") }
    }
}

/// A built-in command that the user removed.
fn disabled(receipt: &Receipt) -> Row {
    Offer {
        name: &receipt.name,
        version: receipt.version.to_string(),
        source: &receipt.origin.to_string(),
        owner: receipt.origin.owner(),
        sha256: receipt.program_digest(),
        about: &receipt.summary,
        argument: receipt.name.to_string(),
    }
    .row()
}

/// Lists all added and available commands, and whether each can be used in this namespace.
fn available(app: &App, commands: &[Listed]) -> Result<()> {
    let mut offered: BTreeMap<&RegistryId, Offers> = BTreeMap::new();
    let registries = app.registries()?;
    for id in &registries {
        let session = install::refresh(app.commands(), id, app.reporter().as_ref(), App::now());
        match session.and_then(|mut session| Ok(session.offers()?)) {
            Ok(offers) => drop(offered.insert(id, offers)),
            // Added commands and other registries can still be listed.
            Err(error) => app.ui.error(&error),
        }
    }
    let mut wanted: BTreeMap<PluginName, &[serde_json::Value]> = BTreeMap::new();
    for (name, listed) in commands {
        let receipt = listed.as_ref().ok().and_then(|named| named.answers.as_ref());
        wanted.extend(receipt.map(|receipt| (name.clone(), receipt.permissions.kubernetes.as_slice())));
    }
    let rules: Vec<(PluginName, RuleSet)> =
        wanted.into_iter().filter_map(|(name, rules)| Some((name, RuleSet::parse(rules).ok()?))).collect();
    let availabilities = availability::of_all(&app.home, &app.target(), &rules);
    let is_known = |name: &PluginName| commands.binary_search_by(|(known, _)| known.cmp(name)).is_ok();
    let mut rows: BTreeMap<PluginName, Row> = BTreeMap::new();
    for (registry, offers) in &offered {
        for (name, catalogue::Offer { owner, summary, newest }) in offers {
            let Some(newest) = newest.as_ref().filter(|_| !is_known(name)) else { continue };
            let is_ambiguous =
                offered.iter().any(|(other, offers)| other != registry && offers.contains_key(name));
            let offer = Offer {
                name,
                version: newest.version.to_string(),
                source: registry.as_str(),
                owner: Some(owner),
                sha256: newest.sha256,
                about: summary,
                argument: if is_ambiguous { format!("{registry}/{name}") } else { name.to_string() },
            };
            rows.insert(name.clone(), offer.row());
        }
    }
    for (name, listed) in commands {
        let known = match listed {
            Err(error) => {
                let mut row = broken(name, error);
                row.cells.insert(3, Cell::toned("broken", Tone::Bad));
                row
            }
            Ok(Named { answers: None, other: None }) => continue,
            Ok(Named { answers: None, other: Some(off) }) => disabled(off),
            Ok(named @ Named { answers: Some(receipt), .. }) => {
                let availability = availabilities.get(name).unwrap_or(&Availability::Ready);
                let about =
                    availability.why().map_or_else(|| Cell::from(receipt.summary.as_str()), Cell::from);
                row(named, receipt, about, Some(availability))
            }
        };
        rows.insert(name.clone(), known);
    }
    if rows.is_empty() {
        match (registries.is_empty(), offered.is_empty()) {
            (true, _) => note_empty(app, "no registry is set up", ADD_REGISTRY),
            (_, false) => note_empty(app, "no commands in any registry", "kf registry list"),
            // The errors were printed.
            (false, true) => {}
        }
    }
    let columns = columns(&["NAME", "VERSION", "SOURCE", "STATUS", "ABOUT"]);
    print_table(app, &columns, &rows.into_values().collect::<Vec<_>>())
}
