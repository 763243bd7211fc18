use std::path::PathBuf;

use clap::Args;
use kf_core::failure::Result;
use kf_registry::publish::{self, AssembleInput, Built, Published, SigningKey};

use super::folders::FolderArgs;
use crate::app::App;
use crate::passphrase::PassphraseArgs;
use crate::publishing::gate;

/// Publish what was signed
///
/// Checks everything in the folder again, signs snapshot and timestamp, and adds the new files to the published registry.
/// Without a folder it renews only these two, which has to happen before they expire.
#[derive(Debug, Args)]
pub struct PublishArgs {
    /// Folder with all signatures
    #[arg(value_name = "STAGING", value_hint = clap::ValueHint::DirPath)]
    staging: Option<PathBuf>,

    /// Keys of snapshot and timestamp; during a key change, the old ones as well
    #[arg(long = "key", value_name = "FILE", required = true, value_hint = clap::ValueHint::FilePath)]
    keys: Vec<PathBuf>,

    #[command(flatten)]
    folders: FolderArgs,

    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub fn run(app: &App, args: &PublishArgs) -> Result<()> {
    let (source, pinned) = args.folders.read()?;
    let keys = args.passphrase.keys(app, &args.keys)?;
    let online: Vec<&SigningKey> = keys.iter().collect();
    let built = publish::assemble(&AssembleInput {
        staging: args.staging.as_deref(),
        published: args.folders.published(),
        pinned_root: pinned.as_deref(),
        keys: None,
        online: &online,
        expiry: source.registry.expiry,
        now: App::now(),
        gate: &gate,
    })?;
    show(app, &built)
}

/// Prints the versions that have new signatures, and the root to pin.
pub fn show(app: &App, built: &Built) -> Result<()> {
    for Published { name, version, sha256, new } in &built.signed {
        let done = if *new { "published" } else { "re-signed" };
        app.ui.note(&format!("{done} {name} {version} (sha256 {})", sha256.short()));
    }
    app.ui.data_line(&built.root.display().to_string())?;
    app.ui.note(&format!("root sha256 {}", built.root_sha256));
    Ok(())
}
