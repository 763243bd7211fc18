//! The notice of newer versions, at most once a day.
//!
//! kf does not connect to a registry to find them out: a user who runs a command has not asked for that, and a request in
//! the background would either delay the exit or outlive it. So a notice repeats what the last refresh found, which `kf
//! command add`, `upgrade`, `outdated` and `list --available` make anyway. A refresh loads every command that is installed from
//! the registry, so adding one finds the newer versions of all; those of built-in commands are found by `upgrade` and
//! `outdated`. They are kept in `cache/updates.json`, and a run only compares the age of one file, until a notice is due.
//!
//! The file decides nothing: an upgrade verifies the registry again.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use kf_core::abi::is_supported;
use kf_core::format::Format;
use kf_core::{PluginName, RegistryId};
use kf_home::trusted::OwnPath;
use kf_registry::index::View;
use kf_registry::receipt::Receipt;
use semver::Version;
use serde::{Deserialize, Serialize};

use crate::install::is_upgrade;
use crate::installed::Commands;

/// How long after a notice the next one may be shown.
const INTERVAL: Duration = Duration::from_secs(24 * 3600);
const FORMAT: u64 = 1;
const MAX_BYTES: u64 = 1024 * 1024;

/// A newer version of an installed command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Update {
    pub name: PluginName,
    pub installed: Version,
    pub newest: Version,
}

#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Format<FORMAT>,
    registries: BTreeMap<RegistryId, BTreeMap<PluginName, Version>>,
}

fn path(commands: Commands<'_>) -> OwnPath {
    commands.home.cache.at("updates.json")
}

/// Keeps the newer versions of installed commands among those that were loaded from a registry. It is only a notice, so a
/// cache that cannot be read or written is no error.
pub(crate) fn record(commands: Commands<'_>, view: &View) {
    let installed = commands.list().unwrap_or_default().into_iter();
    let receipts: Vec<Receipt> = installed.filter_map(|(_, named)| named.ok()?.answers).collect();
    record_of(commands, view, &receipts);
}

/// The same for some of the installed commands.
pub(crate) fn record_of(commands: Commands<'_>, view: &View, receipts: &[Receipt]) {
    let path = path(commands);
    let old = path.read_json::<File>(MAX_BYTES, FORMAT).ok().flatten().unwrap_or_default();
    let mut new = old.clone();
    let found = new.registries.entry(view.registry.clone()).or_default();
    for receipt in receipts {
        let name = &receipt.name;
        let is_from_here = receipt.origin.registry() == Some(&view.registry);
        match newer(name, receipt, view) {
            Some(version) => drop(found.insert(name.clone(), version)),
            None if is_from_here || view.plugins.contains_key(name) => drop(found.remove(name)),
            // It was not loaded now.
            None => {}
        }
    }
    if found.is_empty() {
        new.registries.remove(&view.registry);
    }
    if new != old {
        let _only_a_notice = path.write_json(&new);
    }
}

/// The newer version of an installed command that was loaded from a registry.
fn newer(name: &PluginName, installed: &Receipt, view: &View) -> Option<Version> {
    let newest = view.newer(name, &installed.version, &is_supported).ok().flatten()?;
    let is_offered = match installed.origin.registry() {
        Some(registry) => *registry == view.registry,
        None => installed.origin.is_built_in() && is_upgrade(installed, &newest),
    };
    is_offered.then_some(newest.version)
}

/// The newer versions to tell the user about now; none if it was done in the last day. From now on it is.
pub fn due(commands: Commands<'_>, now: SystemTime) -> Vec<Update> {
    let stamp = commands.home.state.at("update-notice");
    let shown = stamp.metadata().and_then(|file| file.modified()).ok();
    if !is_due(shown, now) || !path(commands).exists() {
        return Vec::new();
    }
    // Without the stamp it would be shown again and again.
    match stamp.append().map(|file| file.set_modified(now)) {
        Ok(Ok(())) => known(commands),
        _ => Vec::new(),
    }
}

fn is_due(shown: Option<SystemTime>, now: SystemTime) -> bool {
    // A time in the future is from a clock that was wrong.
    shown.and_then(|shown| now.duration_since(shown).ok()).is_none_or(|age| age >= INTERVAL)
}

/// What the last refreshes found and is still newer than what is installed.
fn known(commands: Commands<'_>) -> Vec<Update> {
    let file = path(commands).read_json::<File>(MAX_BYTES, FORMAT).ok().flatten().unwrap_or_default();
    let mut newest: BTreeMap<PluginName, Version> = BTreeMap::new();
    for (name, version) in file.registries.into_values().flatten() {
        let known = newest.entry(name).or_insert_with(|| version.clone());
        if version > *known {
            *known = version;
        }
    }
    let update = |(name, newest): (PluginName, Version)| {
        let installed = commands.named(&name).ok()?.answers?.version;
        (newest > installed).then_some(Update { name, installed, newest })
    };
    newest.into_iter().filter_map(update).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn notice_is_due_once_a_day() {
        let now = SystemTime::UNIX_EPOCH + 10 * INTERVAL;
        assert!(is_due(None, now));
        assert!(!is_due(Some(now), now));
        assert!(!is_due(Some(now - INTERVAL + Duration::from_secs(1)), now));
        assert!(is_due(Some(now - INTERVAL), now));
        assert!(is_due(Some(now + INTERVAL), now), "a clock that was set back");
    }
}
