//! Which installed command answers to a name.
//!
//! `kf command replace train --with my-train` does not touch `train`: it writes a slot, `slots/train.json`,
//! that points to `my-train`. Both stay installed, both keep their own rights, and removing the slot brings the
//! old one back. A slot points to a command, never to another slot.

use kf_core::PluginName;
use kf_core::format::Format;
use kf_home::Home;
use kf_home::lock::NameLock;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::error::Result;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Slot {
    format: Format<1>,
    name: PluginName,
    answered_by: PluginName,
}

/// Who answers to `name`: the replacement, or `name` itself.
pub fn answering(home: &Home, name: &PluginName) -> Result<PluginName> {
    Ok(replacement(home, name)?.unwrap_or_else(|| name.clone()))
}

/// The replacement of `name`, where it has one.
pub fn replacement(home: &Home, name: &PluginName) -> Result<Option<PluginName>> {
    let path = home.slots().at(format!("{name}.json"));
    let Some(slot) = path.read_json::<Slot>(4096, 1)? else { return Ok(None) };
    if slot.name != *name {
        return Err(Error::invalid(path.display().to_string(), format!("it is the slot of {}", slot.name)));
    }
    Ok(Some(slot.answered_by))
}

/// Every replaced name with its replacement, sorted. A slot that cannot be read is left out.
pub fn list(home: &Home) -> Result<Vec<(PluginName, PluginName)>> {
    let names = home.slots().names()?;
    let mut slots: Vec<_> = names
        .into_iter()
        .filter_map(|name| PluginName::parse(name.strip_suffix(".json")?).ok())
        .filter_map(|name| replacement(home, &name).ok()?.map(|with| (name, with)))
        .collect();
    slots.sort();
    Ok(slots)
}

/// Lets `with`, which the caller knows to be installed, answer to the locked name.
pub fn replace(home: &Home, lock: &NameLock, with: &PluginName) -> Result<()> {
    if with == lock.name() {
        return restore(home, lock);
    }
    let slot = Slot { format: Format, name: lock.name().clone(), answered_by: with.clone() };
    Ok(home.slots().at(format!("{}.json", lock.name())).write_json(&slot)?)
}

/// Lets the locked name answer for itself again. Without a slot nothing happens.
pub fn restore(home: &Home, lock: &NameLock) -> Result<()> {
    let path = home.slots().join(format!("{}.json", lock.name()));
    match fs_err::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::writing(&path, e)),
        _ => Ok(()),
    }
}

/// The names that `with` answers to besides its own: to be restored before it is removed.
pub fn answered_by(home: &Home, with: &PluginName) -> Result<Vec<PluginName>> {
    Ok(list(home)?.into_iter().filter(|(_, w)| w == with).map(|(name, _)| name).collect())
}
