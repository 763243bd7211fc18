//! The published state.
//!
//! Its folder is not trusted: otherwise anyone who can write to it could add a version, and the next publication
//! would sign it. So everything is verified as by a client, from a root that is trusted for another reason than
//! being in the folder ([`Anchor`]) to the role of every author. Only expiry is ignored.
//!
//! There is one difference to clients: an author's key may have been revoked, so that no one can sign the author's
//! role any more. The admins who revoke the key sign the digest of that role's file into their own role ([`kept`]).
//! This keeps the versions that they saw, and none that the old key signs later.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::manifest::Manifest;
use kf_core::{AuthorId, Digest, PluginName};
use kf_home::files;
use semver::Version;
use sigstore_tuf::metadata::{MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp as TimestampRole};
use sigstore_tuf::{TrustedMetadataSet, UpdaterConfig};

use super::keys::PublicKeys;
use super::metadata::{self, Authority, Body, Signed};
use super::release::{self, Details};
use super::stage::{has_holders, same_bytes};
use crate::MAX_WASM_BYTES;
use crate::error::{Error, Result};
use crate::index::{self, Block, Index};
use crate::parts::PartKind;
use crate::trust::chain;

/// The field of targets with the author roles that the admins vouch for.
pub(super) const KEPT: &str = "x-kf-kept-authors";

/// The only file that is replaced, and that has no version in its name.
pub(super) const TIMESTAMP: &str = "timestamp.json";

/// Why the first root is trusted, apart from being in the folder.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Anchor<'a> {
    /// The first root as its users have pinned it.
    pub(super) root: Option<&'a [u8]>,
    /// The given keys, if they are those of its root role.
    pub(super) keys: Option<&'a PublicKeys>,
}

impl Anchor<'_> {
    pub(super) fn vouch(&self, first: &Signed<Root>) -> Result<()> {
        if let Some(pinned) = self.root {
            let pinned = Signed::<Root>::parse("the pinned root", pinned.to_vec())?;
            return match same_bytes(&pinned, first) {
                true => Ok(()),
                false => Err(Error::Publish("the published root does not match the pinned root".into())),
            };
        }
        if let Some(keys) = self.keys
            && has_holders(&Authority::in_root(first.body(), "root")?, &keys.root)?
        {
            return Ok(());
        }
        Err(Error::Publish(format!(
            "cannot trust the first root with sha256 {}: it is neither pinned, nor in the reviewed text as \
             root/1.root.json, nor signed with the given keys",
            Digest::of(&first.bytes)
        )))
    }
}

/// The published state, read and verified. It may be expired: a new publication renews it.
#[derive(Debug)]
pub(super) struct Current {
    published: PathBuf,
    /// Every root, in order of version.
    pub(super) roots: Vec<Signed<Root>>,
    pub(super) timestamp: Option<Signed<TimestampRole>>,
    pub(super) snapshot: Option<Signed<Snapshot>>,
    pub(super) targets: Option<Signed<Targets>>,
    /// The roles of all authors who ever published, including those without a delegation.
    pub(super) authors: BTreeMap<AuthorId, Signed<Targets>>,
    pub(super) index: Option<(Vec<u8>, Index)>,
}

impl Current {
    pub(super) fn read(published: &Path, anchor: Anchor<'_>) -> Result<Self> {
        let mut current = Self {
            published: published.to_owned(),
            roots: Vec::new(),
            timestamp: None,
            snapshot: None,
            targets: None,
            authors: BTreeMap::new(),
            index: None,
        };
        let Some(mut trusted) = current.read_roots(anchor)? else { return Ok(current) };
        let limits = UpdaterConfig::default();
        let path = current.metadata_path(TIMESTAMP);
        let Some(bytes) = read_if_there(&path, limits.timestamp_max_length)? else { return Ok(current) };
        // At this time, nothing has expired.
        let now = Timestamp::MIN;
        trusted.update_timestamp(&bytes, now).map_err(|e| invalid(&path, chain(&e)))?;
        let timestamp = Signed::<TimestampRole>::parse(TIMESTAMP, bytes)?;

        let pin = timestamp.body().snapshot_meta();
        let snapshot: Signed<Snapshot> = current.pinned("snapshot.json", pin, limits.snapshot_max_length)?;
        trusted.update_snapshot(&snapshot.bytes, now).map_err(|e| invalid(&path, chain(&e)))?;
        let targets: Signed<Targets> = current.pinned(
            "targets.json",
            snapshot.body().meta.get("targets.json"),
            limits.targets_max_length,
        )?;
        trusted.update_targets(&targets.bytes, now).map_err(|e| invalid(&path, chain(&e)))?;
        let kept = kept(targets.body())?;
        for (file, pin) in &snapshot.body().meta {
            let Some(id) = file.strip_prefix("author-").and_then(|rest| rest.strip_suffix(".json")) else {
                continue;
            };
            let id = AuthorId::parse(id)?;
            let role: Signed<Targets> = current.pinned(file, Some(pin), limits.targets_max_length)?;
            match trusted.update_delegated_targets(&role.bytes, &id.role(), "targets", now) {
                Ok(_) => {}
                Err(_) if kept.get(file).is_some_and(|kept| same_pin(kept, &role)) => {}
                Err(error) => {
                    let path = current.metadata_path(&format!("{}.{file}", pin.version));
                    return Err(invalid(&path, chain(&error)));
                }
            }
            current.authors.insert(id, role);
        }
        let entry = targets.body().target(index::PATH);
        let entry =
            entry.ok_or_else(|| invalid(&path, format!("role targets does not sign {}", index::PATH)))?;
        let bytes = current.read_target(index::PATH, entry)?;
        let index = Index::parse(&bytes)?;
        current.index = Some((bytes, index));
        current.timestamp = Some(timestamp);
        current.snapshot = Some(snapshot);
        current.targets = Some(targets);
        Ok(current)
    }

    fn read_roots(&mut self, anchor: Anchor<'_>) -> Result<Option<TrustedMetadataSet>> {
        let max = UpdaterConfig::default().root_max_length;
        let mut trusted: Option<TrustedMetadataSet> = None;
        for version in 1.. {
            let path = self.metadata_path(&format!("{version}.root.json"));
            let Some(bytes) = read_if_there(&path, max)? else { break };
            match &mut trusted {
                None => {
                    trusted =
                        Some(TrustedMetadataSet::from_root(&bytes).map_err(|e| invalid(&path, chain(&e)))?)
                }
                Some(trusted) => trusted.update_root(&bytes).map_err(|e| invalid(&path, chain(&e)))?,
            }
            let root = Signed::<Root>::parse(&path.display().to_string(), bytes)?;
            if root.version() != version {
                return Err(invalid(&path, format!("its version is {}", root.version())));
            }
            if version == 1 {
                anchor.vouch(&root).map_err(|e| invalid(&path, e))?;
            }
            self.roots.push(root);
        }
        Ok(trusted)
    }

    /// The file that `pin` names; its digest must match.
    fn pinned<T: Body>(&self, name: &str, pin: Option<&MetaFile>, max: u64) -> Result<Signed<T>> {
        let pin =
            pin.ok_or_else(|| Error::Publish(format!("the published metadata does not list {name}")))?;
        let path = self.metadata_path(&format!("{}.{name}", pin.version));
        let bytes = read_if_there(&path, max)?.ok_or_else(|| invalid(&path, "it is missing"))?;
        let expected = pin.hashes.as_ref().and_then(metadata::sha256);
        if expected != Some(Digest::of(&bytes)) {
            return Err(invalid(&path, "its digest does not match the metadata"));
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
        // No published file is larger.
        let max = entry.length.min(MAX_WASM_BYTES);
        let bytes = read_if_there(&stored, max)?.ok_or_else(|| invalid(&stored, "it is missing"))?;
        if Digest::of(&bytes) != digest {
            return Err(invalid(&stored, "it does not match its signed digest"));
        }
        Ok(bytes)
    }

    /// The published target at `path`, by any author.
    pub(super) fn target(&self, path: &str) -> Option<&TargetFile> {
        self.authors.values().find_map(|role| role.body().target(path))
    }

    /// The newest published version of a command, by any author.
    pub(super) fn newest(&self, name: &PluginName) -> Option<Version> {
        self.components(name).map(|(version, _)| version).max()
    }

    /// The newest published version of a command that is neither yanked nor blocked, by any author.
    pub(super) fn baseline(
        &self,
        name: &PluginName,
        yanked: &[Version],
        blocked: &[Block],
    ) -> Result<Option<Details>> {
        let is_offered = |version: &Version, component: &TargetFile| {
            let sha256 = metadata::sha256(&component.hashes);
            !yanked.contains(version) && !blocked.iter().any(|block| Some(block.sha256) == sha256)
        };
        let offered = self.components(name).filter(|(version, component)| is_offered(version, component));
        let Some((version, component)) = offered.max_by(|(one, _), (other, _)| one.cmp(other)) else {
            return Ok(None);
        };
        let read = |kind: PartKind| {
            let path = kind.path(name, &version);
            let entry =
                self.target(&path).ok_or_else(|| Error::Publish(format!("{path} is not published")))?;
            self.read_target(&path, entry)
        };
        Ok(Some(Details {
            manifest: Manifest::from_bytes(&read(PartKind::Manifest)?)?,
            commands: read(PartKind::Commands)?,
            wasm_bytes: component.length,
        }))
    }

    /// Every published version of a command with its component, by any author.
    pub(super) fn components(&self, name: &PluginName) -> impl Iterator<Item = (Version, &TargetFile)> {
        let targets = self.authors.values().flat_map(|role| &role.body().targets);
        targets.filter_map(move |(path, target)| {
            let (found, version, kind) = release::parse_path(path)?;
            (found == *name && kind == PartKind::Component).then_some((version, target))
        })
    }
}

fn invalid(path: &Path, reason: impl std::fmt::Display) -> Error {
    Error::Publish(format!("invalid published file {}: {reason}; restore it first", path.display()))
}

/// The author roles that the admins vouch for because their keys were revoked.
pub(super) fn kept(targets: &Targets) -> Result<BTreeMap<String, MetaFile>> {
    match targets.extra.get(KEPT) {
        None => Ok(BTreeMap::new()),
        Some(kept) => {
            serde_json::from_value(kept.clone()).map_err(|e| Error::invalid(format!("{KEPT} of targets"), e))
        }
    }
}

/// Whether a pin matches a file.
pub(super) fn same_pin(pin: &MetaFile, file: &Signed<Targets>) -> bool {
    let sha256 = pin.hashes.as_ref().and_then(metadata::sha256);
    pin.version == file.version() && sha256 == Some(Digest::of(&file.bytes))
}

fn read_if_there(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    Ok(files::read_regular_file(path, max)?)
}
