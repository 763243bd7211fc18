//! `kf registry key`: the keys that sign for a registry.

use clap::{Args, Subcommand};
use kf_core::AuthorId;
use kf_core::failure::Result;
use kf_registry::publish::{PublicKey, RoleName, RootDraft, TopRole};
use kf_registry::source::edit::Edit;

use super::changed;
use super::folders::FolderArgs;
use crate::app::App;
use crate::commands::keygen::{self, KeygenArgs};

#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// Generate a signing key
    Generate(KeygenArgs),
    Add(AddKeyArgs),
    Remove(RemoveKeyArgs),
    Rotate(RotateKeyArgs),
}

/// Add a public key to a role
///
/// The keys of root, targets, snapshot and timestamp are changed in the next root, those of an author in authors/NAME.toml.
/// Stage and sign the change afterwards.
#[derive(Debug, Args)]
pub struct AddKeyArgs {
    /// root, targets, snapshot, timestamp or author-NAME
    role: String,

    /// Public key: 64 hexadecimal digits
    #[arg(value_name = "[HOLDER=]KEY")]
    key: PublicKey,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Remove a public key from a role
#[derive(Debug, Args)]
pub struct RemoveKeyArgs {
    /// root, targets, snapshot, timestamp or author-NAME
    role: String,

    /// Public key, or its key id
    key: String,

    #[command(flatten)]
    change: ChangeArgs,
}

/// Replace a public key of a role
#[derive(Debug, Args)]
pub struct RotateKeyArgs {
    /// root, targets, snapshot, timestamp or author-NAME
    role: String,

    /// Public key to remove, or its key id
    old: String,

    /// Public key to add
    #[arg(value_name = "[HOLDER=]NEW")]
    new: PublicKey,

    #[command(flatten)]
    change: ChangeArgs,
}

#[derive(Debug, Args)]
struct ChangeArgs {
    /// How many keys of the role must sign from now on
    #[arg(long, value_name = "N")]
    threshold: Option<usize>,

    #[command(flatten)]
    folders: FolderArgs,
}

pub fn run(app: &App, command: &KeyCommand) -> Result<()> {
    match command {
        KeyCommand::Generate(args) => keygen::run(app, args),
        KeyCommand::Add(AddKeyArgs { role, key, change }) => apply(app, role, change, Some(key), None),
        KeyCommand::Remove(RemoveKeyArgs { role, key, change }) => apply(app, role, change, None, Some(key)),
        KeyCommand::Rotate(RotateKeyArgs { role, old, new, change }) => {
            apply(app, role, change, Some(new), Some(old))
        }
    }
}

fn apply(
    app: &App,
    role: &str,
    change: &ChangeArgs,
    add: Option<&PublicKey>,
    remove: Option<&str>,
) -> Result<()> {
    match role.parse() {
        Ok(RoleName::Author(author)) => author_keys(app, &author, change, add, remove),
        _ => root_keys(app, role.parse()?, change, add, remove),
    }
}

fn author_keys(
    app: &App,
    author: &AuthorId,
    change: &ChangeArgs,
    add: Option<&PublicKey>,
    remove: Option<&str>,
) -> Result<()> {
    let mut edit = Edit::open(change.folders.index())?;
    // In this order, because an author must keep one key.
    if let Some(key) = add {
        edit.add_key(author, &key.hex)?;
    }
    if let Some(key) = remove {
        edit.remove_key(author, key)?;
    }
    if let Some(threshold) = change.threshold {
        edit.set_threshold(author, threshold)?;
    }
    changed(app, &edit.write()?)
}

fn root_keys(
    app: &App,
    role: TopRole,
    change: &ChangeArgs,
    add: Option<&PublicKey>,
    remove: Option<&str>,
) -> Result<()> {
    let (_, pinned) = change.folders.read()?;
    let mut draft = RootDraft::next(change.folders.index(), change.folders.published(), pinned.as_deref())?;
    if let Some(key) = add {
        draft.add_key(role, key)?;
    }
    if let Some(key) = remove {
        draft.remove_key(role, key)?;
    }
    if let Some(threshold) = change.threshold {
        draft.set_threshold(role, threshold)?;
    }
    changed(app, &[draft.write(App::now())?])
}
