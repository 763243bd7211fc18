use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::rights::in_words;
use kf_command::rollback::{self, RolledBack};
use kf_command::{remove, rights::Rights};
use kf_core::PluginName;
use kf_core::failure::Result;
use kf_core::ui::Tone;
use kf_registry::receipt::Receipt;

use crate::app::App;
use crate::args::RESERVED;
use crate::candidates::known;

/// Go back to the previously installed version
///
/// Needs no network and asks nothing: that version has the rights that you accepted when you added it, within what its
/// registry allows today. Only the version before the installed one is kept.
#[derive(Debug, Args)]
pub struct RollbackArgs {
    /// Command to roll back
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(known::installed))]
    name: String,
}

pub fn run(app: &App, args: &RollbackArgs) -> Result<()> {
    let name = PluginName::parse(&args.name)?;
    let RolledBack { from, to, regained, above_ceiling } =
        rollback::rollback(app.commands(), &RESERVED, &app.reporter(), &name, App::now())?;
    let Receipt { version, origin, .. } = &to;
    app.ui.data_line(&format!("Rolled back {name} from {} to {version} ({origin})", from.version))?;
    if let (Some(now), Some(before)) = (origin.owner(), from.origin.owner())
        && now != before
    {
        app.ui.warn(&format!("{name} {version} is signed by {now}; {} is signed by {before}", from.version));
    }
    if let Some(yanked) = to.yank() {
        app.ui.warn(&format!("{name} {version} was {yanked}"));
    }
    note(app, "It may again", &regained, Tone::Plain);
    note(app, "Its registry no longer allows it to", &above_ceiling, Tone::Bad);
    app.ui.note(&format!("`kf command upgrade {name}` installs the newest version again"));
    remove::sweep(app.commands())
}

fn note(app: &App, head: &str, rights: &Rights, tone: Tone) {
    if !rights.is_empty() {
        app.ui.message_toned(&format!("{head} {}", in_words(rights)), tone);
    }
}
