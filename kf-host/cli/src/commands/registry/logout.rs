use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::RegistryId;
use kf_core::failure::{Failure, Result};
use kf_registry::access;

use crate::app::App;
use crate::candidates::known;

/// Delete the stored tokens of a registry
///
/// They stay valid: only the copy on this machine is deleted.
#[derive(Debug, Args)]
pub struct LogoutArgs {
    /// Name of the registry
    #[arg(add = ArgValueCompleter::new(known::registries))]
    name: String,
}

pub fn run(app: &App, args: &LogoutArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    let removed = access::logout(&app.home, &id, None)?;
    if removed.is_empty() {
        return Err(Failure::not_found(format!("no token of registry {id} is stored"))
            .hint(format!("kf registry login {id}")));
    }
    for origin in removed {
        app.ui.data_line(&format!("Logged out of registry {id} at {origin}"))?;
    }
    Ok(())
}
