use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use kf_core::failure::{Failure, Result};
use kf_core::shell;
use kf_registry::publish::{self, Artifacts, RoleName, StageInput};
use kf_registry::source::Source;

use super::folders::FolderArgs;
use crate::app::App;
use crate::publishing::{describe, gate};

/// Collect what has to be signed
///
/// Compares the index with the published registry and writes a folder with every role that has to be signed, because it
/// changed or because more than half of its lifetime has passed. Needs no key and no network.
#[derive(Debug, Args)]
pub struct StageArgs {
    /// Folder to write; it must be empty or not exist
    #[arg(value_name = "STAGING", value_hint = clap::ValueHint::DirPath)]
    staging: PathBuf,

    #[command(flatten)]
    folders: FolderArgs,

    /// Folder with a subfolder for each command, with its plugin.wasm and plugin.toml
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    artifacts: Option<PathBuf>,

    /// Stage only these roles: root, targets or author-NAME
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<RoleName>,
}

pub fn run(app: &App, args: &StageArgs) -> Result<()> {
    let (source, pinned) = args.folders.read()?;
    let only: BTreeSet<RoleName> = match (args.roles.is_empty(), &args.artifacts) {
        (false, _) => args.roles.iter().cloned().collect(),
        (true, Some(_)) => [RoleName::Root, RoleName::Targets].into_iter().chain(authors(&source)).collect(),
        // Without artifacts, an author's role would only be renewed, which is up to the author.
        (true, None) => BTreeSet::from([RoleName::Root, RoleName::Targets]),
    };
    let staged = publish::stage(&StageInput {
        source: args.folders.index(),
        artifacts: args.artifacts.as_deref().map(Artifacts::Below),
        published: args.folders.published(),
        staging: &args.staging,
        only: Some(&only),
        keys: None,
        pinned_root: pinned.as_deref(),
        now: App::now(),
        describe: &describe(app),
        gate: &gate,
    })?;
    if staged.roles.is_empty() {
        let _empty = fs_err::remove_dir_all(&args.staging);
        return Err(Failure::usage("nothing to sign: the published registry is up to date"));
    }
    for role in &staged.roles {
        app.ui.data_line(&role.to_string())?;
    }
    let (staging, folders) = (shell::path(&args.staging), args.folders.words());
    app.ui.note(&format!("next: `kf registry sign {staging}{folders}`"));
    Ok(())
}

fn authors(source: &Source) -> impl Iterator<Item = RoleName> {
    source.authors.keys().cloned().map(RoleName::Author)
}
