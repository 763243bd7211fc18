//! Taking commands to a machine without a network, in a folder.
//!
//! The folder is a partial [copy](kf_registry::mirror) of a registry. The other machine must have the registry set up, with
//! its root; from there the folder is verified as the registry itself, including expiry and that no state goes back. So it
//! can be carried by anyone, and adding from it needs the same consent.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use jiff::Timestamp;
use kf_core::abi::is_supported;
use kf_core::{Failure, Kind, PluginName, RegistryId, shell};
use kf_registry::index::{Listed, Release, Request, Want};
use kf_registry::mirror::{self, Choice, Copied};
use kf_registry::registries::{self, Registry};
use kf_registry::store::Store;
use kf_registry::transport::Url;
use kf_registry::trust::Session;
use semver::{Version, VersionReq};

use crate::hints;
use crate::install::{self, ADD_REGISTRY};
use crate::installed::Commands;
use crate::reporter::Reporter;

/// What was exported.
#[derive(Debug)]
pub struct Exported {
    pub copied: Copied,
    /// Why the registry could not be refreshed. The state is then that of the last refresh.
    pub stale: Option<Failure>,
}

/// Exports the requested commands, or all that are installed from the registry, into the folder `to`.
///
/// An installed command is exported in its version, and another one in the newest. If the registry is not reachable, its
/// last state and the stored files are used.
///
/// # Errors
///
/// The folder is not empty; the commands are from several registries, or from none; a release is blocked, or its registry no
/// longer signs it; the last state is expired.
pub fn export(
    commands: Commands<'_>,
    registry: Option<&RegistryId>,
    requests: &[Request],
    to: &Path,
    reporter: &dyn Reporter,
    now: Timestamp,
) -> Result<Exported, Failure> {
    let installed = installed(commands)?;
    let id = registry_of(commands, registry, requests, &installed)?;
    let (mut session, stale) = match install::refresh(commands, &id, reporter, now) {
        Ok(session) => (session, None),
        Err(error) if matches!(error.kind(), Kind::Unreachable | Kind::TimedOut) => {
            (install::cached(commands, &id, now)?, Some(error))
        }
        Err(error) => return Err(error),
    };
    let mut releases: BTreeMap<PluginName, BTreeSet<Version>> = BTreeMap::new();
    for (name, version) in chosen(&mut session, requests, &installed)? {
        releases.entry(name).or_default().insert(version);
    }
    if releases.is_empty() {
        return Err(Failure::not_found(format!("no command from registry {id} is installed"))
            .hint("`kf command list --available` shows what can be exported"));
    }
    let store = Store::open(commands.home)?;
    let copied = mirror::copy_new(&mut session, Choice::Releases(&releases), Some(&store), to)?;
    Ok(Exported { copied, stale })
}

/// An installed command from a registry.
struct FromRegistry {
    registry: RegistryId,
    version: Version,
    parts: kf_registry::parts::Parts,
}

fn installed(commands: Commands<'_>) -> Result<BTreeMap<PluginName, FromRegistry>, Failure> {
    let mut found = BTreeMap::new();
    for (name, named) in commands.list()? {
        // One that cannot be read is exported only by its name, and then in the newest version.
        let Ok(Some(receipt)) = named.map(|named| named.answers) else { continue };
        if let Some(registry) = receipt.origin.registry().cloned() {
            found.insert(name, FromRegistry { registry, version: receipt.version, parts: receipt.parts });
        }
    }
    Ok(found)
}

/// The registry of all requests.
fn registry_of(
    commands: Commands<'_>,
    registry: Option<&RegistryId>,
    requests: &[Request],
    installed: &BTreeMap<PluginName, FromRegistry>,
) -> Result<RegistryId, Failure> {
    let mut ids: BTreeSet<RegistryId> = registry.cloned().into_iter().collect();
    ids.extend(requests.iter().filter_map(|request| request.registry.clone()));
    if ids.is_empty() {
        let is_wanted =
            |name: &PluginName| requests.is_empty() || requests.iter().any(|request| request.name == *name);
        let wanted = installed.iter().filter(|(name, _)| is_wanted(name));
        ids.extend(wanted.map(|(_, from)| from.registry.clone()));
    }
    if ids.is_empty() {
        ids.extend(registries::list(commands.home, commands.built_in)?);
    }
    let all: Vec<&str> = ids.iter().map(RegistryId::as_str).collect();
    match ids.first() {
        None => Err(Failure::not_found("no registry configured").hint(ADD_REGISTRY)),
        Some(one) if all.len() == 1 => Ok(one.clone()),
        Some(_) => Err(Failure::usage(format!(
            "an export is of one registry, and the commands are from several: {}",
            all.join(", ")
        ))
        .hint("name one with --registry")),
    }
}

/// The releases to export.
fn chosen(
    session: &mut Session,
    requests: &[Request],
    installed: &BTreeMap<PluginName, FromRegistry>,
) -> Result<Vec<(PluginName, Version)>, Failure> {
    let registry = session.view().registry.clone();
    let here = |from: &&FromRegistry| from.registry == registry;
    if requests.is_empty() {
        let all = installed.iter().filter(|(_, from)| here(from));
        return all.map(|(name, from)| as_installed(session, name, from)).collect();
    }
    let choose = |Request { name, want, .. }: &Request| match installed.get(name).filter(here) {
        Some(from) if want.matches(&from.version) => as_installed(session, name, from),
        _ => {
            let resolved = session.resolve(name, want, &is_supported)?;
            Ok((resolved.name, resolved.version))
        }
    };
    requests.iter().map(choose).collect()
}

/// The installed release, if the registry still signs it.
fn as_installed(
    session: &mut Session,
    name: &PluginName,
    from: &FromRegistry,
) -> Result<(PluginName, Version), Failure> {
    let release = session.plugin(name)?.and_then(|listed| listed.releases.get(&from.version));
    if release.is_some_and(|release| release.parts == from.parts) {
        return Ok((name.clone(), from.version.clone()));
    }
    let message = format!("registry {} no longer signs the installed {name} {}", from.registry, from.version);
    Err(Failure::untrusted(message).hint(format!("kf command upgrade {name}")))
}

/// Verifies an export and stores its state, as a refresh does.
///
/// # Errors
///
/// No registry of this machine has its root, or several have; it is expired, older than the last refresh, or invalid.
pub fn open(
    commands: Commands<'_>,
    registry: Option<&RegistryId>,
    folder: &Path,
    reporter: &dyn Reporter,
    now: Timestamp,
) -> Result<Session, Failure> {
    let folder = &std::path::absolute(folder)?;
    let found = match registry {
        Some(id) => registry_with(commands, folder, std::slice::from_ref(id))?,
        None => registry_with(commands, folder, &registries::list(commands.home, commands.built_in)?)?,
    };
    let carried = Registry { urls: vec![Url::removable(folder)], ..found };
    install::refresh_from(commands, &carried, reporter, now).map_err(|error| {
        match error.kind() == Kind::Untrusted && error.first_hint().is_none() {
            true => error.hint("export again, from a machine where the registry is up to date"),
            false => error,
        }
    })
}

/// The one of these registries that the folder is a copy of.
fn registry_with(commands: Commands<'_>, folder: &Path, ids: &[RegistryId]) -> Result<Registry, Failure> {
    if !folder.join("metadata").is_dir() {
        return Err(Failure::usage(format!("{} is not an export: it has no metadata", folder.display()))
            .hint("make one with `kf command export DIR`"));
    }
    let mut found = Vec::new();
    for id in ids {
        let registry = match registries::load(commands.home, commands.built_in, id) {
            Ok(registry) => registry,
            Err(error) if ids.len() == 1 => return Err(error.into()),
            // Another registry may be the right one.
            Err(_) => continue,
        };
        if mirror::is_copy_of(folder, &registry)? {
            found.push(registry);
        }
    }
    let names: Vec<&str> = found.iter().map(|registry| registry.id.as_str()).collect();
    let several = names.join(", ");
    match (found.pop(), found.is_empty()) {
        (Some(one), true) => Ok(one),
        (Some(_), false) => Err(Failure::usage(format!(
            "several registries have the root of {}: {several}",
            folder.display()
        ))
        .hint("name one with --registry")),
        (None, _) => {
            let what = match ids {
                [one] => format!("it has another root than registry {one}"),
                _ => "no registry on this machine has its root".to_owned(),
            };
            let url = format!("file://{}", folder.display());
            Err(Failure::untrusted(format!("cannot verify {}: {what}", folder.display()))
                .hint(format!("kf registry add NAME {} --root root.json", shell::word(&url))))
        }
    }
}

/// What to do with a command in an export.
#[derive(Clone, Debug)]
pub enum Found {
    /// Add exactly this release.
    Add(Request),
    /// The reason to skip it.
    Skip(String),
}

/// The requested commands in an export, or all. Of each, the newest release in the folder.
///
/// # Errors
///
/// A requested command is not in the export, or blocked; or nothing is in it.
pub fn find(
    commands: Commands<'_>,
    session: &mut Session,
    folder: &Path,
    requests: &[Request],
) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    if requests.is_empty() {
        session.load_all()?;
        for (name, listed) in &session.view().plugins {
            let any = Want::Newest(VersionReq::STAR);
            let has_any = listed.releases.values().any(|release| mirror::has_release(folder, name, release));
            match newest(folder, name, listed, &any) {
                Some(release) => found.push(to_add(commands, session, name, &any, release)?),
                None if has_any => found.push(Found::Skip(format!(
                    "skipped {name}: its versions in {} are yanked, blocked or need another kf",
                    folder.display()
                ))),
                None => {}
            }
        }
        if found.is_empty() {
            return Err(Failure::not_found(format!("no command is in the export {}", folder.display())));
        }
        return Ok(found);
    }
    for Request { registry, name, want } in requests {
        let here = &session.view().registry;
        if let Some(registry) = registry.as_ref().filter(|registry| *registry != here) {
            let what = format!("{} is an export of registry {here}", folder.display());
            return Err(Failure::usage(format!("{what}, not of {registry}")));
        }
        let release = session.plugin(name)?.and_then(|listed| newest(folder, name, listed, want)).cloned();
        match release {
            Some(release) => found.push(to_add(commands, session, name, want, &release)?),
            None => {
                // Unknown, blocked, or for another kf.
                let resolved = session.resolve(name, want, &is_supported)?;
                let what = format!("{name} {} is not in the export {}", resolved.version, folder.display());
                return Err(Failure::not_found(what).hint(format!(
                    "where the registry is reachable: kf command export DIR {}",
                    hints::release(&resolved)
                )));
            }
        }
    }
    Ok(found)
}

/// The newest release in the folder that can be added.
fn newest<'l>(folder: &Path, name: &PluginName, listed: &'l Listed, want: &Want) -> Option<&'l Release> {
    let is_wanted = |release: &&Release| match want {
        Want::Exact(version) => release.version == *version,
        Want::Newest(req) => req.matches(&release.version) && release.yanked.is_none(),
    };
    let mut releases = listed.releases.values().rev().filter(is_wanted);
    releases.find(|release| {
        release.blocked.is_none() && is_supported(&release.abi) && mirror::has_release(folder, name, release)
    })
}

fn to_add(
    commands: Commands<'_>,
    session: &Session,
    name: &PluginName,
    want: &Want,
    release: &Release,
) -> Result<Found, Failure> {
    let version = release.version.clone();
    let old = commands.named(name)?.answers;
    // Only a request that names a version downgrades.
    if let Some(old) = old.filter(|old| old.version > version && *want == Want::Newest(VersionReq::STAR)) {
        return Ok(Found::Skip(format!("skipped {name} {version}: {} is installed", old.version)));
    }
    let registry = Some(session.view().registry.clone());
    Ok(Found::Add(Request { registry, name: name.clone(), want: Want::Exact(version) }))
}
