use std::path::{Path, PathBuf};

use clap::{Args, ValueHint};
use clap_complete::ArgValueCompleter;
use kf_command::install;
use kf_command::reporter::Reporter as _;
use kf_core::Kind;
use kf_core::RegistryId;
use kf_core::failure::{Context as _, Failure, Result};
use kf_core::text::counted;
use kf_core::tree::CommandTree;
use kf_registry::index::Resolved;
use kf_registry::registries::{self, Registry};
use kf_registry::transport::Url;
use kf_registry::trust::{self, Options, Session};
use kf_site::{Folder, Pin, Site};

use crate::added::help;
use crate::app::App;
use crate::args::RESERVED;
use crate::candidates::known;
use crate::root_file::read_root;

/// Write a static site with a registry's commands, their rights and versions
///
/// Everything in it was verified as for `kf command add`. Any web server can serve the folder.
#[derive(Debug, Args)]
pub struct SiteArgs {
    /// Folder to write the site to; replaces an existing site
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    out: PathBuf,

    /// Registry to describe; can be omitted if only one is set up
    #[arg(long, value_name = "NAME", add = ArgValueCompleter::new(known::registries))]
    registry: Option<String>,

    /// Folder or URL of a published registry that need not be set up
    #[arg(long, value_name = "DIR|URL", requires = "root", conflicts_with = "registry", value_hint = ValueHint::DirPath)]
    published: Option<String>,

    /// Root of that registry, as its users pin it
    #[arg(long, value_name = "FILE", requires = "published", value_hint = ValueHint::FilePath)]
    root: Option<PathBuf>,

    /// Address for users to add; needed if the registry is read from a folder
    #[arg(long, value_name = "URL")]
    url: Option<String>,
}

pub fn run(app: &App, args: &SiteArgs) -> Result<()> {
    // A URL that is shown to users must be one that they can add.
    args.url.as_deref().map(Url::parse).transpose()?;
    Folder::check(&args.out)?;
    let (registry, session) = verified(app, args)?;
    let folder = Folder::create(&args.out)?;
    let address = registry.urls.iter().map(ToString::to_string).find(|url| !url.starts_with("file:"));
    let url = args.url.clone().or(address);
    let step = app.ui.begin("writing the site");
    let site = Site {
        view: session.view(),
        roles: &session.roles(),
        pin: Pin { sha256: registry.root_digest(), version: registry.root_version()? },
        url: url.as_deref(),
        describe: &|resolved: &Resolved| {
            step.set(&format!("writing the site: {}", resolved.name), 0);
            Ok(session.describe(resolved)?)
        },
        help: &|name, tree: &CommandTree| help::of(name, tree),
        reserved: &RESERVED,
    };
    site.write(|path, bytes| folder.write(path, bytes))?;
    folder.finish()?;
    drop(step);
    let commands = counted(session.view().plugins.len(), "command");
    app.ui.note(&format!("wrote {commands} of registry {}", session.view().published_as));
    if url.is_none() {
        app.ui.warn("the site does not name the registry's address: pass it with --url");
    }
    Ok(app.ui.data_line(&args.out.display().to_string())?)
}

/// The registry, verified now.
fn verified(app: &App, args: &SiteArgs) -> Result<(Registry, Session)> {
    if let (Some(published), Some(root)) = (&args.published, &args.root) {
        let id = RegistryId::parse("published")?;
        let registry = Registry::new(id, vec![location(published)?], read_root(root)?)?;
        let session = trust::verify(&registry, &Options::at(App::now()))?;
        return Ok((registry, session));
    }
    let id = match &args.registry {
        Some(name) => RegistryId::parse(name)?,
        None => only(app)?,
    };
    let registry = registries::load(&app.home, kf_built_in::built_ins(), &id)?;
    let mut session = install::refresh(app.commands(), &id, app.reporter().as_ref(), App::now())?;
    session.load_all()?;
    Ok((registry, session))
}

fn location(published: &str) -> Result<Url> {
    if published.contains("://") {
        return Ok(Url::parse(published)?);
    }
    let cannot = || format!("cannot read the registry in {published}");
    let folder = fs_err::canonicalize(Path::new(published)).context(Kind::Usage, cannot)?;
    Ok(Url::parse(&format!("file://{}", folder.display()))?)
}

/// The only registry that is set up.
fn only(app: &App) -> Result<RegistryId> {
    match app.registries()?.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failure::not_found("no registry configured").hint(install::ADD_REGISTRY)),
        [first, ..] => Err(Failure::usage("several registries are set up: name one with `--registry`")
            .hint(format!("kf registry site --out DIR --registry {first}"))),
    }
}
