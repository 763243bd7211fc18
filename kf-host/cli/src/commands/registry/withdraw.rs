//! `yank`, `unyank`, `block` and `unblock`: what users must not get, or must not run, any more.

use clap::Args;
use kf_core::failure::{Failure, Result};
use kf_core::{Digest, PluginName};
use kf_registry::index::{Request, Want};
use kf_registry::publish::verify::versions;
use kf_registry::source::edit::Edit;
use semver::Version;

use super::changed;
use super::folders::{FolderArgs, IndexArgs};
use crate::app::App;

/// Stop offering a version
///
/// Users who have it keep it, and are told. Stage, sign and publish the change afterwards.
#[derive(Debug, Args)]
pub struct YankArgs {
    /// Version to yank
    #[arg(value_name = "NAME@VERSION")]
    version: String,

    /// Why, in one line that users see
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,

    #[command(flatten)]
    folders: FolderArgs,
}

/// Offer a yanked version again
#[derive(Debug, Args)]
pub struct UnyankArgs {
    /// Version that was yanked
    #[arg(value_name = "NAME@VERSION")]
    version: String,

    #[command(flatten)]
    index: IndexArgs,
}

/// Stop a version from running
///
/// It does not start any more on any machine that has refreshed since. Stage, sign and publish the change afterwards.
#[derive(Debug, Args)]
pub struct BlockArgs {
    /// Version to block
    #[arg(value_name = "NAME@VERSION")]
    version: String,

    /// Why, in one line that users see
    #[arg(long, value_name = "TEXT")]
    reason: String,

    #[command(flatten)]
    folders: FolderArgs,
}

/// Let a blocked version run again
#[derive(Debug, Args)]
pub struct UnblockArgs {
    /// Version that was blocked
    #[arg(value_name = "NAME@VERSION")]
    version: String,

    #[command(flatten)]
    folders: FolderArgs,
}

pub fn yank(app: &App, args: &YankArgs) -> Result<()> {
    let (name, version) = parse(&args.version)?;
    let mut edit = Edit::open(args.folders.index())?;
    component(&edit, &args.folders, &name, &version)?;
    edit.yank(&name, &version, args.reason.as_deref())?;
    changed(app, &edit.write()?)
}

pub fn unyank(app: &App, args: &UnyankArgs) -> Result<()> {
    let (name, version) = parse(&args.version)?;
    let mut edit = Edit::open(&args.index.index)?;
    edit.unyank(&name, &version)?;
    changed(app, &edit.write()?)
}

pub fn block(app: &App, args: &BlockArgs) -> Result<()> {
    let (name, version) = parse(&args.version)?;
    let mut edit = Edit::open(args.folders.index())?;
    let sha256 = component(&edit, &args.folders, &name, &version)?;
    edit.block(&name, sha256, &args.reason)?;
    changed(app, &edit.write()?)
}

pub fn unblock(app: &App, args: &UnblockArgs) -> Result<()> {
    let (name, version) = parse(&args.version)?;
    let mut edit = Edit::open(args.folders.index())?;
    let sha256 = component(&edit, &args.folders, &name, &version)?;
    edit.unblock(&name, sha256)?;
    changed(app, &edit.write()?)
}

/// Parses `train@1.4.0`.
fn parse(text: &str) -> Result<(PluginName, Version)> {
    match Request::parse(text)? {
        Request { registry: None, name, want: Want::Exact(version) } => Ok((name, version)),
        _ => Err(Failure::usage(format!(
            "invalid version {text:?}: expected NAME@VERSION, such as train@1.4.0"
        ))),
    }
}

/// The digest of a published component.
fn component(edit: &Edit, folders: &FolderArgs, name: &PluginName, version: &Version) -> Result<Digest> {
    let pinned = folders.published.pinned_root(edit.source())?;
    let found = versions(folders.published(), pinned.as_deref(), name)?;
    found.get(version).copied().ok_or_else(|| {
        let all: Vec<String> = found.keys().map(Version::to_string).collect();
        let known =
            if all.is_empty() { "none is".to_owned() } else { format!("published: {}", all.join(", ")) };
        Failure::not_found(format!("{name} {version} is not published")).hint(known)
    })
}
