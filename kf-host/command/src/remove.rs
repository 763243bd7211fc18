//! Removing commands, and freeing what no command needs any more.

use std::time::Duration;

use kf_core::{Failure, PluginName};
use kf_home::Home;
use kf_home::lock::NameLock;
use kf_registry::store::Store;
use kf_registry::{receipt, slot};

/// What another kf may just be adding is left alone.
const YOUNG: Duration = Duration::from_secs(24 * 3600);

/// Removes one command. One that answers for another name is not removed.
pub fn remove(home: &Home, name: &PluginName) -> Result<(), Failure> {
    let lock = NameLock::try_acquire(home, name)?;
    if let Some(replaced) = slot::answered_by(home, name)?.first() {
        return Err(Failure::usage(format!("{name} answers for {replaced}"))
            .hint(format!("kf command replace {replaced} --restore")));
    }
    receipt::remove(home, &lock)?;
    slot::restore(home, &lock)?;
    Ok(())
}

/// Frees what no receipt needs any more. Receipts that cannot be read keep everything: one of them may need
/// it.
pub fn sweep(home: &Home) -> Result<(), Failure> {
    let receipts = receipt::list(home)?;
    if receipts.iter().any(|(_, receipt)| receipt.is_err()) {
        return Ok(());
    }
    let in_use: Vec<_> = receipts
        .into_iter()
        .filter_map(|(_, receipt)| receipt.ok())
        .flat_map(|receipt| receipt.parts.iter().map(|part| part.sha256).collect::<Vec<_>>())
        .collect();
    Store::open(home)?.sweep(&|digest| in_use.contains(&digest), YOUNG)?;
    Ok(())
}
