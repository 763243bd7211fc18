use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_registry::index::Request;

use crate::app::App;
use crate::complete::known;
use crate::error::Result;
use crate::plugin::consent::Answer;
use crate::plugin::install::{Installer, Outcome};

/// Add commands from a registry
///
/// Shows what each may do and asks before it is added. Without a terminal the answer is no,
/// unless `--accept` names the very command and rights.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What to add: a name, or with a version as `train@1.4`, or from one registry as `team/train`
    #[arg(required = true, value_name = "[REGISTRY/]NAME[@VERSION]", add = ArgValueCompleter::new(known::available))]
    names: Vec<String>,

    #[command(flatten)]
    answer: Answer,
}

pub fn run(app: &App, args: &AddArgs) -> Result<()> {
    let requests = args.names.iter().map(|name| Request::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let mut installer = Installer::new(app, &args.answer);
    for request in requests {
        match installer.add(&request)? {
            Outcome::Installed { name, version } => app.ui.data_line(&format!("Added {name} {version}"))?,
            Outcome::Unchanged { name, version } => {
                app.ui.note(&format!("{name} {version} is added already"))
            }
        }
    }
    Ok(())
}
