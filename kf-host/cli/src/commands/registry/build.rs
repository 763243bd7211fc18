use std::path::PathBuf;

use clap::Args;
use kf_core::failure::Result;
use kf_registry::publish::{self, BuildInput, KeyRing};
use kf_registry::source::Source;

use super::publish::show;
use crate::app::App;
use crate::publishing::{describe, gate};
use crate::root_file::read_root;

/// Build and sign a registry from its index
///
/// Checks each component as kf does when a user adds it, reads its command tree, and writes static
/// files that any web server can serve.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// Folder of the index: registry.toml, authors/ and plugins/
    #[arg(value_name = "INDEX")]
    index: PathBuf,

    /// Folder with a subfolder for each command, with its plugin.wasm and plugin.toml
    #[arg(long, value_name = "DIR")]
    artifacts: PathBuf,

    /// Folder to write the registry to; an existing registry is extended
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// Folder of the signing keys
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,

    /// First root, as users pinned it; needed if neither the keys nor the index vouch for it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    root: Option<PathBuf>,

    /// Approve versions that may do more than the version before
    #[arg(long)]
    approve_grants: bool,

    /// Generate the keys if the folder does not exist; for tests and first steps
    #[arg(long)]
    create_keys: bool,
}

pub fn run(app: &App, args: &BuildArgs) -> Result<()> {
    let root = args.root.as_deref().map(read_root).transpose()?;
    let built = publish::build(&BuildInput {
        source: &args.index,
        artifacts: &args.artifacts,
        published: &args.out,
        keys: &keys(args)?,
        pinned_root: root.as_deref(),
        approve_grants: args.approve_grants,
        now: App::now(),
        describe: &describe(app),
        gate: &gate,
    })?;
    show(app, &built)
}

fn keys(args: &BuildArgs) -> Result<KeyRing> {
    if args.keys.exists() || !args.create_keys {
        return Ok(KeyRing::load(&args.keys)?);
    }
    let keys = KeyRing::generate(Source::read(&args.index)?.authors.keys())?;
    keys.save(&args.keys)?;
    Ok(keys)
}
