use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::remove;
use kf_core::PluginName;
use kf_core::failure::Result;

use crate::app::App;
use crate::candidates::known;

/// Remove commands
///
/// A built-in command is disabled; `kf command add` enables it again.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// Commands to remove
    #[arg(required = true, value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    names: Vec<String>,
}

pub fn run(app: &App, args: &RemoveArgs) -> Result<()> {
    let names = args.names.iter().map(PluginName::parse).collect::<Result<Vec<_>, _>>()?;
    for name in &names {
        let is_built_in = remove::remove(app.commands(), name)?;
        app.ui.data_line(&format!("Removed {name}"))?;
        if is_built_in {
            app.ui.note(&format!("{name} is built in; `kf command add {name}` enables it again"));
        }
    }
    remove::sweep(app.commands())
}
