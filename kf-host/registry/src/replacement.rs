//! Replacements: a command that runs under another command's name.
//!
//! `kf command replace train --with my-train` does not change `train`: it writes `slots/train.json`, which
//! points to `my-train`. Both stay installed with their own rights, and removing the file restores `train`. A
//! replacement points to a command, never to another replacement.

use kf_core::PluginName;
use kf_core::format::Format;
use kf_home::Home;
use kf_home::lock::NameLock;
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::error::Result;

/// The largest file.
const MAX_BYTES: u64 = 4096;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Replacement {
    format: Format<1>,
    name: PluginName,
    answered_by: PluginName,
}

/// The command that runs under `name`: its replacement, or `name` itself.
pub fn resolve(home: &Home, name: &PluginName) -> Result<PluginName> {
    Ok(of(home, name)?.unwrap_or_else(|| name.clone()))
}

/// The replacement of `name`, if it has one.
pub fn of(home: &Home, name: &PluginName) -> Result<Option<PluginName>> {
    let path = home.slots().at(format!("{name}.json"));
    let Some(file) = path.read_json::<Replacement>(MAX_BYTES, 1)? else { return Ok(None) };
    if file.name != *name {
        return Err(Error::invalid(path.display().to_string(), format!("it is for {}", file.name)));
    }
    Ok(Some(file.answered_by))
}

/// Every replaced name with its replacement, sorted. A file that cannot be read is skipped.
pub fn list(home: &Home) -> Result<Vec<(PluginName, PluginName)>> {
    let names = home.slots().names()?;
    let mut replacements: Vec<_> = names
        .into_iter()
        .filter_map(|name| PluginName::parse(name.strip_suffix(".json")?).ok())
        .filter_map(|name| of(home, &name).ok()?.map(|with| (name, with)))
        .collect();
    replacements.sort();
    Ok(replacements)
}

/// Makes `with` run under the locked name. The caller has checked that `with` is installed.
pub fn replace(home: &Home, lock: &NameLock, with: &PluginName) -> Result<()> {
    if with == lock.name() {
        return restore(home, lock);
    }
    let file = Replacement { format: Format, name: lock.name().clone(), answered_by: with.clone() };
    Ok(home.slots().at(format!("{}.json", lock.name())).write_json(&file)?)
}

/// Removes the replacement of the locked name, if it has one.
pub fn restore(home: &Home, lock: &NameLock) -> Result<()> {
    let path = home.slots().join(format!("{}.json", lock.name()));
    match fs_err::remove_file(&path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Error::writing(&path, e)),
        _ => Ok(()),
    }
}

/// The names that `with` replaces. They must be restored before it is removed.
pub fn replaced_by(home: &Home, with: &PluginName) -> Result<Vec<PluginName>> {
    Ok(list(home)?.into_iter().filter(|(_, w)| w == with).map(|(name, _)| name).collect())
}
