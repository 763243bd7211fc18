use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::RegistryId;
use kf_core::failure::Result;
use kf_registry::registries;

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
    registries::remove(&app.home, &id)?;
    Ok(app.ui.data_line(&format!("Removed registry {id}"))?)
}
