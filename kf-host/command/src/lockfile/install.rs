//! Adding exactly what a lock file pins.

use std::collections::BTreeMap;
use std::path::Path;

use kf_core::{Failure, PluginName, RegistryId};
use kf_registry::index::{Request, Want};
use kf_registry::registries;
use kf_registry::yank::Yanked;
use semver::Version;

use super::{Entry, Found, PinnedRegistry};
use crate::hints;
use crate::install::{Installer, Prepared};
use crate::installed::Commands;

/// A pinned command.
pub enum Target {
    /// It is installed already.
    Installed {
        name: PluginName,
        version: Version,
        yanked: Option<Yanked>,
    },
    New(Box<Prepared>),
}

/// The entries that the requests name, or all.
///
/// # Errors
///
/// A name is not pinned, or in another version or registry than the request asks for.
pub fn select<'l>(
    found: &'l Found,
    requests: &[Request],
) -> Result<BTreeMap<&'l PluginName, &'l Entry>, Failure> {
    let Found { path, lock, .. } = found;
    if requests.is_empty() {
        return Ok(lock.commands.iter().collect());
    }
    let mut selected = BTreeMap::new();
    for request in requests {
        let Request { registry, name, want } = request;
        let lock_it = || found.hint(&format!("kf command lock {}", hints::word(request)));
        let Some((name, entry)) = lock.commands.get_key_value(name) else {
            return Err(not_pinned(name, path).hint(lock_it()));
        };
        let other_registry = registry.as_ref().is_some_and(|registry| *registry != entry.registry);
        if other_registry || !want.matches(&entry.version) {
            return Err(Failure::untrusted(format!(
                "{} pins {}/{name}@{}, not {request}",
                path.display(),
                entry.registry,
                entry.version
            ))
            .hint(lock_it()));
        }
        selected.insert(name, entry);
    }
    Ok(selected)
}

/// The failure for a command that the file does not pin.
pub(super) fn not_pinned(name: &PluginName, path: &Path) -> Failure {
    Failure::not_found(format!("{name} is not in {}", path.display()))
}

/// Resolves, fetches and examines pinned commands. Nothing is installed, and nothing is prepared unless all of them match.
///
/// # Errors
///
/// A registry is not set up or has another root, or a release is blocked or differs from what is pinned. The error names
/// what differs.
pub fn prepare(
    installer: &mut Installer<'_>,
    commands: Commands<'_>,
    found: &Found,
    selected: &BTreeMap<&PluginName, &Entry>,
) -> Result<Vec<Target>, Failure> {
    for entry in selected.values() {
        let id = &entry.registry;
        let pinned = found.lock.registries.get(id).ok_or_else(|| {
            Failure::untrusted(format!("{} has no root of registry {id}", found.path.display()))
        })?;
        check_root(commands, id, pinned, &found.path)?;
    }
    let mut resolved = Vec::new();
    let mut targets = Vec::new();
    for (&name, &entry) in selected {
        // Without a network, the state of the registry may be expired while all is installed.
        if installer.is_offline()
            && let Some(installed) = installed(commands, name, entry)?
        {
            targets.push(installed);
            continue;
        }
        let want = Want::Exact(entry.version.clone());
        let request = Request { registry: Some(entry.registry.clone()), name: name.clone(), want };
        let offered = installer.resolve(&request)?;
        check(name, entry, entry.offered_differs(&offered), found)?;
        resolved.push((name, entry, offered));
    }
    for (name, entry, offered) in resolved {
        match installer.prepare(&offered)? {
            Some(prepared) => {
                let plan = &prepared.plan;
                let differs = entry.rights_differ(plan.consent, &plan.rights, &plan.paths);
                check(name, entry, differs.into_iter().collect(), found)?;
                targets.push(Target::New(Box::new(prepared)));
            }
            None => {
                let receipt = commands.require(name)?;
                let differs = match Entry::of_receipt(&receipt)? {
                    Some(is) => is.differs_from(entry),
                    None => vec![format!("it is {}", receipt.origin)],
                };
                check(name, entry, differs, found)?;
                targets.push(Target::Installed {
                    name: name.clone(),
                    version: receipt.version,
                    yanked: offered.yanked,
                });
            }
        }
    }
    Ok(targets)
}

/// The installed command, if it is exactly the pinned one and not blocked.
fn installed(commands: Commands<'_>, name: &PluginName, entry: &Entry) -> Result<Option<Target>, Failure> {
    let Some(receipt) = commands.named(name)?.answers else { return Ok(None) };
    if Entry::of_receipt(&receipt)?.as_ref() != Some(entry) {
        return Ok(None);
    }
    receipt.check_start()?;
    Ok(Some(Target::Installed { name: name.clone(), yanked: receipt.yank(), version: receipt.version }))
}

/// Refuses a registry that has the pinned name and another root.
pub(super) fn check_root(
    commands: Commands<'_>,
    id: &RegistryId,
    pinned: &PinnedRegistry,
    path: &Path,
) -> Result<(), Failure> {
    let found = registries::load(commands.home, commands.built_in, id)?.root_digest();
    if found == pinned.root_sha256 {
        return Ok(());
    }
    Err(Failure::untrusted(format!(
        "registry {id} has another root than {} pins: sha256 {}, pinned {}",
        path.display(),
        found.short(),
        pinned.root_sha256.short()
    ))
    .hint("`kf registry list -o wide` shows the roots of this machine"))
}

fn check(name: &PluginName, entry: &Entry, differs: Vec<String>, found: &Found) -> Result<(), Failure> {
    if differs.is_empty() {
        return Ok(());
    }
    let Entry { registry, version, .. } = entry;
    Err(Failure::untrusted(format!(
        "{name} {version} does not match {}: {}",
        found.path.display(),
        differs.join("; ")
    ))
    .hint(format!(
        "if the change is expected: {}",
        found.hint(&format!("kf command lock {registry}/{name} --upgrade"))
    )))
}
