//! The commands that can be added, as of the last refresh of each registry.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kf_registry::{registries, trust};

use crate::installed::Commands;

/// The names and summaries of the commands that the registries offered at their last refresh, as far as they are known on
/// this machine. Nothing is fetched.
pub fn available(commands: Commands<'_>, now: Timestamp) -> BTreeMap<String, String> {
    let Commands { home, built_in } = commands;
    let sessions = registries::list(home, built_in).unwrap_or_default().into_iter().filter_map(|id| {
        let registry = registries::load(home, built_in, &id).ok()?;
        trust::cached(home, &registry, now).ok()
    });
    let mut available = BTreeMap::new();
    for session in sessions {
        for (name, summary) in session.known_offers() {
            available.entry(name).or_insert(summary);
        }
    }
    available
}
