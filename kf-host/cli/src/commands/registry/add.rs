use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use kf_command::install;
use kf_core::Kind;
use kf_core::failure::{Failure, Result};
use kf_core::text::counted;
use kf_core::{Digest, RegistryId, shell};
use kf_home::files;
use kf_registry::access::{MAX_CERTIFICATES_BYTES, token_variable};
use kf_registry::registries::{self, Pin};

use crate::app::App;
use crate::root_file::read_root;

const FETCH_ROOT: Duration = Duration::from_secs(30);

/// Add a registry and pin its root
///
/// The root lists the keys that sign for the registry. Get it, or its digest, from a source that you
/// trust, not from the registry's own address.
#[derive(Debug, Args)]
pub struct AddArgs {
    /// Name of the registry on this machine
    name: String,

    /// Address: https://, http:// or file://; of several, the one with the newest state is used
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,

    /// Root metadata; not needed for the default registry
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    root: Option<PathBuf>,

    /// Digest of the root metadata, which is then fetched
    #[arg(long, value_name = "SHA256", conflicts_with = "root")]
    root_sha256: Option<String>,

    /// Certificates in PEM format to trust for its addresses, instead of the system's
    #[arg(long, value_name = "FILE", value_hint = clap::ValueHint::FilePath)]
    ca_file: Option<PathBuf>,
}

pub fn run(app: &App, args: &AddArgs) -> Result<()> {
    let id = RegistryId::parse(&args.name)?;
    // The default registry counts as set up.
    let was_set_up = app.registries()?.contains(&id);
    let urls: Vec<&str> = args.urls.iter().map(String::as_str).collect();
    let root = args.root.as_deref().map(read_root).transpose()?;
    let pin = match (&root, &args.root_sha256) {
        (Some(root), _) => Pin::Root(root),
        (None, Some(digest)) => Pin::Sha256(Digest::parse(digest)?),
        (None, None) => {
            let default = kf_built_in::built_ins().registry().filter(|default| default.id == id.as_str());
            let Some(default) = default else {
                return Err(Failure::usage("either `--root` or `--root-sha256` is required")
                    .hint(with_root(&id, args)));
            };
            Pin::BuiltIn(default)
        }
    };
    let certificates = args.ca_file.as_deref().map(read_certificates).transpose()?;
    let certificates = certificates.as_deref();
    let variable = token_variable(&id);
    let registry = registries::add_with_certificates(&app.home, id, &urls, pin, certificates, FETCH_ROOT)
        .map_err(|error| match error.kind() {
            // A login needs a registry that is set up.
            Kind::Unauthenticated => Failure::new(error.kind(), error.to_string())
                .hint(format!("set {variable} to a token, or use `--root`")),
            _ => error.into(),
        })?;
    // An unreachable registry stays set up, and so does one that needs a login first; an invalid one does not.
    match install::refresh(app.commands(), &registry.id, app.reporter().as_ref(), App::now()) {
        Ok(session) => {
            let offered = counted(session.offered(), "command");
            app.ui.data_line(&format!("Added registry {} ({offered})", registry.id))?;
        }
        Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::TimedOut) => {
            app.ui.data_line(&format!("Added registry {}", registry.id))?;
            app.ui.warn(&format!("registry {} is not reachable", registry.id));
        }
        Err(error) if error.kind() == Kind::Unauthenticated => {
            app.ui.data_line(&format!("Added registry {}", registry.id))?;
            app.ui.warn(error.message());
            app.ui.note(&format!("hint: kf registry login {}", registry.id));
            return Ok(());
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

/// The command line with a root.
fn with_root(id: &RegistryId, args: &AddArgs) -> String {
    let mut line = format!("kf registry add {id}");
    args.urls.iter().for_each(|url| line.push_str(&format!(" {}", shell::word(url))));
    line.push_str(" --root root.json");
    if let Some(file) = &args.ca_file {
        line.push_str(&format!(" --ca-file {}", shell::path(file)));
    }
    line
}

fn read_certificates(path: &Path) -> Result<Vec<u8>> {
    let read = files::read_bounded(path, MAX_CERTIFICATES_BYTES)?;
    read.ok_or_else(|| {
        Failure::usage(format!("cannot read the certificates: {} does not exist", path.display()))
    })
}
