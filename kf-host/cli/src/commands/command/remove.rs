use std::time::Duration;

use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::PluginName;
use kf_home::lock::NameLock;
use kf_registry::store::Store;
use kf_registry::{receipt, slot};

use crate::app::App;
use crate::complete::known;
use crate::error::{CliError, Result};

/// What another kf may just be adding is left alone.
const YOUNG: Duration = Duration::from_secs(24 * 3600);

/// Remove commands
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// What to remove
    #[arg(required = true, value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    names: Vec<String>,
}

pub fn run(app: &App, args: &RemoveArgs) -> Result<()> {
    let names = args.names.iter().map(|name| PluginName::parse(name)).collect::<Result<Vec<_>, _>>()?;
    for name in &names {
        let lock = NameLock::try_acquire(&app.home, name)?;
        let stands_in_for = slot::answered_by(&app.home, name)?;
        if let Some(replaced) = stands_in_for.first() {
            return Err(CliError::usage(format!("{name} answers for {replaced}"))
                .hint(format!("kf command replace {replaced} --restore")));
        }
        receipt::remove(&app.home, &lock)?;
        slot::restore(&app.home, &lock)?;
        app.ui.data_line(&format!("Removed {name}"))?;
    }
    sweep(app)
}

/// Frees what no receipt needs any more. Receipts that cannot be read keep everything: one of
/// them may need it.
fn sweep(app: &App) -> Result<()> {
    let receipts = receipt::list(&app.home)?;
    if receipts.iter().any(|(_, receipt)| receipt.is_err()) {
        return Ok(());
    }
    let kept: Vec<_> = receipts
        .into_iter()
        .filter_map(|(_, receipt)| receipt.ok())
        .flat_map(|receipt| [receipt.wasm.sha256, receipt.manifest, receipt.commands_sha256])
        .collect();
    Store::open(&app.home)?.sweep(&|digest| kept.contains(&digest), YOUNG)?;
    Ok(())
}
