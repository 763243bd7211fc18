use std::path::{Path, PathBuf};

use clap::Args;
use kf_command::publish::{describe, gate};
use kf_core::Kind;
use kf_core::failure::{Context, Result};
use kf_registry::publish::{self, BuildInput, KeyRing, Submission};
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

    /// Make the keys if there are none, for tests and first steps
    #[arg(long)]
    create_keys: bool,
}

pub fn run(app: &App, args: &BuildArgs) -> Result<()> {
    let keys = keys(args)?;
    let staged = tempfile::tempdir().context(Kind::Failed, || "cannot make a temporary folder".to_owned())?;
    stage(app, &args.artifacts, staged.path())?;
    let built = publish::build(&BuildInput {
        source: &args.index,
        artifacts: staged.path(),
        published: &args.out,
        keys: &keys,
        now: App::now(),
        gate: &|submission: &Submission<'_>| gate(submission, &RESERVED),
    })?;
    for plugin in built.plugins.iter().filter(|plugin| plugin.new) {
        app.ui.note(&format!("published {} {}", plugin.name, plugin.version));
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

/// Copies each command's files and adds its command tree.
fn stage(app: &App, artifacts: &Path, staged: &Path) -> Result<()> {
    let reading = || format!("cannot read the artifacts in {}", artifacts.display());
    for entry in fs_err::read_dir(artifacts).context(Kind::Usage, reading)? {
        let from = entry.context(Kind::Usage, reading)?.path();
        let Some(name) = from.file_name().and_then(|name| name.to_str()).filter(|_| from.is_dir()) else {
            continue;
        };
        let to = staged.join(name);
        fs_err::create_dir(&to)?;
        fs_err::copy(from.join("plugin.toml"), to.join("plugin.toml"))?;
        let wasm = fs_err::read(from.join("plugin.wasm"))?;
        fs_err::write(to.join("command.json"), describe(name, &wasm, app.reporter().as_ref())?)?;
        fs_err::write(to.join("plugin.wasm"), wasm)?;
    }
    Ok(())
}
