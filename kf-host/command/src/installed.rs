//! The commands that are installed, by the names they answer to.

use std::collections::{BTreeMap, BTreeSet};

use kf_core::tree::CommandTree;
use kf_core::{Failure, PluginName};
use kf_home::Home;
use kf_registry::receipt::{self, Receipt};
use kf_registry::slot;

use crate::rights::Rights;

/// A command that can be started: its receipt and its command tree.
#[derive(Clone, Debug)]
pub struct Installed {
    pub receipt: Receipt,
    pub tree: CommandTree,
}

impl Installed {
    pub fn new(receipt: Receipt) -> Result<Self, Failure> {
        let tree = CommandTree::from_json(receipt.commands.as_bytes())
            .map_err(|error| unusable(&receipt, &error))?;
        Ok(Self { receipt, tree })
    }

    /// What its manifest asks for.
    pub fn rights(&self) -> Result<Rights, Failure> {
        Rights::parse(&self.receipt.permissions)
            .map_err(|error| unusable(&self.receipt, &format_args!("its {error}")))
    }

    /// The rights of a command that may start now: not blocked, and of an ABI that this kf runs.
    pub fn startable(&self) -> Result<Rights, Failure> {
        let receipt = &self.receipt;
        receipt.check_start()?;
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

/// The command that answers to a name; none if there is no such command.
pub fn find(home: &Home, name: &PluginName) -> Result<Option<Installed>, Failure> {
    let answering = slot::answering(home, name)?;
    receipt::read(home, &answering)?.map(Installed::new).transpose()
}

/// Every command by each name that it answers to. One whose receipt cannot be used is left out here, and
/// says why when it is called.
pub fn by_name(home: &Home) -> BTreeMap<PluginName, Installed> {
    let receipts: BTreeMap<PluginName, Receipt> = receipt::list(home)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|(name, receipt)| Some((name, receipt.ok()?)))
        .collect();
    let replaced: BTreeMap<PluginName, PluginName> =
        slot::list(home).unwrap_or_default().into_iter().collect();
    let names: BTreeSet<&PluginName> = receipts.keys().chain(replaced.keys()).collect();
    let answering = |name: &PluginName| {
        let receipt = receipts.get(replaced.get(name).unwrap_or(name))?;
        Some((name.clone(), Installed::new(receipt.clone()).ok()?))
    };
    names.into_iter().filter_map(answering).collect()
}
