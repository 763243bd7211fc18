//! Removing commands, restoring built-in ones, and deleting stored files that no command uses.

use std::time::Duration;

use kf_core::{Digest, Failure, PluginName};
use kf_home::lock::NameLock;
use kf_registry::built_in;
use kf_registry::previous;
use kf_registry::receipt::{self, Receipt};
use kf_registry::store::Store;
use kf_registry::{Error, replacement};

use crate::installed::Commands;

/// Younger files are kept: another kf may be adding a command right now.
const MIN_AGE: Duration = Duration::from_secs(24 * 3600);

/// Removes an added command and switches off a built-in one. A command that replaces another is not removed. Returns
/// whether a built-in command of that name exists.
pub fn remove(commands: Commands<'_>, name: &PluginName) -> Result<bool, Failure> {
    let home = commands.home;
    let lock = NameLock::try_acquire(home, name)?;
    if let Some(replaced) = replacement::replaced_by(home, name)?.first() {
        return Err(Failure::usage(format!("cannot remove {name}: it replaces {replaced}"))
            .hint(format!("kf command replace {replaced} --restore")));
    }
    let is_built_in = commands.built_in.receipt(name)?.is_some();
    let is_on = is_built_in && !built_in::decision(home, name)?.off;
    match receipt::remove(home, &lock) {
        Err(Error::NotInstalled { .. }) if is_on => {}
        result => result?,
    }
    if is_on {
        built_in::set_enabled(home, &lock, false)?;
    }
    replacement::restore(home, &lock)?;
    Ok(is_built_in)
}

/// Switches a built-in command on again. Returns its receipt if it was off.
pub fn switch_on(commands: Commands<'_>, name: &PluginName) -> Result<Option<Receipt>, Failure> {
    let lock = NameLock::try_acquire(commands.home, name)?;
    if !built_in::decision(commands.home, name)?.off {
        return Ok(None);
    }
    built_in::set_enabled(commands.home, &lock, true)?;
    Ok(commands.named(name)?.answers)
}

/// The result of [`restore`].
#[derive(Debug)]
pub struct Restored {
    /// The command that runs now.
    pub answers: Option<Receipt>,
    /// The added command that hid the built-in one and was removed.
    pub removed: Option<Receipt>,
}

/// Undoes one step: drops a replacement of the name or, if it has none, the command that was added over the built-in one.
pub fn restore(commands: Commands<'_>, name: &PluginName) -> Result<Restored, Failure> {
    let home = commands.home;
    let lock = NameLock::try_acquire(home, name)?;
    let is_replaced = replacement::of(home, name)?.is_some();
    replacement::restore(home, &lock)?;
    let mut removed = None;
    if !is_replaced && commands.built_in.receipt(name)?.is_some() {
        removed = receipt::read(home, name)?;
        if removed.is_some() {
            receipt::remove(home, &lock)?;
        }
        built_in::set_enabled(home, &lock, true)?;
    }
    Ok(Restored { answers: commands.named(name)?.answers, removed })
}

/// Deletes stored files that neither a command nor the version before it uses. If a receipt cannot be read, nothing is
/// deleted: it may need any of them.
pub fn sweep(commands: Commands<'_>) -> Result<(), Failure> {
    let mut in_use = Vec::new();
    for (_, named) in commands.list()? {
        let Ok(named) = named else { return Ok(()) };
        in_use.extend(named.answers.into_iter().chain(named.other).flat_map(|receipt| digests(&receipt)));
    }
    for name in previous::names(commands.home)? {
        let Ok(kept) = previous::receipts(commands.home, &name) else { return Ok(()) };
        in_use.extend(kept.iter().flat_map(digests));
    }
    Store::open(commands.home)?.sweep(&|digest| in_use.contains(&digest), MIN_AGE)?;
    Ok(())
}

fn digests(receipt: &Receipt) -> Vec<Digest> {
    receipt.parts.iter().map(|part| part.sha256).collect()
}
