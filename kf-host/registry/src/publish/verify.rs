//! Checks of a whole published folder, as an admin runs them before or after it is uploaded.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use kf_core::{Digest, PluginName, RegistryId};
use semver::Version;
use sigstore_tuf::metadata::{TargetFile, Targets};

use super::current::{Anchor, Current};
use super::metadata::{self, Body, Signed};
use crate::error::{Error, Result};
use crate::trust::RoleStatus;

/// What a published folder has.
#[derive(Clone, Debug)]
pub struct Verified {
    pub registry: RegistryId,
    pub roles: Vec<RoleStatus>,
    /// Commands in the index.
    pub commands: usize,
    /// Published versions of all commands.
    pub versions: usize,
    /// Files below `targets/` that are signed.
    pub files: usize,
    /// Their size in bytes.
    pub bytes: u64,
    /// What a user could not use, in one line each.
    pub problems: Vec<String>,
}

/// The roles in a published folder, verified from the pinned root. Expired ones are listed as well.
pub fn roles(published: &Path, pinned_root: &[u8]) -> Result<Vec<RoleStatus>> {
    Ok(statuses(&read(published, pinned_root)?))
}

/// Verifies all metadata in a published folder from the pinned root, and the digest of every signed file.
///
/// # Errors
///
/// The metadata is invalid. Expired roles, and missing or changed files, are [problems](Verified::problems).
pub fn verify(published: &Path, pinned_root: &[u8], now: Timestamp) -> Result<Verified> {
    let current = read(published, pinned_root)?;
    let index = current.index.as_ref().ok_or_else(|| nothing_published(published))?;
    let roles = statuses(&current);
    let mut problems: Vec<String> = roles
        .iter()
        .filter(|role| role.expires < now)
        .map(|role| format!("role {} expired at {}", role.name, role.expires))
        .collect();
    let (mut files, mut bytes, mut versions) = (0, 0, 0);
    let mut signed: Vec<(&String, &TargetFile)> = Vec::new();
    let admins = current.targets.iter().chain(current.shards_in_use().map(|(_, shard)| shard));
    signed.extend(admins.flat_map(|role| &role.body().targets));
    for (id, role) in &current.authors {
        if !index.plugins.values().any(|entry| entry.owner == *id) {
            continue;
        }
        versions += super::release::versions(&role.body().targets, &BTreeMap::new()).len();
        signed.extend(&role.body().targets);
    }
    for (path, entry) in signed {
        files += 1;
        match current.read_target(path, entry) {
            Ok(content) if content.len() as u64 == entry.length => bytes += entry.length,
            Ok(_) => problems.push(format!("{path} does not have its signed length")),
            Err(_) => problems.push(format!("{path} is missing, or does not match its signed digest")),
        }
    }
    Ok(Verified {
        registry: index.registry.clone(),
        roles,
        commands: index.plugins.len(),
        versions,
        files,
        bytes,
        problems,
    })
}

/// The component's digest of every published version of a command.
pub fn versions(
    published: &Path,
    pinned_root: Option<&[u8]>,
    name: &PluginName,
) -> Result<BTreeMap<Version, Digest>> {
    let current = Current::read(published, Anchor { root: pinned_root, keys: None })?;
    let found = current.components(name);
    Ok(found.filter_map(|(version, file)| Some((version, metadata::sha256(&file.hashes)?))).collect())
}

fn read(published: &Path, pinned_root: &[u8]) -> Result<Current> {
    let current = Current::read(published, Anchor { root: Some(pinned_root), keys: None })?;
    match current.timestamp {
        Some(_) => Ok(current),
        None => Err(nothing_published(published)),
    }
}

fn nothing_published(published: &Path) -> Error {
    Error::NothingPublished(published.to_owned())
}

fn statuses(current: &Current) -> Vec<RoleStatus> {
    let mut roles = Vec::new();
    roles.extend(current.root().map(|role| status("root", role)));
    roles.extend(current.timestamp.as_ref().map(|role| status("timestamp", role)));
    roles.extend(current.snapshot.as_ref().map(|role| status("snapshot", role)));
    roles.extend(current.targets.as_ref().map(|role| status("targets", role)));
    roles.extend(current.shards_in_use().map(|(prefix, role)| status(&prefix.role(), role)));
    roles.extend(current.authors.iter().map(|(id, role): (_, &Signed<Targets>)| status(&id.role(), role)));
    roles
}

fn status<T: Body>(name: &str, role: &Signed<T>) -> RoleStatus {
    RoleStatus::of(name, role.body().extra(), role.body())
}
