use clap::Args;
use kf_command::check::Finding;
use kf_command::lint::lint;
use kf_core::Kind;
use kf_core::failure::Result;
use kf_core::ui::Format;
use serde_json::json;

use super::folders::IndexArgs;
use crate::app::App;
use crate::show::findings;

/// Check the index of a registry
///
/// Reads registry.toml, authors/, plugins/ and root/, and prints every problem with its file: for pull requests.
#[derive(Debug, Args)]
pub struct LintArgs {
    #[command(flatten)]
    index: IndexArgs,
}

pub fn run(app: &App, args: &LintArgs) -> Result<()> {
    let findings = lint(&args.index.index)?;
    match app.ui.format() {
        Format::Json | Format::Yaml => {
            let findings: Vec<_> = findings.iter().map(Finding::to_json).collect();
            app.ui.document(&json!({ "format": 1, "ok": findings.is_empty(), "findings": findings }))?;
        }
        Format::Table | Format::Wide | Format::Name => findings::print(app, &findings)?,
    }
    if findings.is_empty() {
        app.ui.note("no problems found");
    }
    findings::fail(findings.len(), Kind::Failed)
}
