use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::carry::{self, Exported};
use kf_core::failure::Result;
use kf_core::size::Decimal;
use kf_core::{RegistryId, shell};
use kf_registry::index::Request;

use crate::app::App;
use crate::candidates::known;

/// Export commands into a folder, for machines without a network
///
/// The folder is a copy of the registry with only these commands. `kf command import` adds them on another machine, which
/// must have the same registry set up. It verifies the folder as it verifies the registry, until its signatures expire.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Folder to write to, which must be empty or missing
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,

    /// Commands to export, as for `kf command add` [default: all that are installed from the registry]
    #[arg(value_name = "[REGISTRY/]NAME[@VERSION]", add = ArgValueCompleter::new(known::all))]
    names: Vec<String>,

    /// Registry of the commands, if they are from several
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(known::registries))]
    registry: Option<String>,
}

pub fn run(app: &App, args: &ExportArgs) -> Result<()> {
    let requests = args.names.iter().map(|word| Request::parse(word)).collect::<Result<Vec<_>, _>>()?;
    let registry = args.registry.as_ref().map(RegistryId::parse).transpose()?;
    let reporter = app.reporter();
    let Exported { copied, stale } = carry::export(
        app.commands(),
        registry.as_ref(),
        &requests,
        &args.folder,
        reporter.as_ref(),
        App::now(),
    )?;
    if let Some(error) = stale {
        app.ui.warn(&format!("exported the state of the last refresh: {}", error.message()));
    }
    for (name, versions) in &copied.releases {
        for version in versions {
            app.ui.data_line(&format!("Exported {name} {version}"))?;
        }
    }
    app.ui.note(&format!(
        "{} files, {}, valid until {}",
        copied.files,
        Decimal(copied.bytes),
        copied.expires
    ));
    app.ui.note(&format!("on the other machine: kf command import {}", shell::path(&args.folder)));
    Ok(())
}
