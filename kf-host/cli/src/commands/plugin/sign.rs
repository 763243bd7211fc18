use std::collections::BTreeSet;
use std::path::PathBuf;

use clap::Args;
use kf_core::AuthorId;
use kf_core::failure::{Failure, Result};
use kf_registry::publish::{self, Artifacts, Published, RoleName, SigningKey, StageInput};
use kf_registry::source::Source;

use crate::app::App;
use crate::passphrase::PassphraseArgs;
use crate::publishing::{describe, gate};
use crate::root_file::read_root;

/// Sign new versions for a registry
///
/// Checks each version as the registry does, and writes a folder with the signed metadata and the files, which can be
/// handed in by pull request, mail or USB stick. Needs no network.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// Folders with a plugin.wasm and a plugin.toml
    #[arg(required = true, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    plugins: Vec<PathBuf>,

    /// Folder of the registry's index: registry.toml, authors/ and plugins/
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    index: PathBuf,

    /// Folder that the registry is published from, or a copy of it
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    published: PathBuf,

    /// Key to sign with, as `kf plugin keygen` writes it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    key: PathBuf,

    /// Folder to write; it must be empty or not exist
    #[arg(long, value_name = "DIR", value_hint = clap::ValueHint::DirPath)]
    out: PathBuf,

    /// First root, as users pinned it [default: root/1.root.json of the index]
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    root: Option<PathBuf>,

    #[command(flatten)]
    passphrase: PassphraseArgs,
}

pub fn run(app: &App, args: &SignArgs) -> Result<()> {
    let root = args.root.as_deref().map(read_root).transpose()?;
    let source = Source::read(&args.index)?;
    let key = args.passphrase.key(app, &args.key)?;
    let role = RoleName::Author(author(&source, &key)?);
    let staged = publish::stage(&StageInput {
        source: &args.index,
        artifacts: Some(Artifacts::Folders(&args.plugins)),
        published: &args.published,
        staging: &args.out,
        only: Some(&BTreeSet::from([role.clone()])),
        keys: None,
        pinned_root: root.as_deref(),
        now: App::now(),
        describe: &describe(app),
        gate: &gate,
    })?;
    if !staged.roles.contains(&role) {
        return Err(Failure::usage("nothing to sign: every version is already published"));
    }
    let review = publish::sign(&args.out, &role, &key).inspect_err(|_| {
        // Without the signature it is of no use.
        let _unsigned = fs_err::remove_dir_all(&args.out);
    })?;
    for Published { name, version, sha256, .. } in staged.plugins.iter().filter(|plugin| plugin.new) {
        app.ui.note(&format!("signed {name} {version} (sha256 {})", sha256.short()));
    }
    app.ui.data_line(&args.out.display().to_string())?;
    for signers in review.signers.iter().filter(|signers| !signers.enough()) {
        let missing = signers.threshold.saturating_sub(signers.signed.len());
        app.ui.note(&format!("{role} needs {missing} more signatures"));
    }
    if review.complete() {
        app.ui.note("hand in this folder; the registry's admins publish it");
    }
    Ok(())
}

/// The author whom the key belongs to.
fn author(source: &Source, key: &SigningKey) -> Result<AuthorId> {
    let public = key.public_hex();
    let owner = source.authors.values().find(|author| author.keys.contains(&public));
    owner.map(|author| author.id.clone()).ok_or_else(|| {
        Failure::untrusted(format!("no author in the index has the public key {public}"))
            .hint("add the key to `keys` in your authors/ID.toml, and have the admins sign the change")
    })
}
