//! What is installed or offered, compared with what is pinned.

use std::collections::BTreeSet;

use kf_core::permissions::Permissions;
use kf_core::tree::PathArguments;
use kf_core::{Digest, Failure, PluginName};
use kf_registry::index::{Origin, Resolved};
use kf_registry::parts::Parts;
use kf_registry::receipt::{Receipt, consent_digest};
use semver::Version;

use super::rights::lines;
use super::{Entry, Lockfile};
use crate::installed::{self, Commands, Named};
use crate::rights::Rights;

/// The most rights that one error lists.
const MAX_LISTED: usize = 6;

impl Entry {
    /// The entry for a release from a registry; none for one from elsewhere.
    pub(super) fn new(
        version: &Version,
        origin: &Origin,
        parts: &Parts,
        permissions: &Permissions,
        rights: &Rights,
        paths: &PathArguments,
    ) -> Option<Self> {
        let Origin::Registry { registry, owner, keyids, .. } = origin else { return None };
        Some(Self {
            version: version.clone(),
            registry: registry.clone(),
            owner: owner.clone(),
            keyids: keyids.iter().cloned().collect(),
            consent: consent_digest(parts, origin, permissions),
            rights: lines(rights, paths),
            parts: parts.clone(),
        })
    }

    /// The entry for an installed command; none if it is not from a registry.
    pub(super) fn of_receipt(receipt: &Receipt) -> Result<Option<Self>, Failure> {
        let installed = installed::Installed::new(receipt.clone())?;
        let (rights, paths) = (installed.rights()?, PathArguments::of(&installed.tree));
        let Receipt { version, origin, parts, permissions, .. } = receipt;
        Ok(Self::new(version, origin, parts, permissions, &rights, &paths))
    }

    /// How an offered release differs, before its files are fetched.
    pub(super) fn offered_differs(&self, offered: &Resolved) -> Vec<String> {
        let Origin::Registry { registry, owner, keyids, .. } = &offered.origin else {
            return vec!["it is not from a registry".to_owned()];
        };
        let keyids: BTreeSet<&str> = keyids.iter().map(String::as_str).collect();
        let mut found = Vec::new();
        differ(&mut found, "version", &offered.version, &self.version);
        differ(&mut found, "registry", registry, &self.registry);
        differ(&mut found, "owner", owner, &self.owner);
        if keyids != self.keyids.iter().map(String::as_str).collect() {
            found.push(format!("keys of {owner}: other key ids are pinned"));
        }
        for (offered, pinned) in offered.parts.iter().zip(self.parts.iter()) {
            if offered != pinned {
                found.push(format!(
                    "{}: sha256 {}, pinned {}",
                    offered.kind.file_name(),
                    offered.sha256.short(),
                    pinned.sha256.short()
                ));
            }
        }
        found
    }

    /// How the rights of an examined release differ.
    pub(super) fn rights_differ(
        &self,
        consent: Digest,
        rights: &Rights,
        paths: &PathArguments,
    ) -> Option<String> {
        let found = lines(rights, paths);
        let more: Vec<String> = found.difference(&self.rights).map(|line| format!("+ {line}")).collect();
        let fewer: Vec<String> = self.rights.difference(&found).map(|line| format!("- {line}")).collect();
        let all: Vec<&String> = more.iter().chain(&fewer).collect();
        let shown: Vec<&str> = all.iter().take(MAX_LISTED).map(|line| line.as_str()).collect();
        let rest = all.len().saturating_sub(MAX_LISTED);
        match (all.is_empty(), rest) {
            (true, _) if consent == self.consent => None,
            (true, _) => {
                Some(format!("rights: their digest is {}, pinned {}", consent.short(), self.consent.short()))
            }
            (false, 0) => Some(format!("rights: {}", shown.join("; "))),
            (false, rest) => Some(format!("rights: {}; and {rest} more", shown.join("; "))),
        }
    }

    /// How another entry of the same command differs from this one.
    pub fn differs_from(&self, pinned: &Self) -> Vec<String> {
        let mut found = Vec::new();
        differ(&mut found, "version", &self.version, &pinned.version);
        differ(&mut found, "registry", &self.registry, &pinned.registry);
        differ(&mut found, "owner", &self.owner, &pinned.owner);
        found.extend(
            (self.keyids != pinned.keyids)
                .then(|| format!("keys of {}: other key ids are pinned", self.owner)),
        );
        found.extend((self.parts != pinned.parts).then(|| "files: other digests are pinned".to_owned()));
        if (self.consent, &self.rights) != (pinned.consent, &pinned.rights) && self.parts == pinned.parts {
            found.push("rights: others are pinned".to_owned());
        }
        found
    }

    /// The lines of rights that this entry has and `old` does not, and the other way round.
    pub fn changed_rights(&self, old: Option<&Self>) -> Vec<String> {
        let none = BTreeSet::new();
        let before = old.map_or(&none, |old| &old.rights);
        let more = self.rights.difference(before).map(|line| format!("+ {line}"));
        more.chain(before.difference(&self.rights).map(|line| format!("- {line}"))).collect()
    }
}

fn differ<T: PartialEq + std::fmt::Display>(found: &mut Vec<String>, what: &str, is: &T, pinned: &T) {
    if is != pinned {
        found.push(format!("{what}: {is}, pinned {pinned}"));
    }
}

/// A pinned command and what is installed under its name.
#[derive(Clone, Debug)]
pub struct Installed {
    pub name: PluginName,
    pub pinned: Version,
    pub status: Status,
}

/// Whether the pinned release is installed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Same,
    NotInstalled,
    /// The installed version, and how it differs.
    Differs {
        version: Version,
        why: Vec<String>,
    },
    /// It cannot be read.
    Broken {
        why: String,
    },
}

/// Compares every pinned command with the installed one. Nothing is fetched.
pub fn compare(commands: Commands<'_>, lock: &Lockfile) -> Vec<Installed> {
    let status = |name: &PluginName, entry: &Entry| -> Result<Status, Failure> {
        let named = commands.named(name).map_err(Failure::from)?;
        let Named { answers: Some(receipt), .. } = named else { return Ok(Status::NotInstalled) };
        let version = receipt.version.clone();
        Ok(match Entry::of_receipt(&receipt)? {
            None => Status::Differs { version, why: vec![format!("it is {}", receipt.origin)] },
            Some(found) => match found.differs_from(entry) {
                why if why.is_empty() => Status::Same,
                why => Status::Differs { version, why },
            },
        })
    };
    let compared = |(name, entry): (&PluginName, &Entry)| Installed {
        name: name.clone(),
        pinned: entry.version.clone(),
        status: status(name, entry)
            .unwrap_or_else(|error| Status::Broken { why: error.message().to_owned() }),
    };
    lock.commands.iter().map(compared).collect()
}
