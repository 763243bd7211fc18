use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use kf_command::install;
use kf_core::Kind;
use kf_core::failure::{Context, Failure, Result};
use kf_core::{Digest, RegistryId};
use kf_registry::registries::{self, Pin};

use crate::app::App;

const FETCH_ROOT: Duration = Duration::from_secs(30);

/// Trust a registry, by its root
///
/// The root names the keys of everybody who may sign. It is pinned here, so get it, or its
/// digest, from somebody you trust and not from where the registry is served.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// What to call it here
    name: String,

    /// Where it is served: https://, http:// or file://; several are tried in turn
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,

    /// Its root metadata; the default registry's is in kf
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    root: Option<PathBuf>,

    /// The digest of its root metadata, which is then fetched
    #[arg(long, value_name = "SHA256", conflicts_with = "root")]
    root_sha256: Option<String>,
}

pub fn run(app: &App, args: &AddArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    // The default registry is, until it has another address.
    let was_set_up = app.registries()?.contains(&id);
    let urls: Vec<&str> = args.urls.iter().map(String::as_str).collect();
    let registry = match (&args.root, &args.root_sha256) {
        (Some(path), _) => {
            let root = fs_err::read(path).context(Kind::Usage, || "cannot read the root".to_owned())?;
            registries::add(&app.home, id, &urls, Pin::Root(&root), FETCH_ROOT)?
        }
        (None, Some(digest)) => {
            let digest = Digest::parse(digest)?;
            registries::add(&app.home, id, &urls, Pin::Sha256(digest), FETCH_ROOT)?
        }
        (None, None) => {
            let carried = kf_built_in::carried().registry().filter(|carried| carried.id == id.as_str());
            let Some(carried) = carried else {
                let urls = args.urls.join(" ");
                return Err(Failure::usage("a registry needs `--root` or `--root-sha256`")
                    .hint(format!("kf registry add {id} {urls} --root root.json")));
            };
            registries::add(&app.home, id, &urls, Pin::BuiltIn(carried), FETCH_ROOT)?
        }
    };
    // One that does not answer now stays set up; one that lies does not.
    match install::refresh(app.commands(), &registry.id, app.reporter().as_ref(), App::now()) {
        Ok(session) => {
            let offered = session.view().plugins.len();
            app.ui.data_line(&format!("Added registry {}, which offers {offered} commands", registry.id))?;
        }
        Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::TimedOut) => {
            app.ui.data_line(&format!("Added registry {}", registry.id))?;
            app.ui.warn(&format!("registry {} does not answer now", registry.id));
        }
        Err(error) => {
            match was_set_up {
                true => registries::forget(&app.home, &registry.id)?,
                false => registries::remove(&app.home, kf_built_in::carried(), &registry.id)?,
            }
            return Err(error);
        }
    }
    app.ui.note("`kf command list --available` shows what can be added");
    Ok(())
}
