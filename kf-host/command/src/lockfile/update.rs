//! Pinning what is installed, or what a registry offers.

use std::collections::{BTreeMap, BTreeSet};

use kf_core::tree::PathArguments;
use kf_core::{Failure, Kind, PluginName};
use kf_registry::index::{Request, Resolved, Want};
use kf_registry::receipt::Receipt;
use kf_registry::registries;
use kf_registry::yank::Yanked;
use semver::VersionReq;

use super::install::{check_root, not_pinned};
use super::{Entry, Found, Lockfile, PinnedRegistry};
use crate::install::Installer;
use crate::installed::Commands;

/// A changed entry.
#[derive(Clone, Debug)]
pub struct Update {
    pub name: PluginName,
    pub old: Option<Entry>,
    pub new: Entry,
    pub yanked: Option<Yanked>,
}

/// Pins the requested commands: as they are installed or, if they are not or with `upgrade`, in the newest version
/// that the registry offers. Without requests these are the commands that are pinned already or, if there are none, all
/// that are installed from a registry. Returns the changes.
///
/// # Errors
///
/// A command is not from a registry, or blocked, or cannot be resolved; or its registry has another root than is pinned.
/// `found` is then incomplete.
pub fn update(
    installer: &mut Installer<'_>,
    commands: Commands<'_>,
    found: &mut Found,
    requests: &[Request],
    upgrade: bool,
) -> Result<Vec<Update>, Failure> {
    let mut updates = Vec::new();
    let defaults = if requests.is_empty() { default_requests(commands, &found.lock)? } else { Vec::new() };
    for request in requests.iter().chain(&defaults) {
        let name = &request.name;
        let old = found.lock.commands.get(name).cloned();
        let pinned = pin(installer, commands, old.as_ref(), request, upgrade).map_err(|error| {
            let is_offered = !matches!(error.kind(), Kind::NotFound | Kind::Untrusted);
            match is_offered || old.is_none() || !requests.is_empty() {
                true => error,
                false => error.hint(found.hint(&format!("kf command lock --remove {name}"))),
            }
        })?;
        let Some((new, yanked)) = pinned else { continue };
        match found.lock.registries.get(&new.registry) {
            Some(pinned) => check_root(commands, &new.registry, pinned, &found.path)?,
            None => {
                let registry = registries::load(commands.home, commands.built_in, &new.registry)?;
                let root_sha256 = registry.root_digest();
                found.lock.registries.insert(new.registry.clone(), PinnedRegistry { root_sha256 });
            }
        }
        found.lock.commands.insert(name.clone(), new.clone());
        if old.as_ref() != Some(&new) {
            updates.push(Update { name: name.clone(), old, new, yanked });
        }
    }
    found.lock.prune();
    Ok(updates)
}

/// Removes pinned commands, and the registries that no other command is from. Returns what was pinned.
///
/// # Errors
///
/// A command is not pinned. Nothing is then removed.
pub fn remove(
    found: &mut Found,
    names: &BTreeSet<PluginName>,
) -> Result<BTreeMap<PluginName, Entry>, Failure> {
    if let Some(unknown) = names.iter().find(|name| !found.lock.commands.contains_key(name)) {
        return Err(not_pinned(unknown, &found.path).hint(found.hint("kf command lock --check")));
    }
    let removed = found.lock.commands.extract_if(.., |name, _| names.contains(name)).collect();
    found.lock.prune();
    Ok(removed)
}

fn default_requests(commands: Commands<'_>, lock: &Lockfile) -> Result<Vec<Request>, Failure> {
    let any = |registry, name: &PluginName| Request {
        registry: Some(registry),
        name: name.clone(),
        want: Want::Newest(VersionReq::STAR),
    };
    if !lock.commands.is_empty() {
        return Ok(lock.commands.iter().map(|(name, entry)| any(entry.registry.clone(), name)).collect());
    }
    let mut found = Vec::new();
    for (name, named) in commands.list()? {
        let registry = named?.answers.and_then(|receipt| receipt.origin.registry().cloned());
        found.extend(registry.map(|registry| any(registry, &name)));
    }
    if found.is_empty() {
        return Err(Failure::not_found("no command from a registry is installed")
            .hint("`kf command list --available` shows what can be locked"));
    }
    Ok(found)
}

/// The new entry, and whether it is yanked. None if the old one stays.
fn pin(
    installer: &mut Installer<'_>,
    commands: Commands<'_>,
    old: Option<&Entry>,
    request: &Request,
    upgrade: bool,
) -> Result<Option<(Entry, Option<Yanked>)>, Failure> {
    let installed = commands.named(&request.name)?.answers;
    if let Some(receipt) = installed.as_ref().filter(|receipt| !upgrade && is_met(request, receipt)) {
        receipt.check_start()?;
        return Ok(Entry::of_receipt(receipt)?.map(|entry| (entry, receipt.yank())));
    }
    let names_version = request.want != Want::Newest(VersionReq::STAR);
    if old.is_some_and(|old| !upgrade && !names_version && is_met_by_entry(request, old)) {
        return Ok(None);
    }
    let is_built_in = installed.as_ref().is_some_and(|receipt| receipt.origin.is_built_in());
    if is_built_in && request.registry.is_none() && !names_version {
        let name = &request.name;
        return Err(Failure::usage(format!(
            "{name} is built in: only commands from a registry can be locked"
        )));
    }
    let offered = match is_built_in {
        // It must be one that can be added.
        true => installer.resolve(request)?,
        false => installer.resolve_replacement(request)?,
    };
    if let Some(old) = old.filter(|old| !names_version && offered.version < old.version)
        && is_usable(installer, request, old)
    {
        return Ok(None);
    }
    Ok(Some((examined(installer, &offered)?, offered.yanked)))
}

fn is_met(request: &Request, receipt: &Receipt) -> bool {
    receipt.origin.registry().is_some() && request.is_met_by(&receipt.origin, &receipt.version)
}

fn is_met_by_entry(request: &Request, entry: &Entry) -> bool {
    request.registry.as_ref().is_none_or(|registry| *registry == entry.registry)
}

/// Whether the registry still offers the pinned version.
fn is_usable(installer: &mut Installer<'_>, request: &Request, entry: &Entry) -> bool {
    let want = Want::Exact(entry.version.clone());
    let pinned = Request { registry: Some(entry.registry.clone()), name: request.name.clone(), want };
    installer.resolve_replacement(&pinned).is_ok()
}

/// Fetches and examines a release to learn its rights. It is not installed.
fn examined(installer: &mut Installer<'_>, offered: &Resolved) -> Result<Entry, Failure> {
    let (fetched, examined) = installer.preview(offered)?;
    let Resolved { name, version, origin, parts, .. } = offered;
    let paths = PathArguments::of(&examined.tree);
    let permissions = &fetched.manifest.permissions;
    Entry::new(version, origin, parts, permissions, &examined.rights, &paths)
        .ok_or_else(|| Failure::failed(format!("{name} is not from a registry")))
}
