use std::path::PathBuf;

use clap::Args;
use kf_command::publish::{describe, gate};
use kf_core::Kind;
use kf_core::PluginName;
use kf_core::failure::{Context as _, Result};
use kf_registry::publish::{self, BuildInput, KeyRing, Published, Submission};
use kf_registry::source::Source;

use crate::app::App;
use crate::args::RESERVED;

/// Build and sign a registry from its reviewed text
///
/// Takes each component through the same checks that every user's kf makes, asks it for its
/// command tree, and writes plain files that any web server can serve.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The reviewed text: registry.toml, authors/ and plugins/
    #[arg(value_name = "INDEX")]
    index: PathBuf,

    /// A folder for each command, with plugin.wasm and plugin.toml
    #[arg(long, value_name = "DIR")]
    artifacts: PathBuf,

    /// Where the registry goes; what is there is added to
    #[arg(long, value_name = "DIR")]
    out: PathBuf,

    /// The keys to sign with
    #[arg(long, value_name = "DIR")]
    keys: PathBuf,

    /// Its first root, as users trust it, if neither the keys nor the reviewed text vouch for it
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    root: Option<PathBuf>,

    /// Make the keys if there are none, for tests and first steps
    #[arg(long)]
    create_keys: bool,
}

pub fn run(app: &App, args: &BuildArgs) -> Result<()> {
    let root = args.root.as_ref().map(fs_err::read).transpose();
    let root = root.context(Kind::Usage, || "cannot read the root".to_owned())?;
    let built = publish::build(&BuildInput {
        source: &args.index,
        artifacts: &args.artifacts,
        published: &args.out,
        keys: &keys(args)?,
        pinned_root: root.as_deref(),
        now: App::now(),
        describe: &|name: &PluginName, wasm: &[u8]| describe(name, wasm, app.reporter().as_ref()),
        gate: &|submission: &Submission<'_>| gate(submission, &RESERVED),
    })?;
    for Published { name, version, sha256, new } in &built.signed {
        let done = if *new { "published" } else { "signed again" };
        app.ui.note(&format!("{done} {name} {version} (sha256 {})", sha256.short()));
    }
    app.ui.data_line(&built.root.display().to_string())?;
    app.ui.note(&format!("root sha256 {}", built.root_sha256));
    Ok(())
}

fn keys(args: &BuildArgs) -> Result<KeyRing> {
    if args.keys.exists() || !args.create_keys {
        return Ok(KeyRing::load(&args.keys)?);
    }
    let keys = KeyRing::generate(Source::read(&args.index)?.authors.keys())?;
    keys.save(&args.keys)?;
    Ok(keys)
}
