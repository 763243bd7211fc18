//! The commands of this machine, by the names they answer to.
//!
//! A command is here because it was added, and then has a receipt in the home, or because kf carries it inside. Of one name
//! there may be both. Then what was added answers, for its user has chosen it; only where it is an earlier version of the
//! same author does a newer kf's own take its place. A [replacement](kf_registry::slot) goes before either.

use std::collections::{BTreeMap, BTreeSet};

use kf_core::tree::CommandTree;
use kf_core::{Failure, PluginName};
use kf_home::Home;
use kf_registry::built_in::{self, BuiltIns, Decision};
use kf_registry::receipt::{self, Receipt};
use kf_registry::{Error, slot};

use crate::rights::Rights;

/// A command that can be started: its receipt and its command tree.
#[derive(Clone, Debug)]
pub struct Installed {
    pub receipt: Receipt,
    pub tree: CommandTree,
    /// Whether the built-in command of its name could run in its place.
    has_fallback: bool,
}

impl Installed {
    pub fn new(receipt: Receipt) -> Result<Self, Failure> {
        let tree = CommandTree::from_json(receipt.commands.as_bytes())
            .map_err(|error| unusable(&receipt, &error))?;
        Ok(Self { receipt, tree, has_fallback: false })
    }

    /// What its manifest asks for.
    pub fn rights(&self) -> Result<Rights, Failure> {
        Rights::parse(&self.receipt.permissions)
            .map_err(|error| unusable(&self.receipt, &format_args!("its {error}")))
    }

    /// The rights of a command that may start now: not blocked, and of an ABI that this kf runs.
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
                "{} {} is built for ABI {}, which this kf does not run",
                receipt.name, receipt.version, receipt.abi
            ))
            .hint(format!("kf command upgrade {}", receipt.name)));
        }
        self.rights()
    }
}

/// A receipt that says what it must not.
pub(crate) fn unusable(receipt: &Receipt, why: &dyn std::fmt::Display) -> Failure {
    Failure::untrusted(format!("the receipt of {} cannot be used: {why}", receipt.name))
        .hint(format!("kf command remove {0} && kf command add {0}", receipt.name))
}

/// The commands of one machine.
#[derive(Clone, Copy)]
pub struct Commands<'a> {
    pub home: &'a Home,
    pub built_in: BuiltIns,
}

/// A name with what there is under it, or why that cannot be read.
pub type Listed = (PluginName, Result<Named, Error>);

/// What there is under a name.
#[derive(Clone, Debug, PartialEq)]
pub struct Named {
    /// What runs. None where the built-in command is switched off and nothing was added.
    pub answers: Option<Receipt>,
    /// What is here, too, and does not run.
    pub other: Option<Receipt>,
}

impl Named {
    fn choose(added: Option<Receipt>, built_in: Option<Receipt>, decision: &Decision) -> Self {
        let built_in = built_in.map(|receipt| decided(receipt, decision));
        match (added, built_in) {
            (Some(added), Some(built_in)) if !decision.off && takes_over(&built_in, &added) => {
                Self { answers: Some(built_in), other: Some(added) }
            }
            (Some(added), built_in) => Self { answers: Some(added), other: built_in },
            (None, Some(built_in)) if decision.off => Self { answers: None, other: Some(built_in) },
            (None, built_in) => Self { answers: built_in, other: None },
        }
    }
}

/// The receipt of a built-in command with what was decided about it.
fn decided(receipt: Receipt, decision: &Decision) -> Receipt {
    let digest = receipt.program_digest();
    let blocked = decision.blocked.as_ref().filter(|blocked| blocked.sha256 == digest);
    let blocked = blocked.map(|blocked| format!("{} (registry {})", blocked.reason, blocked.registry));
    Receipt { blocked, ..receipt }
}

/// Whether kf's own command runs instead of one that was added under its name: kf was updated since, and brought what the
/// same author released later.
fn takes_over(built_in: &Receipt, added: &Receipt) -> bool {
    built_in.blocked.is_none()
        && built_in.version > added.version
        && built_in.origin.shares_signer(&added.origin)
}

impl Commands<'_> {
    /// The command that answers to a name; none if there is no such command.
    pub fn find(self, name: &PluginName) -> Result<Option<Installed>, Failure> {
        let answering = slot::answering(self.home, name)?;
        let Named { answers, other } = self.named(&answering)?;
        let Some(receipt) = answers else { return Ok(None) };
        let has_fallback = other.is_some_and(|other| other.blocked.is_none());
        Ok(Some(Installed { has_fallback, ..Installed::new(receipt)? }))
    }

    /// What there is under a name, whatever replaces it.
    pub fn named(self, name: &PluginName) -> Result<Named, Error> {
        let added = receipt::read(self.home, name)?;
        let built_in = self.built_in.receipt(name)?;
        let decision = match built_in {
            Some(_) => built_in::decision(self.home, name)?,
            None => Decision::default(),
        };
        Ok(Named::choose(added, built_in, &decision))
    }

    /// The command of a name, whatever replaces it, or [`Error::NotInstalled`].
    pub fn require(self, name: &PluginName) -> Result<Receipt, Error> {
        self.named(name)?.answers.ok_or_else(|| Error::NotInstalled { name: name.clone() })
    }

    /// Everything that was added or is built in, sorted by name, whatever replaces it. What cannot be read stands there
    /// with its error; the others are not affected.
    pub fn list(self) -> Result<Vec<Listed>, Error> {
        let mut names: BTreeSet<PluginName> = self.built_in.names().collect();
        names.extend(receipt::names(self.home)?);
        Ok(names.into_iter().map(|name| (name.clone(), self.named(&name))).collect())
    }

    /// Every command that runs, by each name that it answers to. One whose receipt cannot be used is left out here, and
    /// says why when it is called.
    pub fn by_name(self) -> BTreeMap<PluginName, Installed> {
        let answering: BTreeMap<PluginName, Receipt> = self
            .list()
            .unwrap_or_default()
            .into_iter()
            .filter_map(|(name, named)| Some((name, named.ok()?.answers?)))
            .collect();
        let replaced: BTreeMap<PluginName, PluginName> =
            slot::list(self.home).unwrap_or_default().into_iter().collect();
        let names: BTreeSet<&PluginName> = answering.keys().chain(replaced.keys()).collect();
        let answering = |name: &PluginName| {
            let receipt = answering.get(replaced.get(name).unwrap_or(name))?;
            Some((name.clone(), Installed::new(receipt.clone()).ok()?))
        };
        names.into_iter().filter_map(answering).collect()
    }
}

#[cfg(test)]
#[path = "installed_tests.rs"]
mod tests;
