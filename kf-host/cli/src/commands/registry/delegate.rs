use std::path::PathBuf;

use clap::Args;
use kf_core::failure::{Failure, Result};
use kf_core::manifest::Manifest;
use kf_core::{AuthorId, PluginName};
use kf_registry::publish::PublicKey;
use kf_registry::source::edit::{Delegation, Edit};

use super::changed;
use super::folders::IndexArgs;
use crate::app::App;

/// Let an author publish commands
///
/// A new command gets the permissions that its manifest requests as its ceiling: review plugins/NAME.toml before you stage
/// it. Changes nothing but the index.
#[derive(Debug, Args)]
pub struct DelegateArgs {
    /// Author who signs for the commands
    author: String,

    /// Commands of the index
    #[arg(value_name = "NAME")]
    names: Vec<PluginName>,

    /// Manifests of new commands
    #[arg(long = "manifest", value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    manifests: Vec<PathBuf>,

    /// Public keys of the author, as `kf plugin keygen` prints them; a new author needs one
    #[arg(long = "key", value_name = "KEY")]
    keys: Vec<PublicKey>,

    /// How many of the author's keys must sign
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,

    /// How to reach the author; required for a new one
    #[arg(long, value_name = "TEXT")]
    contact: Option<String>,

    /// Take the commands from the authors who own them now
    #[arg(long)]
    transfer: bool,

    #[command(flatten)]
    index: IndexArgs,
}

pub fn run(app: &App, args: &DelegateArgs) -> Result<()> {
    let read = |path: &PathBuf| {
        let bytes = fs_err::read(path).map_err(|error| Failure::usage(error.to_string()))?;
        Ok(Manifest::from_bytes(&bytes).map_err(kf_registry::Error::from)?)
    };
    let delegation = Delegation {
        author: AuthorId::parse(&args.author)?,
        contact: args.contact.clone(),
        keys: args.keys.iter().map(|key| key.hex.clone()).collect(),
        threshold: args.threshold,
        plugins: args.names.clone(),
        manifests: args.manifests.iter().map(read).collect::<Result<_>>()?,
        transfer: args.transfer,
    };
    let mut edit = Edit::open(&args.index.index)?;
    edit.delegate(&delegation)?;
    changed(app, &edit.write()?)
}
