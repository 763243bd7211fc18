use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::RegistryId;
use kf_core::failure::Result;
use kf_registry::{built_in, registries};

use crate::app::App;
use crate::candidates::known;

/// Remove a registry; commands added from it stay
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Name of the registry
    #[arg(add = ArgValueCompleter::new(known::registries))]
    name: String,
}

pub fn run(app: &App, args: &RemoveArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    registries::remove(&app.home, kf_built_in::built_ins(), &id)?;
    built_in::remove_blocks(&app.home, kf_built_in::built_ins(), &id)?;
    Ok(app.ui.data_line(&format!("Removed registry {id}"))?)
}
