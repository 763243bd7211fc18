//! Removing commands, going back to what kf carries inside, and freeing what no command needs any more.

use std::time::Duration;

use kf_core::{Failure, PluginName};
use kf_home::lock::NameLock;
use kf_registry::built_in;
use kf_registry::receipt::{self, Receipt};
use kf_registry::store::Store;
use kf_registry::{Error, slot};

use crate::installed::Commands;

/// What another kf may just be adding is left alone.
const YOUNG: Duration = Duration::from_secs(24 * 3600);

/// Removes one command: takes away what was added, and switches off what is built in. One that answers for another name is
/// not removed. Whether there is a built-in command of that name.
pub fn remove(commands: Commands<'_>, name: &PluginName) -> Result<bool, Failure> {
    let home = commands.home;
    let lock = NameLock::try_acquire(home, name)?;
    if let Some(replaced) = slot::answered_by(home, name)?.first() {
        return Err(Failure::usage(format!("{name} answers for {replaced}"))
            .hint(format!("kf command replace {replaced} --restore")));
    }
    let is_built_in = commands.built_in.receipt(name)?.is_some();
    let is_on = is_built_in && !built_in::decision(home, name)?.off;
    match receipt::remove(home, &lock) {
        Err(Error::NotInstalled { .. }) if is_on => {}
        result => result?,
    }
    if is_on {
        built_in::switch(home, &lock, false)?;
    }
    slot::restore(home, &lock)?;
    Ok(is_built_in)
}

/// Switches a built-in command on again. Its receipt, if that changed anything.
pub fn switch_on(commands: Commands<'_>, name: &PluginName) -> Result<Option<Receipt>, Failure> {
    let lock = NameLock::try_acquire(commands.home, name)?;
    if !built_in::decision(commands.home, name)?.off {
        return Ok(None);
    }
    built_in::switch(commands.home, &lock, true)?;
    Ok(commands.named(name)?.answers)
}

/// What going back came to.
#[derive(Debug)]
pub struct Restored {
    /// What answers now.
    pub answers: Option<Receipt>,
    /// What was added in front of a built-in command, and is gone.
    pub removed: Option<Receipt>,
}

/// Goes back one step: from a replacement to the command of that name, or else to the built-in command, if there is one.
pub fn restore(commands: Commands<'_>, name: &PluginName) -> Result<Restored, Failure> {
    let home = commands.home;
    let lock = NameLock::try_acquire(home, name)?;
    let is_replaced = slot::replacement(home, name)?.is_some();
    slot::restore(home, &lock)?;
    let mut removed = None;
    if !is_replaced && commands.built_in.receipt(name)?.is_some() {
        removed = receipt::read(home, name)?;
        if removed.is_some() {
            receipt::remove(home, &lock)?;
        }
        built_in::switch(home, &lock, true)?;
    }
    Ok(Restored { answers: commands.named(name)?.answers, removed })
}

/// Frees what no command needs any more. Receipts that cannot be read keep everything: one of them may need it.
pub fn sweep(commands: Commands<'_>) -> Result<(), Failure> {
    let mut in_use = Vec::new();
    for (_, named) in commands.list()? {
        let Ok(named) = named else { return Ok(()) };
        let receipts = named.answers.into_iter().chain(named.other);
        in_use.extend(
            receipts.flat_map(|receipt| receipt.parts.iter().map(|part| part.sha256).collect::<Vec<_>>()),
        );
    }
    Store::open(commands.home)?.sweep(&|digest| in_use.contains(&digest), YOUNG)?;
    Ok(())
}
