use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::remove;
use kf_core::PluginName;
use kf_core::failure::Result;

use crate::app::App;
use crate::candidates::known;

/// Remove commands
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// What to remove
    #[arg(required = true, value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    names: Vec<String>,
}

pub fn run(app: &App, args: &RemoveArgs) -> Result<()> {
    let names = args.names.iter().map(PluginName::parse).collect::<Result<Vec<_>, _>>()?;
    for name in &names {
        remove::remove(&app.home, name)?;
        app.ui.data_line(&format!("Removed {name}"))?;
    }
    remove::sweep(&app.home)
}
