use clap::Args;
use clap_complete::ArgValueCompleter;
use jiff::Timestamp;
use kf_command::availability::own_rights;
use kf_command::hints;
use kf_command::installed::{Installed, Named};
use kf_command::rights::{Rights, in_words};
use kf_core::failure::Result;
use kf_core::tree::{CommandTree, PathArguments};
use kf_core::ui::{Column, Format, Row, Tone};
use kf_core::{Digest, PluginName};
use kf_registry::index::{Origin, Request};
use kf_registry::receipt::Receipt;
use serde_json::json;

use crate::added::clap_tree::{self, Frame};
use crate::app::App;
use crate::candidates::known;
use crate::show::wrap::width;
use crate::show::{availability, plan, precedence, rights};

/// Show details of a command: usage, signer, digest, and which of its rights you have
///
/// A command that is not added is fetched from its registry.
#[derive(Debug, Args)]
pub struct DescribeArgs {
    /// Command to show, as for `kf command add`
    #[arg(value_name = "[REGISTRY/]NAME[@VERSION]", add = ArgValueCompleter::new(known::all))]
    name: String,
}

/// The description of a command, added or not.
struct Description {
    name: PluginName,
    version: String,
    summary: String,
    origin: Origin,
    /// Another command of this name, which does not run.
    other: Option<Receipt>,
    digest: Digest,
    rights: Rights,
    tree: CommandTree,
    /// When it was added; none if it is not added.
    installed: Option<Timestamp>,
}

pub fn run(app: &App, args: &DescribeArgs) -> Result<()> {
    let request = Request::parse(&args.name)?;
    let Named { answers, other } = app.commands().named(&request.name)?;
    let is_met = |receipt: &Receipt| request.is_met_by(&receipt.origin, &receipt.version);
    let is_replaceable = answers.as_ref().is_none_or(|receipt| receipt.origin.is_built_in());
    let (here, runs) = match (answers.filter(is_met), other.filter(is_met)) {
        (Some(receipt), other) => (Some((receipt, other)), true),
        (None, other) => (other.map(|receipt| (receipt, None)), false),
    };
    match here {
        Some((receipt, other)) => {
            let installed = Installed::new(receipt)?;
            let rights = installed.rights()?;
            let Installed { receipt, tree, .. } = installed;
            let ceiling = over_ceiling(&receipt, &rights);
            let description = Description {
                name: receipt.name.clone(),
                version: receipt.version.to_string(),
                summary: receipt.summary.clone(),
                digest: receipt.program_digest(),
                installed: runs.then_some(receipt.at),
                other,
                origin: receipt.origin,
                rights,
                tree,
            };
            show(app, &request, &description, ceiling.as_deref())
        }
        None => {
            let mut installer = plan::installer(app);
            let resolved = match is_replaceable {
                true => installer.resolve_replacement(&request)?,
                false => installer.resolve(&request)?,
            };
            let (fetched, examined) = installer.preview(&resolved)?;
            let resolved = fetched.resolved;
            let description = Description {
                digest: resolved.parts.program().sha256,
                name: resolved.name,
                version: resolved.version.to_string(),
                summary: resolved.summary,
                other: None,
                origin: resolved.origin,
                rights: examined.rights,
                tree: examined.tree,
                installed: None,
            };
            show(app, &request, &description, None)
        }
    }
}

fn show(app: &App, request: &Request, description: &Description, ceiling: Option<&str>) -> Result<()> {
    let Description { name, version, summary, origin, other, digest, rights, tree, installed } = description;
    let rules = &rights.rules;
    let paths = PathArguments::of(tree);
    let frame = Frame { name: name.as_str(), footer: String::new() };
    let usage = clap_tree::build(&frame, tree).bin_name(format!("kf {name}")).render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").to_owned();
    let (owner, keyids) = (origin.owner(), origin.keyids());
    let source = match origin {
        Origin::Registry { registry, snapshot, .. } => format!("{registry}, snapshot {snapshot}"),
        Origin::BuiltIn { .. } => "built in".to_owned(),
        Origin::Local { path } => path.display().to_string(),
    };
    let source = match other {
        Some(other) => format!("{source}, {}", precedence::reason(origin, other)),
        None => source,
    };
    let signer = owner.map_or_else(|| "none".to_owned(), |owner| format!("{owner} ({})", keyids.join(", ")));
    let since = match (installed, origin) {
        (None, _) => format!("no: kf command add {}", hints::word(request)),
        (Some(_), Origin::BuiltIn { .. }) => format!("with kf {}", env!("CARGO_PKG_VERSION")),
        (Some(at), _) => format!("{at:.0}"),
    };
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
            format!("{name} {version}").into(),
            summary.as_str().into(),
            usage.as_str().into(),
            source.into(),
            signer.into(),
            format!("sha256 {digest}").into(),
            since.into(),
        ],
        object: json!({
            "name": name, "version": version, "about": summary, "usage": usage,
            "registry": origin.registry(), "insteadOf": other.as_ref().map(precedence::to_json), "owner": owner, "keyids": keyids, "origin": origin,
            "sha256": digest, "installed": installed, "rights": allowed,
            "selection": rights.selection, "terminal": rights.terminal, "headers": rights.headers,
            "paths": paths,
        })
        .into(),
        name: format!("command/{name}"),
    };
    app.ui.record(&fields, &row)?;
    if matches!(app.ui.format(), Format::Table | Format::Wide) {
        app.ui.data_line("")?;
        for line in rights::lines(name.as_str(), rights, &paths, width(app.ui.stdout_columns())) {
            app.ui.data_toned(&line.text, line.tone)?;
        }
        if let Some(ceiling) = ceiling {
            app.ui.data_toned(ceiling, Tone::Bad)?;
        }
        availability::own_rights(app, own.as_ref())?;
    }
    Ok(())
}

/// A note if the registry's ceiling was lowered below the command's rights.
fn over_ceiling(receipt: &Receipt, rights: &Rights) -> Option<String> {
    if matches!(receipt.origin, Origin::Local { .. }) {
        return None;
    }
    match Rights::parse(&receipt.ceiling).map(|ceiling| ceiling.growth(rights)) {
        Ok(above) if above.is_empty() => None,
        Ok(above) => Some(format!("Its registry no longer allows it to {}", in_words(&above))),
        Err(_) => Some("Its registry's ceiling cannot be read: all its rights are denied".to_owned()),
    }
}
