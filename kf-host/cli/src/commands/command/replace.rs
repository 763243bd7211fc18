use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_core::PluginName;
use kf_core::failure::{Failure, Result};
use kf_home::lock::NameLock;
use kf_registry::index::Request;
use kf_registry::receipt::{self, Receipt};
use kf_registry::slot;

use crate::app::App;
use crate::candidates::known;
use crate::show::plan::{self, AnswerArgs};

/// Let another command answer to a name, or the first one again
#[derive(Debug, Args)]
pub struct ReplaceArgs {
    /// The name to type
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    name: String,

    /// The command that answers to it, as for `kf command add`; added if what is installed is another
    #[arg(long, value_name = "OTHER", required_unless_present = "restore", add = ArgValueCompleter::new(known::every))]
    with: Option<String>,

    /// Back to the command of that name
    #[arg(long, conflicts_with = "with")]
    restore: bool,

    #[command(flatten)]
    answer: AnswerArgs,
}

pub fn run(app: &App, args: &ReplaceArgs) -> Result<()> {
    let name = PluginName::parse(&args.name)?;
    let Some(with) = &args.with else {
        let lock = NameLock::try_acquire(&app.home, &name)?;
        slot::restore(&app.home, &lock)?;
        app.ui.data_line(&format!("{name} answers for itself again"))?;
        return Ok(());
    };
    let request = Request::parse(with)?;
    if request.name == name {
        return Err(Failure::usage(format!("{name} cannot replace itself"))
            .hint(format!("kf command replace {name} --restore")));
    }
    let installed = receipt::read(&app.home, &request.name)?;
    if !installed.is_some_and(|receipt| request.is_met_by(&receipt.origin, &receipt.version)) {
        let mut installer = plan::installer(app);
        let resolved = installer.resolve(&request)?;
        plan::install(app, &mut installer, &resolved, &args.answer)?;
    }
    let lock = NameLock::try_acquire(&app.home, &name)?;
    slot::replace(&app.home, &lock, &request.name)?;
    let Receipt { name: other, version, origin, .. } = receipt::require(&app.home, &request.name)?;
    app.ui.data_line(&format!("{name} is now answered by {other} {version} ({origin})"))?;
    app.ui.note(&format!("back with `kf command replace {name} --restore`"));
    Ok(())
}
