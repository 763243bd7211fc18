use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::failure::Result;
use kf_registry::index::Request;

use crate::app::App;
use crate::candidates::known;
use crate::show::plan::{self, AnswerArgs};

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
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &AddArgs) -> Result<()> {
    let requests = args.names.iter().map(|name| Request::parse(name)).collect::<Result<Vec<_>, _>>()?;
    let mut installer = plan::installer(app);
    for request in requests {
        let resolved = installer.resolve(&request)?;
        match plan::install(app, &mut installer, &resolved, &args.answer)? {
            Some(added) => app.ui.data_line(&format!("Added {} {}", added.name, added.version))?,
            None => app.ui.note(&format!("{} {} is added already", resolved.name, resolved.version)),
        }
    }
    Ok(())
}
