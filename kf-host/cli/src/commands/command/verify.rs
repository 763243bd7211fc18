use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::verify::{self, Report};
use kf_core::PluginName;
use kf_core::failure::{Failure, Result};
use kf_core::ui::{Cell, Column, Row, Tone};
use serde_json::json;

use crate::app::App;
use crate::candidates::known;

/// Check that installed commands are intact
///
/// Compares the stored files with their receipts and with the last verified state of their registry. Uses no network and
/// changes nothing.
#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// Commands to check [default: all]
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    names: Vec<String>,
}

pub fn run(app: &App, args: &VerifyArgs) -> Result<()> {
    let names = args.names.iter().map(PluginName::parse).collect::<Result<Vec<_>, _>>()?;
    let reports = verify::verify(app.commands(), &names, App::now())?;
    let columns = ["NAME", "VERSION", "SOURCE", "RESULT"].map(Column::new);
    app.ui.table(&columns, &reports.iter().map(row).collect::<Vec<_>>())?;
    for report in &reports {
        report.notes.iter().for_each(|note| app.ui.note(&format!("{}: {note}", report.name)));
    }
    let damaged = reports.iter().filter(|report| !report.is_intact());
    let hints =
        damaged.clone().flat_map(|report| &report.problems).filter_map(|problem| problem.hint.clone());
    let of = if reports.len() == 1 { "1 command".to_owned() } else { format!("{} commands", reports.len()) };
    match damaged.clone().count() {
        0 => Ok(()),
        1 => Err(hints.fold(Failure::untrusted(format!("1 of {of} is damaged")), Failure::hint)),
        many => Err(hints.fold(Failure::untrusted(format!("{many} of {of} are damaged")), Failure::hint)),
    }
}

fn row(report: &Report) -> Row {
    let Report { name, version, origin, problems, notes } = report;
    let result = match problems.as_slice() {
        [] => Cell::toned("ok", Tone::Good),
        problems => {
            let all: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
            Cell::toned(all.join("; "), Tone::Bad)
        }
    };
    let listed: Vec<_> =
        problems.iter().map(|problem| json!({ "problem": problem.what, "hint": problem.hint })).collect();
    let (version, source) =
        (version.as_ref().map(ToString::to_string), origin.as_ref().map(ToString::to_string));
    let object = json!({
        "name": name, "version": version, "source": source, "ok": report.is_intact(), "problems": listed, "notes": notes,
    });
    let cell = |text: Option<String>| Cell::from(text.unwrap_or_else(|| "-".to_owned()));
    Row {
        cells: vec![name.as_str().into(), cell(version), cell(source), result],
        object: object.into(),
        name: format!("command/{name}"),
    }
}
