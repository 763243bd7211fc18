use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install;
use kf_core::RegistryId;
use kf_core::failure::Result;
use kf_registry::registries;

use crate::app::App;
use crate::candidates::known;

/// Set the addresses of a registry, such as its mirrors
///
/// Replaces all addresses. The pinned root stays, so an address needs no trust.
#[derive(Debug, Args)]
pub struct SetUrlArgs {
    /// Name of the registry
    #[arg(add = ArgValueCompleter::new(known::registries))]
    name: String,

    /// Addresses: https://, http:// or file://; the one with the newest state is used
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
}

pub fn run(app: &App, args: &SetUrlArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    let urls: Vec<&str> = args.urls.iter().map(String::as_str).collect();
    let registry = registries::set_urls(&app.home, kf_built_in::built_ins(), &id, &urls)?;
    let urls: Vec<String> = registry.urls.iter().map(ToString::to_string).collect();
    app.ui.data_line(&format!("Set the addresses of registry {id}: {}", urls.join(" ")))?;
    if let Err(error) = install::refresh(app.commands(), &id, app.reporter().as_ref(), App::now()) {
        app.ui.warn(error.message());
    }
    Ok(())
}
