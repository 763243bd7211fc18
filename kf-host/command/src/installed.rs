//! The commands of this machine, by name.
//!
//! A command was added, and has a receipt in the home, or it is built in. If a name has both, the added one runs, because
//! the user chose it, unless the built-in one is a newer version by the same author. A [replacement](kf_registry::replacement)
//! takes precedence over both.

use std::collections::{BTreeMap, BTreeSet};

use kf_core::tree::CommandTree;
use kf_core::{Failure, PluginName};
use kf_home::Home;
use kf_registry::built_in::{self, BuiltIns, Decision};
use kf_registry::receipt::{self, Receipt};
use kf_registry::{Error, replacement};

use crate::hints::reinstall;
use crate::rights::Rights;

/// A command that can be started: its receipt and its command tree.
#[derive(Clone, Debug)]
pub struct Installed {
    pub receipt: Receipt,
    pub tree: CommandTree,
    /// Whether the built-in command of its name could run instead.
    has_fallback: bool,
}

impl Installed {
    pub fn new(receipt: Receipt) -> Result<Self, Failure> {
        let tree = CommandTree::from_json(receipt.commands.as_bytes())
            .map_err(|error| invalid_receipt(&receipt, &error))?;
        Ok(Self { receipt, tree, has_fallback: false })
    }

    /// The rights that its manifest requests.
    pub fn rights(&self) -> Result<Rights, Failure> {
        Rights::parse(&self.receipt.permissions).map_err(|error| invalid_receipt(&self.receipt, &error))
    }

    /// The rights of a command that may start: it is not blocked, and this kf supports its ABI.
    pub fn startable(&self) -> Result<Rights, Failure> {
        let receipt = &self.receipt;
        receipt.check_start().map_err(|blocked| {
            let name = &receipt.name;
            let restore = || format!("kf command replace {name} --restore");
            let upgrade = || format!("kf command upgrade {name}");
            Failure::from(blocked).hint(if self.has_fallback { restore() } else { upgrade() })
        })?;
        if !kf_core::abi::is_supported(&receipt.abi) {
            return Err(Failure::untrusted(format!(
                "{} {} needs ABI {}, which this kf does not support",
                receipt.name, receipt.version, receipt.abi
            ))
            .hint(format!("kf command upgrade {}", receipt.name)));
        }
        self.rights()
    }
}

/// The failure for a receipt that was changed or cannot be parsed.
pub(crate) fn invalid_receipt(receipt: &Receipt, why: &dyn std::fmt::Display) -> Failure {
    Failure::untrusted(format!("invalid receipt of {}: {why}", receipt.name)).hint(reinstall(receipt))
}

/// The commands of one machine.
#[derive(Clone, Copy)]
pub struct Commands<'a> {
    pub home: &'a Home,
    pub built_in: BuiltIns,
}

/// A name with its commands, or why they cannot be read.
pub type Listed = (PluginName, Result<Named, Error>);

/// The commands of one name.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// The one that runs. None if the built-in command is switched off and nothing was added.
    pub answers: Option<Receipt>,
    /// The one that does not run.
    pub other: Option<Receipt>,
}

impl Named {
    fn choose(added: Option<Receipt>, built_in: Option<Receipt>, decision: &Decision) -> Self {
        let built_in = built_in.map(|receipt| with_decision(receipt, decision));
        match (added, built_in) {
            (Some(added), Some(built_in)) if !decision.off && supersedes(&built_in, &added) => {
                Self { answers: Some(built_in), other: Some(added) }
            }
            (Some(added), built_in) => Self { answers: Some(added), other: built_in },
            (None, Some(built_in)) if decision.off => Self { answers: None, other: Some(built_in) },
            (None, built_in) => Self { answers: built_in, other: None },
        }
    }
}

/// The receipt of a built-in command, marked as blocked if it is.
fn with_decision(receipt: Receipt, decision: &Decision) -> Receipt {
    let digest = receipt.program_digest();
    let blocked = decision.blocked.as_ref().filter(|blocked| blocked.sha256 == digest);
    let blocked = blocked.map(|blocked| format!("{} (registry {})", blocked.reason, blocked.registry));
    Receipt { blocked, ..receipt }
}

/// Whether the built-in command runs instead of the added one: it is a newer version by the same author, from a kf that was
/// updated later.
pub(crate) fn supersedes(built_in: &Receipt, added: &Receipt) -> bool {
    built_in.blocked.is_none()
        && built_in.version > added.version
        && built_in.origin.shares_signer(&added.origin)
}

impl Commands<'_> {
    /// The command that runs under a name; none if there is no such command.
    pub fn find(self, name: &PluginName) -> Result<Option<Installed>, Failure> {
        let resolved = replacement::resolve(self.home, name)?;
        let Named { answers, other } = self.named(&resolved)?;
        let Some(receipt) = answers else { return Ok(None) };
        let has_fallback = other.is_some_and(|other| other.blocked.is_none());
        Ok(Some(Installed { has_fallback, ..Installed::new(receipt)? }))
    }

    /// The commands of a name, ignoring replacements.
    pub fn named(self, name: &PluginName) -> Result<Named, Error> {
        let added = receipt::read(self.home, name)?;
        let built_in = self.built_in.receipt(name)?;
        let decision = match built_in {
            Some(_) => built_in::decision(self.home, name)?,
            None => Decision::default(),
        };
        Ok(Named::choose(added, built_in, &decision))
    }

    /// The command of a name, ignoring replacements, or [`Error::NotInstalled`].
    pub fn require(self, name: &PluginName) -> Result<Receipt, Error> {
        self.named(name)?.answers.ok_or_else(|| Error::NotInstalled { name: name.clone() })
    }

    /// Everything that was added or is built in, sorted by name, ignoring replacements. A command that cannot be read is
    /// listed with its error; the others are not affected.
    pub fn list(self) -> Result<Vec<Listed>, Error> {
        let mut names: BTreeSet<PluginName> = self.built_in.names().collect();
        names.extend(receipt::names(self.home)?);
        Ok(names.into_iter().map(|name| (name.clone(), self.named(&name))).collect())
    }

    /// Every command that runs, by each name that it runs under. One with an invalid receipt is skipped; running it reports
    /// why.
    pub fn by_name(self) -> BTreeMap<PluginName, Installed> {
        let running: BTreeMap<PluginName, Receipt> = self
            .list()
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, named)| Some((name, named.ok()?.answers?)))
            .collect();
        let replaced: BTreeMap<PluginName, PluginName> =
            replacement::list(self.home).unwrap_or_default().into_iter().collect();
        let names: BTreeSet<&PluginName> = running.keys().chain(replaced.keys()).collect();
        let installed = |name: &PluginName| {
            let receipt = running.get(replaced.get(name).unwrap_or(name))?;
            Some((name.clone(), Installed::new(receipt.clone()).ok()?))
        };
        names.into_iter().filter_map(installed).collect()
    }
}

#[cfg(test)]
#[path = "installed_tests.rs"]
mod tests;
