use clap::Args;
use kf_core::RegistryId;
use kf_core::failure::Result;
use kf_registry::publish::{FirstRoot, PublicKey, RootDraft};
use kf_registry::source::edit;

use super::folders::IndexArgs;
use crate::app::App;

/// Create the index of a new registry
///
/// Writes registry.toml and the first root, which lists the public keys of the admins and of the machine that publishes.
/// Each admin generates a key with `kf registry key generate` and sends in its public half.
#[derive(Debug, Args)]
pub struct InitArgs {
    /// Name of the registry
    name: String,

    #[command(flatten)]
    index: IndexArgs,

    /// Public keys of the admins who sign the root
    #[arg(long = "root-key", value_name = "[HOLDER=]KEY", required = true)]
    root_keys: Vec<PublicKey>,

    /// How many root keys must sign [default: more than half]
    #[arg(long, value_name = "N")]
    root_threshold: Option<usize>,

    /// Public keys of the admins who sign the index and the owners [default: the root keys]
    #[arg(long = "targets-key", value_name = "[HOLDER=]KEY")]
    targets_keys: Vec<PublicKey>,

    /// How many targets keys must sign [default: more than half]
    #[arg(long, value_name = "N")]
    targets_threshold: Option<usize>,

    /// Public key of the machine that publishes, for the role snapshot
    #[arg(long, value_name = "[HOLDER=]KEY")]
    snapshot_key: PublicKey,

    /// The same for the role timestamp [default: the snapshot key]
    #[arg(long, value_name = "[HOLDER=]KEY")]
    timestamp_key: Option<PublicKey>,
}

pub fn run(app: &App, args: &InitArgs) -> Result<()> {
    let name = RegistryId::parse(&args.name)?;
    let majority = |keys: &[PublicKey]| keys.len() / 2 + 1;
    let targets = if args.targets_keys.is_empty() { &args.root_keys } else { &args.targets_keys };
    let first = FirstRoot {
        root: (args.root_keys.clone(), args.root_threshold.unwrap_or(majority(&args.root_keys))),
        targets: (targets.clone(), args.targets_threshold.unwrap_or(majority(targets))),
        snapshot: args.snapshot_key.clone(),
        timestamp: args.timestamp_key.clone().unwrap_or_else(|| args.snapshot_key.clone()),
    };
    let index = &args.index.index;
    let text = edit::new_registry(index, &name)?;
    let root = RootDraft::first(index, &first, text.expiry())?.write(App::now())?;
    app.ui.data_line(&root.display().to_string())?;
    app.ui.data_line(&text.write()?.display().to_string())?;
    app.ui.note("next: add authors with `kf registry delegate`, then `kf registry stage`");
    Ok(())
}
