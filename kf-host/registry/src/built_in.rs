//! Built-in commands.
//!
//! A user who installs a release of kf consents to the commands in it, each with the rights of its manifest within the
//! ceiling of that release. So a built-in command need not be added: its receipt is in the program instead of the home,
//! and [`receipt`](crate::receipt) checks it in the same way.
//!
//! A home has only later decisions about a built-in command, in `built-in/NAME.json`: that the user switched it off, or
//! that a registry blocks it. A command whose file cannot be read does not start.

use std::io::Read as _;

use jiff::Timestamp;
use kf_core::format::Format;
use kf_core::{Digest, PluginName, RegistryId};
use kf_home::Home;
use kf_home::lock::NameLock;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::index::{Origin, View};
use crate::parts::PartKind;
use crate::receipt::{self, Consent, Receipt};

/// The format of `built-in/NAME.json`.
const FORMAT: u64 = 1;
const MAX_BYTES: u64 = 64 * 1024;

/// A built-in command.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    pub name: &'static str,
    /// Its receipt, in the format of a home.
    pub receipt: &'static str,
    /// `plugin.toml`, as its author signed it.
    pub manifest: &'static str,
    /// `plugin.wasm`, compressed with Brotli.
    pub component: &'static [u8],
}

/// The registry that a release of kf trusts by default.
#[derive(Clone, Copy, Debug)]
pub struct DefaultRegistry {
    pub id: &'static str,
    pub urls: &'static [&'static str],
    /// The pinned root.
    pub root: &'static [u8],
}

/// The built-in commands, and the registry for newer versions of them.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIns {
    commands: &'static [BuiltIn],
    registry: Option<DefaultRegistry>,
}

impl BuiltIns {
    /// `commands` must be sorted by name.
    pub const fn new(commands: &'static [BuiltIn], registry: Option<DefaultRegistry>) -> Self {
        Self { commands, registry }
    }

    /// Whether there are no commands.
    pub fn is_empty(self) -> bool {
        self.commands.is_empty()
    }

    pub fn registry(self) -> Option<DefaultRegistry> {
        self.registry
    }

    /// The names of all commands, sorted.
    pub fn names(self) -> impl Iterator<Item = PluginName> {
        self.commands.iter().filter_map(|command| PluginName::parse(command.name).ok())
    }

    /// The receipt of a command as released; none if there is no such command.
    pub fn receipt(self, name: &PluginName) -> Result<Option<Receipt>> {
        let Some(command) = self.command(name) else { return Ok(None) };
        let receipt = receipt::parse(name, command.receipt.as_bytes())?;
        match receipt.origin {
            Origin::BuiltIn { .. } => Ok(Some(receipt)),
            _ => Err(Error::BadReceipt {
                name: name.clone(),
                reason: "not a receipt of a built-in command".into(),
            }),
        }
    }

    /// The component of a built-in command's receipt, checked against its digest.
    pub fn component(self, receipt: &Receipt) -> Result<Vec<u8>> {
        let part = receipt.parts.program();
        let what = part.kind.noun();
        let compressed = self.command(&receipt.name).map_or(&[] as &[u8], |command| command.component);
        let mut bytes = Vec::new();
        let limit = part.length.min(PartKind::Component.max_bytes());
        brotli_decompressor::Decompressor::new(compressed, 64 * 1024)
            .take(limit.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| Error::invalid(format!("the {what} of {}", receipt.name), error))?;
        let found = Digest::of(&bytes);
        if found != part.sha256 {
            return Err(Error::Tampered { what, expected: part.sha256, found });
        }
        Ok(bytes)
    }

    fn command(self, name: &PluginName) -> Option<&'static BuiltIn> {
        let found = self.commands.binary_search_by(|command| command.name.cmp(name.as_str())).ok()?;
        self.commands.get(found)
    }
}

/// Turns the receipt of a command from a registry into that of a built-in command of a kf released at `date`.
pub fn released(receipt: &Receipt, date: Timestamp) -> Result<Receipt> {
    let Origin::Registry { owner, keyids, .. } = receipt.origin.clone() else {
        return Err(Error::Publish(format!("{} is not from a registry", receipt.name)));
    };
    let origin = Origin::BuiltIn { owner, keyids };
    let permissions = receipt.permissions.clone();
    let digest = receipt::consent_digest(&receipt.parts, &origin, &permissions);
    let consent = Consent { digest, permissions, at: date };
    Ok(Receipt { origin, consent, at: date, compiled: None, ..receipt.clone() })
}

/// The decisions on this machine about a built-in command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Whether the user switched it off.
    pub off: bool,
    /// The block, if a registry blocks it.
    pub blocked: Option<Blocked>,
}

/// Why a built-in component must not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocked {
    /// Of the component. A newer kf with another component is not affected.
    pub sha256: Digest,
    pub registry: RegistryId,
    pub reason: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Format<FORMAT>,
    name: PluginName,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    off: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    blocked: Option<Blocked>,
}

/// The decisions about a name.
pub fn decision(home: &Home, name: &PluginName) -> Result<Decision> {
    let path = home.built_in(name);
    let Some(file) = path.read_json::<File>(MAX_BYTES, FORMAT)? else { return Ok(Decision::default()) };
    if file.name != *name {
        return Err(Error::invalid(path.display().to_string(), format!("it is for {}", file.name)));
    }
    Ok(Decision { off: file.off, blocked: file.blocked })
}

/// Switches the built-in command of the locked name off, or on again.
pub fn set_enabled(home: &Home, lock: &NameLock, enabled: bool) -> Result<()> {
    let decision = decision(home, lock.name())?;
    write(home, lock, &Decision { off: !enabled, ..decision })
}

/// Records which built-in commands a registry blocks, and removes its blocks that no longer apply.
///
/// Any configured registry can block a component by its digest. A name that another process has locked is skipped until
/// the next refresh.
pub fn update_blocks(home: &Home, built_in: BuiltIns, view: &View) -> Result<()> {
    for name in built_in.names() {
        let Some(receipt) = built_in.receipt(&name)? else { continue };
        let digest = receipt.program_digest();
        let reason = view.blocked.iter().find(|block| block.sha256 == digest).map(|block| &block.reason);
        change(home, &name, |before| match (reason, &before.blocked) {
            (Some(reason), _) => {
                Some(Blocked { sha256: digest, registry: view.registry.clone(), reason: reason.clone() })
            }
            (None, Some(blocked)) if blocked.registry == view.registry => None,
            (None, blocked) => blocked.clone(),
        })?;
    }
    Ok(())
}

/// Removes the blocks of a registry that was removed.
pub fn remove_blocks(home: &Home, built_in: BuiltIns, registry: &RegistryId) -> Result<()> {
    let others = |before: &Decision| before.blocked.clone().filter(|blocked| blocked.registry != *registry);
    built_in.names().try_for_each(|name| change(home, &name, others))
}

fn change(home: &Home, name: &PluginName, blocked: impl Fn(&Decision) -> Option<Blocked>) -> Result<()> {
    let changed = |before: Decision| {
        let blocked = blocked(&before);
        (blocked != before.blocked).then_some(Decision { blocked, ..before })
    };
    if changed(decision(home, name)?).is_none() {
        return Ok(());
    }
    let lock = match NameLock::try_acquire(home, name) {
        Ok(lock) => lock,
        Err(kf_home::Error::Busy { .. }) => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    // Read again: it may have changed before the lock was acquired.
    match changed(decision(home, name)?) {
        None => Ok(()),
        Some(decision) => write(home, &lock, &decision),
    }
}

fn write(home: &Home, lock: &NameLock, decision: &Decision) -> Result<()> {
    let path = home.built_in(lock.name());
    if *decision == Decision::default() {
        return match fs_err::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::writing(&path, error)),
            _ => Ok(()),
        };
    }
    let Decision { off, blocked } = decision.clone();
    Ok(path.write_json(&File { format: Format, name: lock.name().clone(), off, blocked })?)
}
