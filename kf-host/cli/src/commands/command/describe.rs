use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::availability::own_rights;
use kf_command::installed::Installed;
use kf_command::rights::{Rights, in_words};
use kf_core::PluginName;
use kf_core::failure::Result;
use kf_core::tree::PathArguments;
use kf_core::ui::{Column, Format, Row, Tone};
use kf_registry::index::Origin;
use kf_registry::receipt::{self, Receipt};
use serde_json::json;

use crate::added::clap_tree::{self, Frame};
use crate::app::App;
use crate::candidates::known;
use crate::show::{availability, rights};

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
    let installed = Installed::new(receipt)?;
    let rights = installed.rights()?;
    let Installed { receipt, tree } = &installed;
    let rules = &rights.rules;
    let paths = PathArguments::of(tree);
    let frame = Frame { name: name.as_str(), footer: String::new() };
    let usage = clap_tree::build(&frame, tree).bin_name(format!("kf {name}")).render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let origin = &receipt.origin;
    let (owner, keyids) = match origin {
        Origin::Registry { owner, keyids, .. } => (Some(owner), keyids.as_slice()),
        Origin::BuiltIn | Origin::Local { .. } => (None, [].as_slice()),
    };
    let source = match origin {
        Origin::Registry { registry, snapshot, .. } => format!("{registry}, snapshot {snapshot}"),
        Origin::BuiltIn => "built in".to_owned(),
        Origin::Local { path } => path.display().to_string(),
    };
    let signer =
        owner.map_or_else(|| "nobody".to_owned(), |owner| format!("{owner} ({})", keyids.join(", ")));
    let own = if rules.is_empty() { None } else { Some(own_rights(&app.home, &app.target(), rules)) };

    let allowed: Vec<_> = match &own {
        Some(Ok(own)) => own
            .rules
            .iter()
            .map(|own_rule| {
                json!({
                    "rule": own_rule.rule, "allowed": own_rule.is_held(), "missing": own_rule.missing,
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
            source.into(),
            signer.into(),
            format!("sha256 {}", receipt.program_digest()).into(),
            format!("{:.0}", receipt.at).into(),
        ],
        object: json!({
            "name": name, "version": receipt.version, "about": receipt.summary, "usage": usage,
            "registry": origin.registry(), "owner": owner, "keyids": keyids, "origin": origin,
            "sha256": receipt.program_digest(), "installed": receipt.at, "rights": allowed,
            "selection": rights.selection, "terminal": rights.terminal, "headers": rights.headers,
            "paths": paths,
        })
        .into(),
        name: format!("command/{name}"),
    };
    app.ui.record(&fields, &row)?;
    if matches!(app.ui.format(), Format::Table | Format::Wide) {
        app.ui.data_line("")?;
        for line in rights::lines(name.as_str(), &rights, &paths) {
            app.ui.data_toned(&line.text, line.tone)?;
        }
        show_ceiling(app, receipt, &rights)?;
        availability::own_rights(app, own.as_ref())?;
    }
    Ok(())
}

/// A ceiling that has come down since takes rights away.
fn show_ceiling(app: &App, receipt: &Receipt, rights: &Rights) -> Result<()> {
    if matches!(receipt.origin, Origin::Local { .. }) {
        return Ok(());
    }
    let above = Rights::parse(&receipt.ceiling).map(|ceiling| ceiling.growth(rights));
    let text = match above {
        Ok(above) if above.is_empty() => return Ok(()),
        Ok(above) => format!("Its registry no longer lets it {}", in_words(&above)),
        Err(_) => "Its registry's ceiling cannot be read, so it may do nothing".to_owned(),
    };
    app.ui.data_toned(&text, Tone::Bad)?;
    Ok(())
}
