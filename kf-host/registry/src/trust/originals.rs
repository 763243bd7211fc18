//! The files of a verified state, unchanged, for a copy of the registry.

use kf_core::{AuthorId, Digest, PluginName};
use semver::Version;
use sigstore_tuf::metadata::MetaFile;
use sigstore_tuf::{TrustedMetadataSet, UpdaterConfig};

use super::state::signed_version;
use super::view::index_of;
use super::{Session, from_tuf};
use crate::catalogue;
use crate::error::{Error, Result};
use crate::index;
use crate::parts::Part;
use crate::transport::{Transport, is_plain_path};

/// The metadata of a registry, by file name.
pub(crate) struct Metadata {
    /// The roots that lead to the current one, oldest first.
    pub(crate) roots: Vec<(String, Vec<u8>)>,
    /// Snapshot and targets, and the roles that the snapshot lists. Their names have versions.
    pub(crate) roles: Vec<(String, Vec<u8>)>,
    pub(crate) timestamp: Vec<u8>,
}

impl Session {
    /// The metadata of the state.
    ///
    /// # Errors
    ///
    /// The registry has no consistent snapshots: its file names have no versions.
    pub(crate) fn metadata(&self) -> Result<Metadata> {
        let trusted = self.client.updater.trusted();
        let (Some(snapshot), Some(timestamp)) = (trusted.snapshot(), self.memory.get("timestamp.json"))
        else {
            return Err(self.missing("the timestamp or the snapshot"));
        };
        if !trusted.root().consistent_snapshot {
            return Err(self.untrusted("its root does not set consistent_snapshot".into()));
        }
        let bytes = self.memory.get("snapshot.json").ok_or_else(|| self.missing("the snapshot"))?;
        let mut roles = vec![(format!("{}.snapshot.json", snapshot.version), bytes)];
        for (file, pin) in &snapshot.meta {
            // No client of kf loads a role with another name.
            if file.contains('/') || !is_plain_path(file) {
                continue;
            }
            match self.role(file, pin) {
                Some(bytes) => roles.push((format!("{}.{file}", pin.version), bytes)),
                None if file.strip_suffix(".json").and_then(|role| trusted.targets_role(role)).is_some() => {
                    return Err(self.missing(file));
                }
                // The registry itself does not have it, or it is not needed.
                None => {}
            }
        }
        Ok(Metadata { roots: self.roots()?, roles, timestamp })
    }

    /// The indexes of targets and of the loaded shards, and the catalogue if there is a copy of it: path among the targets,
    /// digest and bytes.
    pub(crate) fn lists(&self) -> Result<Vec<(String, Digest, Vec<u8>)>> {
        let shards = self.shards.keys().map(|prefix| (prefix.role(), prefix.index_path()));
        let mut lists = Vec::new();
        for (role, path) in std::iter::once(("targets".to_owned(), index::PATH.to_owned())).chain(shards) {
            let bytes = index_of(&self.registry, &self.client.updater, &role, &path)?;
            lists.push((path, Digest::of(&bytes), bytes));
        }
        let catalogue = match self.catalogue() {
            Err(Error::Unreachable { .. }) if self.transport.is_none() => None,
            found => found?,
        };
        lists.extend(catalogue.map(|bytes| (catalogue::PATH.to_owned(), Digest::of(&bytes), bytes)));
        Ok(lists)
    }

    /// Fetches one file of a release.
    pub(crate) fn fetch_file(
        &self,
        owner: &AuthorId,
        name: &PluginName,
        version: &Version,
        part: Part,
    ) -> Result<Vec<u8>> {
        self.deadline.restart(self.fetch_limit);
        self.fetch_part(&owner.role(), &part.kind.path(name, version), part)
    }

    /// The file of a role that the snapshot lists, from memory or else from the registry. One that is not valid is
    /// returned too, because the registry has it: clients then ignore its author.
    fn role(&self, file: &str, pin: &MetaFile) -> Option<Vec<u8>> {
        let stored = self.memory.get(file).filter(|bytes| is_pinned(bytes, pin));
        let max = UpdaterConfig::default().targets_max_length;
        stored
            .or_else(|| self.fetch_metadata(&format!("{}.{file}", pin.version), max))
            .filter(|bytes| is_pinned(bytes, pin))
    }

    fn fetch_metadata(&self, file: &str, max: u64) -> Option<Vec<u8>> {
        let transport: &Transport = self.transport.as_deref()?;
        self.deadline.restart(self.fetch_limit);
        transport.get(&format!("metadata/{file}"), max).ok().flatten()
    }

    fn roots(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let pinned = TrustedMetadataSet::from_root(&self.root).map_err(|e| from_tuf(&self.registry, &e))?;
        let pinned = pinned.root().version;
        let mut roots = self.roots_before(pinned);
        roots.push((root_file(pinned), self.root.clone()));
        for version in pinned.saturating_add(1)..=self.client.updater.trusted().root().version {
            let file = root_file(version);
            let bytes =
                self.memory.get(&format!("root_history/{file}")).ok_or_else(|| self.missing(&file))?;
            roots.push((file, bytes));
        }
        Ok(roots)
    }

    /// The roots before the pinned one, for clients that pinned an earlier one. None if the registry does not have all of
    /// them, or if they do not lead to the pinned one.
    fn roots_before(&self, pinned: u64) -> Vec<(String, Vec<u8>)> {
        let limits = UpdaterConfig::default();
        let mut found = Vec::new();
        let mut trusted: Option<TrustedMetadataSet> = None;
        for version in 1..pinned.min(limits.max_root_rotations.into()) {
            let file = root_file(version);
            let Some(bytes) = self.fetch_metadata(&file, limits.root_max_length) else { return Vec::new() };
            let next = match trusted.take() {
                None => TrustedMetadataSet::from_root(&bytes),
                Some(mut trusted) => trusted.update_root(&bytes).map(|()| trusted),
            };
            match next {
                Ok(next) if next.root().version == version => trusted = Some(next),
                _ => return Vec::new(),
            }
            found.push((file, bytes));
        }
        match trusted.map(|mut trusted| trusted.update_root(&self.root)) {
            Some(Ok(())) => found,
            _ => Vec::new(),
        }
    }

    fn missing(&self, what: &str) -> Error {
        self.untrusted(format!("{what} is missing from its stored state"))
    }
}

fn root_file(version: u64) -> String {
    format!("{version}.root.json")
}

/// Whether a file is the one that the snapshot lists.
fn is_pinned(bytes: &[u8], pin: &MetaFile) -> bool {
    let version = std::str::from_utf8(bytes).ok().and_then(signed_version);
    let sha256 = pin.hashes.as_ref().and_then(|hashes| hashes.get("sha256"));
    version == Some(pin.version)
        && pin.length.is_none_or(|length| length == bytes.len() as u64)
        && sha256.is_none_or(|sha256| *sha256 == Digest::of(bytes).to_string())
}
