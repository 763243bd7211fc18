//! Installed commands, their origin, and the user's consent.
//!
//! Each name has its own receipt file, so commands share no state and a broken receipt disables only its own
//! command. It is written last, in one rename: a command is installed if and only if its receipt exists. It has
//! everything that starting a command needs, so starting takes one read.

use std::collections::BTreeSet;

use jiff::Timestamp;
use kf_core::format::{self, Format, FormatError};
use kf_core::permissions::Permissions;
use kf_core::{CommandGroup, Digest, PluginName, RegistryId};
use kf_home::Home;
use kf_home::lock::NameLock;
use semver::Version;
use serde::{Deserialize, Serialize};
use sigstore_tuf::canonical_json::to_canonical_bytes;

use crate::error::{Error, Result};
use crate::index::{Origin, View};
use crate::parts::{Parts, Program};
use crate::previous;
use crate::trust::Fetched;
use crate::yank::Yanked;

/// The receipt format this kf reads and writes.
pub const FORMAT: u64 = 3;
pub(crate) const MAX_RECEIPT_BYTES: u64 = 4 * 1024 * 1024;

/// An installed command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    pub format: Format<FORMAT>,
    pub name: PluginName,
    pub version: Version,
    pub abi: Version,
    pub summary: String,
    pub license: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<CommandGroup>,
    pub origin: Origin,
    /// When it was installed.
    pub at: Timestamp,
    pub program: Program,
    /// Its files, in the store.
    pub parts: Parts,
    /// The permissions that its manifest requests.
    pub permissions: Permissions,
    /// The most that its registry allows. Not used for a local file, see [`Origin::Local`].
    pub ceiling: Permissions,
    pub consent: Consent,
    /// Why the registry blocks it, recorded at a later refresh.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub blocked: Option<String>,
    /// Whether this version is yanked, recorded at a later refresh or when it was added.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub yanked: bool,
    /// Why it is yanked, if the registry has a reason.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yank_reason: Option<String>,
    /// Native code, relative to the folder of compiled code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compiled: Option<String>,
    /// The command tree, as the exact text of `command.json`, so that its digest can be compared with the signed one.
    pub commands: String,
}

/// What the user accepted, when, and for exactly which bytes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Consent {
    /// Binds the rights to the release and its signer: see [`consent_digest`].
    pub digest: Digest,
    pub permissions: Permissions,
    pub at: Timestamp,
}

/// The digest over a release, its signer and its rights: "this code with this command tree, by this author,
/// with these rights". A script consents by passing it to `--accept`.
pub fn consent_digest(parts: &Parts, origin: &Origin, permissions: &Permissions) -> Digest {
    let (program, commands) = (parts.program().sha256, parts.commands().sha256);
    let signer = match origin {
        Origin::Registry { owner, .. } => format!("author {owner}"),
        Origin::BuiltIn { owner, .. } => format!("kf with {owner}"),
        Origin::Local { .. } => "nobody".to_owned(),
    };
    let mut text = format!("kf-consent-2\n{program}\n{commands}\n{signer}\n").into_bytes();
    text.extend_from_slice(&canonical(permissions));
    Digest::of(&text)
}

/// One line for each permission, in canonical form. Different sets have different lines.
fn canonical(permissions: &Permissions) -> Vec<u8> {
    let mut text = Vec::new();
    for rule in &permissions.kubernetes {
        // Canonical JSON sorts keys, so the digest does not depend on their order. It has no fractions, and
        // neither has a valid rule; one with a fraction is bound as it is spelled.
        let line = to_canonical_bytes(rule).unwrap_or_else(|_| rule.to_string().into_bytes());
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    // These lines are not JSON, so no rule has the same text.
    if permissions.selection {
        text.extend_from_slice(b"selection\n");
    }
    if permissions.terminal {
        text.extend_from_slice(b"terminal\n");
    }
    for header in &permissions.headers {
        text.extend_from_slice(format!("header {header}\n").as_bytes());
    }
    text
}

impl Receipt {
    /// The receipt of a fetched release, with consent given at `now` to everything that its manifest requests.
    pub fn new(fetched: &Fetched, compiled: Option<String>, now: Timestamp) -> Result<Self> {
        let resolved = &fetched.resolved;
        let plugin = &fetched.manifest.plugin;
        let permissions = fetched.manifest.permissions.clone();
        let commands = String::from_utf8(fetched.commands().to_vec())
            .map_err(|e| Error::invalid(format!("command.json of {}", resolved.name), e))?;
        Ok(Self {
            format: Format,
            name: resolved.name.clone(),
            version: resolved.version.clone(),
            abi: resolved.abi.clone(),
            summary: plugin.summary.clone(),
            license: plugin.license.clone(),
            homepage: plugin.homepage.clone(),
            group: plugin.group.clone(),
            origin: resolved.origin.clone(),
            at: now,
            program: resolved.program.clone(),
            parts: resolved.parts.clone(),
            ceiling: resolved.ceiling.clone(),
            consent: Consent {
                digest: consent_digest(&resolved.parts, &resolved.origin, &permissions),
                permissions: permissions.clone(),
                at: now,
            },
            permissions,
            blocked: None,
            yanked: resolved.yanked.is_some(),
            yank_reason: resolved.yanked.as_ref().and_then(|yanked| yanked.reason.clone()),
            compiled,
            commands,
        })
    }

    /// Whether it is yanked, and why.
    pub fn yank(&self) -> Option<Yanked> {
        self.yanked.then(|| Yanked { reason: self.yank_reason.clone() })
    }

    /// Fails if its registry blocked it.
    pub fn check_start(&self) -> Result<()> {
        match &self.blocked {
            None => Ok(()),
            Some(reason) => Err(Error::Blocked {
                registry: self.origin.registry().cloned(),
                name: self.name.clone(),
                version: self.version.clone(),
                reason: reason.clone(),
            }),
        }
    }

    /// The digest of the program.
    pub fn program_digest(&self) -> Digest {
        self.parts.program().sha256
    }

    /// Identifies this installation. Another version, other rights or a later time give another one; a refresh of the
    /// registry does not.
    pub fn installation(&self) -> Digest {
        let (name, version, at) = (&self.name, self.version.to_string(), self.at.to_string());
        let consent = self.consent.digest.to_string();
        Digest::of_parts(&[name.as_str(), &version, &consent, &at].map(str::as_bytes))
    }

    /// Whether its command tree matches the signed digest.
    fn is_tree_valid(&self) -> bool {
        self.parts.commands().sha256 == Digest::of(self.commands.as_bytes())
    }

    /// Whether the recorded consent is for this release, signer and rights. This detects a receipt edited by hand.
    pub fn is_consent_valid(&self) -> bool {
        self.consent.digest == consent_digest(&self.parts, &self.origin, &self.consent.permissions)
    }
}

/// Reads one receipt; `None` when the command is not installed.
pub fn read(home: &Home, name: &PluginName) -> Result<Option<Receipt>> {
    let path = home.receipt(name);
    path.read(MAX_RECEIPT_BYTES)?.map(|bytes| parse_at(&path.display().to_string(), name, &bytes)).transpose()
}

/// Parses and checks the receipt of a command.
pub(crate) fn parse(name: &PluginName, bytes: &[u8]) -> Result<Receipt> {
    parse_at(&format!("the receipt of {name}"), name, bytes)
}

fn parse_at(what: &str, name: &PluginName, bytes: &[u8]) -> Result<Receipt> {
    let bad = |reason: String| Error::BadReceipt { name: name.clone(), reason };
    let receipt: Receipt = match format::parse_json(what, bytes, FORMAT) {
        Ok(receipt) => receipt,
        Err(FormatError::Invalid { reason, .. }) => return Err(bad(reason)),
        Err(error) => return Err(error.into()),
    };
    check(name, &receipt)?;
    Ok(receipt)
}

/// Checks what a parsed receipt says about itself.
pub(crate) fn check(name: &PluginName, receipt: &Receipt) -> Result<()> {
    let bad = |reason: String| Error::BadReceipt { name: name.clone(), reason };
    if receipt.name != *name {
        return Err(bad(format!("it is for {}", receipt.name)));
    }
    if !receipt.is_consent_valid() {
        return Err(bad("its rights differ from those that were accepted".into()));
    }
    if !receipt.is_tree_valid() {
        return Err(bad("its command tree does not match the signed digest".into()));
    }
    Ok(())
}

/// Reads one receipt, or fails with [`Error::NotInstalled`].
pub fn require(home: &Home, name: &PluginName) -> Result<Receipt> {
    read(home, name)?.ok_or_else(|| Error::NotInstalled { name: name.clone() })
}

/// The names that have a receipt, sorted. A receipt may still fail to be [`read`].
pub fn names(home: &Home) -> Result<Vec<PluginName>> {
    let files = home.receipts().names()?.into_iter();
    Ok(files.filter_map(|file| PluginName::parse(file.strip_suffix(".json")?).ok()).collect())
}

/// Every receipt by name, sorted. One that cannot be read is listed with its error; the others are not affected.
pub fn list(home: &Home) -> Result<Vec<(PluginName, Result<Receipt>)>> {
    Ok(names(home)?
        .into_iter()
        .filter_map(|name| match read(home, &name) {
            Ok(None) => None,
            Ok(Some(receipt)) => Some((name, Ok(receipt))),
            Err(error) => Some((name, Err(error))),
        })
        .collect())
}

/// Writes the receipt of the locked name: from here on the command is installed.
///
/// A receipt of a newer format is not overwritten.
pub fn write(home: &Home, lock: &NameLock, receipt: &Receipt) -> Result<()> {
    if receipt.name != *lock.name() {
        return Err(kf_home::Error::Busy { name: receipt.name.to_string(), pid: None }.into());
    }
    refuse_newer(home, lock.name())?;
    Ok(home.receipt(&receipt.name).write_json(receipt)?)
}

/// Removes the receipt of the locked name: from here on the command is not installed. Then forgets what was installed
/// before it.
pub fn remove(home: &Home, lock: &NameLock) -> Result<()> {
    refuse_newer(home, lock.name())?;
    let path = home.receipt(lock.name());
    match fs_err::remove_file(&path) {
        Ok(()) => previous::forget(home, lock),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            Err(Error::NotInstalled { name: lock.name().clone() })
        }
        Err(e) => Err(Error::writing(&path, e)),
    }
}

/// Updates the blocks, yanks and ceilings in every receipt of the registry, and in the kept ones of earlier versions.
///
/// Code and consent do not change: a lower ceiling removes rights, and a higher one adds none that were not
/// accepted. A name that another process has locked is skipped until the next refresh, and so is one with an invalid
/// receipt, which does not start anyway.
pub(crate) fn update_from(home: &Home, view: &View) -> Result<()> {
    for (name, receipt) in list(home)? {
        let Ok(receipt) = receipt else { continue };
        if receipt.origin.registry() != Some(&view.registry) || updated(&receipt, view) == receipt {
            continue;
        }
        let lock = match NameLock::try_acquire(home, &name) {
            Ok(lock) => lock,
            Err(kf_home::Error::Busy { .. }) => continue,
            Err(error) => return Err(error.into()),
        };
        // Read again: it may have changed before the lock was acquired.
        if let Some(receipt) = read(home, &name)? {
            write(home, &lock, &updated(&receipt, view))?;
        }
    }
    previous::update_from(home, view)
}

/// The commands that are installed from a registry, or were before. A receipt that cannot be read is skipped, as in
/// [`update_from`].
pub(crate) fn names_from(home: &Home, registry: &RegistryId) -> Result<BTreeSet<PluginName>> {
    let installed = list(home)?.into_iter();
    let is_from = |receipt: &Result<Receipt>| {
        receipt.as_ref().is_ok_and(|receipt| receipt.origin.registry() == Some(registry))
    };
    let mut names: BTreeSet<PluginName> =
        installed.filter(|(_, receipt)| is_from(receipt)).map(|(name, _)| name).collect();
    names.extend(previous::names_from(home, registry)?);
    Ok(names)
}

/// The receipt with the registry's current blocks, yanks and ceiling.
pub(crate) fn updated(receipt: &Receipt, view: &View) -> Receipt {
    let mut new = receipt.clone();
    let block = view.blocked.iter().find(|block| block.sha256 == receipt.program_digest());
    new.blocked = block.map(|block| block.reason.clone());
    if let Some(listed) = view.plugins.get(&receipt.name) {
        new.ceiling = listed.entry.ceiling.clone();
        let yanked = Yanked::find(&listed.entry.yanked, &receipt.version);
        new.yanked = yanked.is_some();
        new.yank_reason = yanked.and_then(|yanked| yanked.reason);
    }
    new
}

fn refuse_newer(home: &Home, name: &PluginName) -> Result<()> {
    match read(home, name) {
        Err(error @ Error::Home(kf_home::Error::Format(FormatError::Newer { .. }))) => Err(error),
        _ => Ok(()),
    }
}
