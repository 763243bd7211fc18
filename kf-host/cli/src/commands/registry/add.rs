use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kf_command::install;
use kf_core::Kind;
use kf_core::failure::{Failure, Result};
use kf_core::{Digest, RegistryId};
use kf_registry::registries::{self, Pin};

use super::read_root;
use crate::app::App;

const FETCH_ROOT: Duration = Duration::from_secs(30);

/// Add a registry and pin its root
///
/// The root lists the keys that sign for the registry. Get it, or its digest, from a source that you
/// trust, not from the registry's own address.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Name of the registry on this machine
    name: String,

    /// Address: https://, http:// or file://; several are tried in order
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,

    /// Root metadata; not needed for the default registry
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    root: Option<PathBuf>,

    /// Digest of the root metadata, which is then fetched
    #[arg(long, value_name = "SHA256", conflicts_with = "root")]
    root_sha256: Option<String>,
}

pub fn run(app: &App, args: &AddArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    // The default registry counts as set up.
    let was_set_up = app.registries()?.contains(&id);
    let urls: Vec<&str> = args.urls.iter().map(String::as_str).collect();
    let registry = match (&args.root, &args.root_sha256) {
        (Some(path), _) => {
            let root = read_root(path)?;
            registries::add(&app.home, id, &urls, Pin::Root(&root), FETCH_ROOT)?
        }
        (None, Some(digest)) => {
            let digest = Digest::parse(digest)?;
            registries::add(&app.home, id, &urls, Pin::Sha256(digest), FETCH_ROOT)?
        }
        (None, None) => {
            let default = kf_built_in::built_ins().registry().filter(|default| default.id == id.as_str());
            let Some(default) = default else {
                let urls = args.urls.join(" ");
                return Err(Failure::usage("either `--root` or `--root-sha256` is required")
                    .hint(format!("kf registry add {id} {urls} --root root.json")));
            };
            registries::add(&app.home, id, &urls, Pin::BuiltIn(default), FETCH_ROOT)?
        }
    };
    // An unreachable registry stays set up; an invalid one does not.
    match install::refresh(app.commands(), &registry.id, app.reporter().as_ref(), App::now()) {
        Ok(session) => {
            let offered = session.view().plugins.len();
            let s = if offered == 1 { "" } else { "s" };
            app.ui.data_line(&format!("Added registry {} ({offered} command{s})", registry.id))?;
        }
        Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::TimedOut) => {
            app.ui.data_line(&format!("Added registry {}", registry.id))?;
            app.ui.warn(&format!("registry {} is not reachable", registry.id));
        }
        Err(error) => {
            match was_set_up {
                true => registries::reset(&app.home, &registry.id)?,
                false => registries::remove(&app.home, kf_built_in::built_ins(), &registry.id)?,
            }
            return Err(error);
        }
    }
    app.ui.note("`kf command list --available` shows what can be added");
    Ok(())
}
