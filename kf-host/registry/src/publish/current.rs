//! What is published already.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::{AuthorId, Digest, PluginName};
use semver::Version;
use sigstore_tuf::TrustedMetadataSet;
use sigstore_tuf::metadata::{MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp as TimestampRole};

use super::metadata::{self, Body, Signed};
use super::release;
use crate::error::{Error, Result};
use crate::index::{self, Index};
use crate::trust::chain;

/// The one file that is replaced, and without a version in its name.
pub(super) const TIMESTAMP: &str = "timestamp.json";

/// The published state that clients see, read back and verified. Its expiry does not matter: what ran out is what
/// a new publication is for.
#[derive(Debug)]
pub(super) struct Current {
    published: PathBuf,
    /// Every root, the first one first.
    pub(super) roots: Vec<Signed<Root>>,
    pub(super) timestamp: Option<Signed<TimestampRole>>,
    pub(super) snapshot: Option<Signed<Snapshot>>,
    pub(super) targets: Option<Signed<Targets>>,
    /// Of everybody who ever published, delegated to or not.
    pub(super) authors: BTreeMap<AuthorId, Signed<Targets>>,
    pub(super) index: Option<(Vec<u8>, Index)>,
}

impl Current {
    pub(super) fn read(published: &Path) -> Result<Self> {
        let mut current = Self {
            published: published.to_owned(),
            roots: Vec::new(),
            timestamp: None,
            snapshot: None,
            targets: None,
            authors: BTreeMap::new(),
            index: None,
        };
        let Some(mut trusted) = current.read_roots()? else { return Ok(current) };
        let path = current.metadata_path(TIMESTAMP);
        let Some(bytes) = read_if_there(&path)? else { return Ok(current) };
        // Nothing has expired at the beginning of time.
        let now = Timestamp::MIN;
        trusted.update_timestamp(&bytes, now).map_err(|e| damaged(&path, chain(&e)))?;
        let timestamp = Signed::<TimestampRole>::parse(TIMESTAMP, bytes)?;

        let pin = timestamp.body().snapshot_meta();
        let snapshot: Signed<Snapshot> = current.pinned("snapshot.json", pin)?;
        trusted.update_snapshot(&snapshot.bytes, now).map_err(|e| damaged(&path, chain(&e)))?;
        let targets: Signed<Targets> =
            current.pinned("targets.json", snapshot.body().meta.get("targets.json"))?;
        trusted.update_targets(&targets.bytes, now).map_err(|e| damaged(&path, chain(&e)))?;
        for (file, pin) in &snapshot.body().meta {
            if let Some(id) = file.strip_prefix("author-").and_then(|rest| rest.strip_suffix(".json")) {
                // Its signatures may be those of a key that was taken out of the delegation; the snapshot vouches
                // for its bytes.
                current.authors.insert(AuthorId::parse(id)?, current.pinned(file, Some(pin))?);
            }
        }
        let entry = targets.body().target(index::PATH);
        let entry = entry.ok_or_else(|| damaged(&path, format!("no admin signs {}", index::PATH)))?;
        let bytes = current.read_target(index::PATH, entry)?;
        let index = Index::parse(&bytes)?;
        current.index = Some((bytes, index));
        current.timestamp = Some(timestamp);
        current.snapshot = Some(snapshot);
        current.targets = Some(targets);
        Ok(current)
    }

    fn read_roots(&mut self) -> Result<Option<TrustedMetadataSet>> {
        let mut trusted: Option<TrustedMetadataSet> = None;
        for version in 1.. {
            let path = self.metadata_path(&format!("{version}.root.json"));
            let Some(bytes) = read_if_there(&path)? else { break };
            match &mut trusted {
                None => {
                    trusted =
                        Some(TrustedMetadataSet::from_root(&bytes).map_err(|e| damaged(&path, chain(&e)))?)
                }
                Some(trusted) => trusted.update_root(&bytes).map_err(|e| damaged(&path, chain(&e)))?,
            }
            let root = Signed::<Root>::parse(&path.display().to_string(), bytes)?;
            if root.version() != version {
                return Err(damaged(&path, format!("it is version {}", root.version())));
            }
            self.roots.push(root);
        }
        Ok(trusted)
    }

    /// The file that `pin` names, which must be as it was signed.
    fn pinned<T: Body>(&self, name: &str, pin: Option<&MetaFile>) -> Result<Signed<T>> {
        let pin = pin.ok_or_else(|| Error::Publish(format!("the published metadata does not pin {name}")))?;
        let path = self.metadata_path(&format!("{}.{name}", pin.version));
        let bytes = read_if_there(&path)?.ok_or_else(|| damaged(&path, "it is missing"))?;
        let expected = pin.hashes.as_ref().and_then(metadata::sha256);
        if expected != Some(Digest::of(&bytes)) {
            return Err(damaged(&path, "it is not what the snapshot pins"));
        }
        Signed::parse(&path.display().to_string(), bytes)
    }

    fn metadata_path(&self, file: &str) -> PathBuf {
        self.published.join("metadata").join(file)
    }

    pub(super) fn root(&self) -> Option<&Signed<Root>> {
        self.roots.last()
    }

    /// The bytes of a published target.
    pub(super) fn read_target(&self, path: &str, entry: &TargetFile) -> Result<Vec<u8>> {
        let digest = metadata::sha256(&entry.hashes)
            .ok_or_else(|| Error::Publish(format!("the published metadata has no sha256 of {path}")))?;
        let stored = self.published.join("targets").join(release::stored(path, digest));
        let bytes = read_if_there(&stored)?.ok_or_else(|| damaged(&stored, "it is missing"))?;
        if Digest::of(&bytes) != digest {
            return Err(damaged(&stored, "it does not match its signed digest"));
        }
        Ok(bytes)
    }

    /// What was published under `path`, whoever signed it.
    pub(super) fn target(&self, path: &str) -> Option<&TargetFile> {
        self.authors.values().find_map(|role| role.body().target(path))
    }

    /// The newest version of a command that was published, whoever signed it.
    pub(super) fn newest(&self, name: &PluginName) -> Option<Version> {
        let paths = self.authors.values().flat_map(|role| role.body().targets.keys());
        paths
            .filter_map(|path| release::parse_path(path))
            .filter(|(found, _, _)| found == name)
            .map(|(_, version, _)| version)
            .max()
    }
}

fn damaged(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Publish(format!("cannot build on {}: {reason}; restore it first", path.display()))
}

pub(super) fn read_if_there(path: &Path) -> Result<Option<Vec<u8>>> {
    match fs_err::read(path) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(e.into()),
    }
}
