//! The commands that kf carries inside.
//!
//! Installing a release of kf accepts the commands in it, each with the rights of its manifest and within the ceiling that
//! it was released with. So there is nothing to add: a built-in command has its receipt in the program instead of the home,
//! and [`receipt`](crate::receipt) applies the same checks to it.
//!
//! A home keeps only later decisions about a built-in command, in `built-in/NAME.json`: that its user switched it off, or
//! that a registry blocks it. A file that cannot be read stops the command.

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

/// One command in the program.
#[derive(Clone, Copy, Debug)]
pub struct BuiltIn {
    pub name: &'static str,
    /// Its receipt, as a home would have it.
    pub receipt: &'static str,
    /// `plugin.toml`, as its author signed it.
    pub manifest: &'static str,
    /// `plugin.wasm`, compressed with Brotli.
    pub component: &'static [u8],
}

/// The registry that a release trusts from the start.
#[derive(Clone, Copy, Debug)]
pub struct DefaultRegistry {
    pub id: &'static str,
    pub urls: &'static [&'static str],
    /// Its root, pinned.
    pub root: &'static [u8],
}

/// What the program carries: its commands, and the registry that newer ones come from.
#[derive(Clone, Copy, Debug, Default)]
pub struct BuiltIns {
    commands: &'static [BuiltIn],
    registry: Option<DefaultRegistry>,
}

impl BuiltIns {
    /// `commands` are sorted by name.
    pub const fn new(commands: &'static [BuiltIn], registry: Option<DefaultRegistry>) -> Self {
        Self { commands, registry }
    }

    /// Whether there is no command.
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

    /// The receipt of a command as it was released; none if there is no such command.
    pub fn receipt(self, name: &PluginName) -> Result<Option<Receipt>> {
        let Some(command) = self.command(name) else { return Ok(None) };
        let receipt = receipt::parse(name, command.receipt.as_bytes())?;
        match receipt.origin {
            Origin::BuiltIn { .. } => Ok(Some(receipt)),
            _ => Err(Error::BadReceipt {
                name: name.clone(),
                reason: "it is not that of a built-in command".into(),
            }),
        }
    }

    /// The component of a receipt that came from here, checked against its digest.
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

/// The receipt of a command from a registry, as a kf released at `date` carries it.
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

/// What was decided on this machine about a built-in command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Decision {
    /// Its user does not want it.
    pub off: bool,
    /// A registry blocks it.
    pub blocked: Option<Blocked>,
}

/// Why a built-in component must not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Blocked {
    /// Of the component: a newer kf with another one is not concerned.
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

/// What was decided about a name.
pub fn decision(home: &Home, name: &PluginName) -> Result<Decision> {
    let path = home.built_in(name);
    let Some(file) = path.read_json::<File>(MAX_BYTES, FORMAT)? else { return Ok(Decision::default()) };
    if file.name != *name {
        return Err(Error::invalid(path.display().to_string(), format!("it is about {}", file.name)));
    }
    Ok(Decision { off: file.off, blocked: file.blocked })
}

/// Switches the built-in command of the locked name off, or on again.
pub fn switch(home: &Home, lock: &NameLock, on: bool) -> Result<()> {
    let before = decision(home, lock.name())?;
    write(home, lock, &Decision { off: !on, ..before })
}

/// Notes which built-in commands a registry blocks, and which it blocks no longer.
///
/// Every registry that is set up may stop a component by its digest. A name that another process is just changing is
/// left for the next refresh.
pub fn follow(home: &Home, built_in: BuiltIns, view: &View) -> Result<()> {
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

/// Forgets what a registry blocked that is not set up any more.
pub fn forget(home: &Home, built_in: BuiltIns, registry: &RegistryId) -> Result<()> {
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
    // Read again: it may have changed before the lock was ours.
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
