//! What ran before the installed version of a command, so that a user can go back to it without a network.
//!
//! `data/previous/NAME.json` keeps the receipt that a newer one replaced, and the [store](crate::store) keeps its files.
//! Each entry names the installation that it precedes, and counts only while that installation is the current one. An
//! installer writes this file first, with one entry for the current and one for the new receipt, and the receipt last. So
//! whenever it is interrupted, the entry that counts belongs to the receipt that is there.
//!
//! Blocks, yanks and ceilings are updated at each refresh, as in receipts: going back gives no version a right that its
//! registry has withdrawn meanwhile.

use kf_core::format::{Format, FormatError};
use kf_core::{Digest, PluginName, RegistryId};
use kf_home::Home;
use kf_home::lock::NameLock;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::index::View;
use crate::receipt::{self, Receipt};

/// The format of `previous/NAME.json`.
pub const FORMAT: u64 = 1;
/// Two receipts.
const MAX_BYTES: u64 = 2 * receipt::MAX_RECEIPT_BYTES + 64 * 1024;

/// What ran before.
#[derive(Clone, Debug, PartialEq)]
pub enum Previous {
    /// An added version.
    Added(Box<Receipt>),
    /// The built-in command.
    BuiltIn,
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Format<FORMAT>,
    name: PluginName,
    entries: Vec<Entry>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    /// The installation after it, see [`Receipt::installation`].
    before: Digest,
    /// None if the built-in command ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    receipt: Option<Receipt>,
}

impl Entry {
    fn previous(&self) -> Previous {
        self.receipt.clone().map_or(Previous::BuiltIn, |receipt| Previous::Added(Box::new(receipt)))
    }
}

/// What ran before the installed version `current`; none if nothing is kept.
pub fn of(home: &Home, current: &Receipt) -> Result<Option<Previous>> {
    Ok(entry_before(&read(home, &current.name)?, current).map(|entry| entry.previous()))
}

/// Records what runs under the locked name before `new` is installed. The receipt of `new` must be written after it.
///
/// If `new` has the same version and files, the user goes back to what ran before both.
pub fn record(home: &Home, lock: &NameLock, new: &Receipt, ran: Option<Previous>) -> Result<()> {
    let old = match read(home, lock.name()) {
        Err(error) if is_newer(&error) => return Err(error),
        // A damaged file is replaced.
        old => old.unwrap_or_default(),
    };
    let mut entries = Vec::new();
    let before = new.installation();
    match ran {
        None => {}
        Some(Previous::BuiltIn) => entries.push(Entry { before, receipt: None }),
        Some(Previous::Added(current)) => {
            let kept = entry_before(&old, &current).cloned();
            entries.extend(kept.clone());
            if current.version == new.version && current.parts == new.parts {
                entries.extend(kept.map(|kept| Entry { before, ..kept }));
            } else {
                entries.push(Entry { before, receipt: Some(*current) });
            }
        }
    }
    write(home, lock, entries)
}

/// Forgets what ran before the locked name.
pub fn forget(home: &Home, lock: &NameLock) -> Result<()> {
    write(home, lock, Vec::new())
}

/// Every kept receipt of a name. The store must keep their files.
pub fn receipts(home: &Home, name: &PluginName) -> Result<Vec<Receipt>> {
    Ok(read(home, name)?.into_iter().filter_map(|entry| entry.receipt).collect())
}

/// The names that have kept receipts, sorted.
pub fn names(home: &Home) -> Result<Vec<PluginName>> {
    let files = home.previous_versions().names()?.into_iter();
    Ok(files.filter_map(|file| PluginName::parse(file.strip_suffix(".json")?).ok()).collect())
}

/// The commands with a kept version from a registry. A file that cannot be read is skipped, as in [`update_from`].
pub(crate) fn names_from(home: &Home, registry: &RegistryId) -> Result<Vec<PluginName>> {
    let is_from = |entry: &Entry| {
        entry.receipt.as_ref().is_some_and(|receipt| receipt.origin.registry() == Some(registry))
    };
    let has_any = |name: &PluginName| read(home, name).is_ok_and(|entries| entries.iter().any(is_from));
    Ok(names(home)?.into_iter().filter(has_any).collect())
}

/// Updates the blocks, yanks and ceilings of kept receipts. See [`receipt::update_from`].
pub(crate) fn update_from(home: &Home, view: &View) -> Result<()> {
    for name in names(home)? {
        let updated = |entries: &[Entry]| -> Vec<Entry> {
            let of_registry = |receipt: &Receipt| receipt.origin.registry() == Some(&view.registry);
            let receipt = |receipt: Receipt| match of_registry(&receipt) {
                true => receipt::updated(&receipt, view),
                false => receipt,
            };
            entries
                .iter()
                .cloned()
                .map(|entry| Entry { receipt: entry.receipt.map(receipt), ..entry })
                .collect()
        };
        let Ok(entries) = read(home, &name) else { continue };
        if updated(&entries) == entries {
            continue;
        }
        let lock = match NameLock::try_acquire(home, &name) {
            Ok(lock) => lock,
            Err(kf_home::Error::Busy { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        // Read again: it may have changed before the lock was acquired.
        let entries = updated(&read(home, &name)?);
        write(home, &lock, entries)?;
    }
    Ok(())
}

fn entry_before<'a>(entries: &'a [Entry], current: &Receipt) -> Option<&'a Entry> {
    let installation = current.installation();
    entries.iter().find(|entry| entry.before == installation)
}

fn read(home: &Home, name: &PluginName) -> Result<Vec<Entry>> {
    let path = home.previous(name);
    let Some(file) = path.read_json::<File>(MAX_BYTES, FORMAT)? else { return Ok(Vec::new()) };
    if file.name != *name {
        return Err(Error::invalid(path.display().to_string(), format!("it is for {}", file.name)));
    }
    for receipt in file.entries.iter().filter_map(|entry| entry.receipt.as_ref()) {
        receipt::check(name, receipt)?;
    }
    Ok(file.entries)
}

fn write(home: &Home, lock: &NameLock, entries: Vec<Entry>) -> Result<()> {
    let path = home.previous(lock.name());
    if entries.is_empty() {
        return match fs_err::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::writing(&path, error)),
            _ => Ok(()),
        };
    }
    Ok(path.write_json(&File { format: Format, name: lock.name().clone(), entries })?)
}

fn is_newer(error: &Error) -> bool {
    matches!(error, Error::Home(kf_home::Error::Format(FormatError::Newer { .. })))
}
