use std::path::PathBuf;

use clap::Args;
use kf_command::check::{Checked, Finding, check};
use kf_core::Kind;
use kf_core::failure::Result;
use kf_core::size::Decimal;
use kf_core::ui::Format;
use kf_registry::source::Source;
use serde_json::{Value, json};

use crate::app::App;
use crate::args::RESERVED;
use crate::show::findings;

/// Check a plugin before it is published
///
/// Checks the manifest, the component and its ABI, the command tree, and that the component imports only what the manifest
/// requests. Every problem is printed with its file and line. With --index also checks who owns the name, and the ceiling.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Folder with a plugin.toml and a plugin.wasm
    #[arg(default_value = ".", value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,

    /// Folder of the registry's index: registry.toml, authors/ and plugins/
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    index: Option<PathBuf>,
}

pub fn run(app: &App, args: &CheckArgs) -> Result<()> {
    let source = args.index.as_deref().map(Source::read).transpose()?;
    let checked = check(&args.folder, source.as_ref(), &RESERVED);
    match app.ui.format() {
        Format::Json | Format::Yaml => app.ui.document(&to_json(&checked))?,
        Format::Table | Format::Wide | Format::Name => print(app, &checked)?,
    }
    findings::fail(checked.findings.len(), Kind::Failed)
}

fn print(app: &App, checked: &Checked) -> Result<()> {
    findings::print(app, &checked.findings)?;
    if let (true, Some(plugin), Some(bytes)) = (checked.findings.is_empty(), &checked.plugin, checked.bytes) {
        app.ui.data_line(&format!(
            "{plugin}: no problems found ({})",
            Decimal(u64::try_from(bytes).unwrap_or(u64::MAX))
        ))?;
    }
    Ok(())
}

fn to_json(checked: &Checked) -> Value {
    json!({
        "format": 1,
        "ok": checked.findings.is_empty(),
        "plugin": checked.plugin,
        "bytes": checked.bytes,
        "findings": checked.findings.iter().map(Finding::to_json).collect::<Vec<_>>(),
    })
}
