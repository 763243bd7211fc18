use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::PluginName;
use kf_core::tree::CommandTree;
use kf_registry::receipt;
use kf_registry::receipt::Receipt;
use serde_json::json;

use crate::app::App;
use crate::cluster;
use crate::complete::known;
use crate::error::{CliError, Result};
use crate::plugin::clap_tree::{self, Frame};
use crate::plugin::rights::{self, Rights};
use crate::ui::{Column, Format, Row, Tone};

/// Show a command: usage, signer, digest, and each of its rights ✓ or ✗ for you
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// The command
    #[arg(add = ArgValueCompleter::new(known::installed))]
    name: String,
}

pub fn run(app: &App, args: &DescribeArgs) -> Result<()> {
    let name = PluginName::parse(&args.name)?;
    let receipt = receipt::require(&app.home, &name)?;
    let refused =
        |error: String| CliError::untrusted(format!("the receipt of {name} cannot be used: {error}"));
    let tree = CommandTree::from_value(&receipt.commands).map_err(|error| refused(error.to_string()))?;
    let rights = Rights::parse(&receipt.permissions).map_err(|error| refused(error.to_string()))?;
    let rules = &rights.rules;
    let frame = Frame { name: name.as_str(), footer: String::new() };
    let usage = clap_tree::build(&frame, &tree).bin_name(format!("kf {name}")).render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let origin = &receipt.origin;
    let own = if rules.is_empty() { None } else { Some(cluster::own_rights(app, rules)) };

    let allowed: Vec<_> = match &own {
        Some(Ok(own)) => own
            .rules
            .iter()
            .map(|own_rule| {
                json!({
                    "rule": own_rule.rule, "allowed": own_rule.held(), "missing": own_rule.missing,
                    "namespace": own.namespace,
                })
            })
            .collect(),
        _ => rules.rules().iter().map(|rule| json!({ "rule": rule.to_string(), "allowed": null })).collect(),
    };
    let fields =
        ["Command", "About", "Usage", "Registry", "Signed by", "Digest", "Installed"].map(Column::new);
    let row = Row {
        cells: vec![
            format!("{name} {}", receipt.version).into(),
            receipt.summary.as_str().into(),
            usage.as_str().into(),
            format!("{}, snapshot {}", origin.registry, origin.snapshot).into(),
            format!("{} ({})", origin.owner, origin.keyids.join(", ")).into(),
            format!("sha256 {}", receipt.wasm.sha256).into(),
            format!("{:.0}", origin.at).into(),
        ],
        object: json!({
            "name": name, "version": receipt.version, "about": receipt.summary, "usage": usage,
            "registry": origin.registry, "owner": origin.owner, "keyids": origin.keyids,
            "sha256": receipt.wasm.sha256, "installed": origin.at, "rights": allowed,
            "selection": rights.selection,
        }),
        name: format!("command/{name}"),
    };
    app.ui.record(&fields, &row)?;
    if matches!(app.ui.format(), Format::Table | Format::Wide) {
        app.ui.data_line("")?;
        for line in rights::lines(name.as_str(), &rights, &tree) {
            app.ui.data_toned(&line.text, line.tone)?;
        }
        show_ceiling(app, &receipt, &rights)?;
        show_own(app, own.as_ref())?;
    }
    Ok(())
}

/// A ceiling that has come down since takes rights away.
fn show_ceiling(app: &App, receipt: &Receipt, rights: &Rights) -> Result<()> {
    let above = Rights::parse(&receipt.ceiling).map(|ceiling| ceiling.growth(rights));
    let text = match above {
        Ok(above) if above.is_empty() => return Ok(()),
        Ok(above) => format!("Its registry no longer lets it {}", rights::in_words(&above)),
        Err(_) => "Its registry's ceiling cannot be read, so it may do nothing".to_owned(),
    };
    app.ui.data_toned(&text, Tone::Bad)?;
    Ok(())
}

fn show_own(app: &App, own: Option<&Result<cluster::OwnRights>>) -> Result<()> {
    match own {
        None => {}
        Some(Err(error)) => {
            app.ui.note(&format!("Whether you may do this was not checked: {}", cluster::reason(error)));
        }
        Some(Ok(own)) => {
            app.ui.data_line("")?;
            app.ui.data_line(&format!("For you in {}:", own.namespace))?;
            for own_rule in &own.rules {
                let (mark, tone) = match (own_rule.held(), own_rule.optional) {
                    (true, _) => ("✓", Tone::Good),
                    (false, true) => ("–", Tone::Faint),
                    (false, false) => ("✗", Tone::Bad),
                };
                app.ui.data_toned(&format!("  {mark} {}", own_rule.rule), tone)?;
                for missing in &own_rule.missing {
                    app.ui.data_line(&format!("      you lack {missing}"))?;
                }
            }
        }
    }
    Ok(())
}
