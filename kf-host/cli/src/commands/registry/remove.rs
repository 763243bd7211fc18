use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::RegistryId;
use kf_core::failure::Result;
use kf_registry::{built_in, registries};

use crate::app::App;
use crate::candidates::known;

/// Forget a registry; commands added from it stay
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Its name here
    #[arg(add = ArgValueCompleter::new(known::set_up))]
    name: String,
}

pub fn run(app: &App, args: &RemoveArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    registries::remove(&app.home, kf_built_in::carried(), &id)?;
    built_in::forget(&app.home, kf_built_in::carried(), &id)?;
    Ok(app.ui.data_line(&format!("Removed registry {id}"))?)
}
