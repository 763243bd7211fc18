use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use clap_complete::ArgValueCompleter;
use kf_command::install;
use kf_core::failure::Result;
use kf_core::size::Decimal;
use kf_core::text::counted;
use kf_core::{PluginName, RegistryId};
use kf_registry::mirror::{self, Choice};

use crate::app::App;
use crate::candidates::known;

/// Copy a registry to serve it from elsewhere
///
/// Refreshes and verifies a registry that is set up on this machine, and copies it as it is signed: a mirror needs no key, and
/// users verify it like the registry itself. Run it again to update the copy.
#[derive(Debug, Args)]
pub struct MirrorArgs {
    /// Registry to copy
    #[arg(value_name = "NAME", add = ArgValueCompleter::new(known::registries))]
    name: String,

    /// Folder to copy it to
    #[arg(value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    folder: PathBuf,

    /// Copy the files of only these commands [default: all]
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<PluginName>,
}

pub fn run(app: &App, args: &MirrorArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    let mut session = install::refresh(app.commands(), &id, app.reporter().as_ref(), App::now())?;
    let only: BTreeSet<PluginName> = args.only.iter().cloned().collect();
    let choice = if only.is_empty() { Choice::All } else { Choice::Names(&only) };
    let copied = mirror::copy(&mut session, choice, None, &args.folder)?;
    let releases: usize = copied.releases.values().map(BTreeSet::len).sum();
    app.ui.data_line(&args.folder.display().to_string())?;
    app.ui.note(&format!(
        "{}, {}; wrote {} ({}); expires {}",
        counted(copied.releases.len(), "command"),
        counted(releases, "version"),
        counted(copied.files, "file"),
        Decimal(copied.bytes),
        copied.expires
    ));
    Ok(())
}
