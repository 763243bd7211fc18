//! The published state.
//!
//! Its folder is not trusted: otherwise anyone who can write to it could add a version, and the next publication
//! would sign it. So everything is verified as by a client, from a root that is trusted for another reason than
//! being in the folder ([`Anchor`]) to the role of every author. Only expiry is ignored.
//!
//! There is one difference to clients: an author's key may have been revoked, so that no one can sign the author's
//! role any more. The admins who revoke the key sign the digest of that role's file into their own role ([`kept`]).
//! This keeps the versions that they saw, and none that the old key signs later.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::manifest::Manifest;
use kf_core::{AuthorId, Digest, PluginName};
use kf_home::files;
use semver::Version;
use sigstore_tuf::metadata::{MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp as TimestampRole};
use sigstore_tuf::{TrustedMetadataSet, UpdaterConfig};

use super::admins::Admins;
use super::keys::PublicKeys;
use super::metadata::{self, Authority, Body, Signed};
use super::release::{self, Details};
use super::role::RoleName;
use super::stage::{has_holders, same_bytes};
use crate::MAX_WASM_BYTES;
use crate::catalogue::Pin;
use crate::error::{Error, Result};
use crate::index::{self, Block, Index};
use crate::parts::PartKind;
use crate::split::{self, Prefix};
use crate::trust::chain;
use crate::yank::{Yank, Yanked};

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
    /// The roles of all shards that ever existed, including those that targets no longer delegates to. Only those that it
    /// does are verified.
    pub(super) shards: BTreeMap<Prefix, Signed<Targets>>,
    /// The roles of all authors who ever published, including those without a delegation.
    pub(super) authors: BTreeMap<AuthorId, Signed<Targets>>,
    /// The indexes of targets and of the shards that it delegates to.
    indexes: BTreeMap<RoleName, Vec<u8>>,
    /// All of them together.
    pub(super) index: Option<Index>,
}

impl Current {
    pub(super) fn read(published: &Path, anchor: Anchor<'_>) -> Result<Self> {
        let mut current = Self {
            published: published.to_owned(),
            roots: Vec::new(),
            timestamp: None,
            snapshot: None,
            targets: None,
            shards: BTreeMap::new(),
            authors: BTreeMap::new(),
            indexes: BTreeMap::new(),
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
        current.read_shards(&mut trusted, snapshot.body(), targets.body())?;
        current.read_authors(&mut trusted, snapshot.body(), targets.body())?;
        current.read_indexes(targets.body())?;
        current.timestamp = Some(timestamp);
        current.snapshot = Some(snapshot);
        current.targets = Some(targets);
        Ok(current)
    }

    fn read_shards(
        &mut self,
        trusted: &mut TrustedMetadataSet,
        snapshot: &Snapshot,
        targets: &Targets,
    ) -> Result<()> {
        let max = UpdaterConfig::default().targets_max_length;
        let delegated: BTreeSet<Prefix> = split::shards(targets).map(|shard| shard.prefix).collect();
        for (file, pin) in &snapshot.meta {
            let Some(prefix) = file.strip_suffix(".json").and_then(Prefix::of_role) else { continue };
            let role: Signed<Targets> = self.pinned(file, Some(pin), max)?;
            if delegated.contains(&prefix) {
                trusted
                    .update_delegated_targets(&role.bytes, &prefix.role(), "targets", Timestamp::MIN)
                    .map_err(|e| {
                        invalid(&self.metadata_path(&format!("{}.{file}", pin.version)), chain(&e))
                    })?;
            }
            self.shards.insert(prefix, role);
        }
        match delegated.iter().find(|prefix| !self.shards.contains_key(prefix)) {
            Some(prefix) => {
                Err(Error::Publish(format!("the published metadata does not list {}.json", prefix.role())))
            }
            None => Ok(()),
        }
    }

    fn read_authors(
        &mut self,
        trusted: &mut TrustedMetadataSet,
        snapshot: &Snapshot,
        targets: &Targets,
    ) -> Result<()> {
        let now = Timestamp::MIN;
        let kept = kept(targets)?;
        let mut authors = BTreeMap::new();
        for (file, pin) in &snapshot.meta {
            let Some(id) = file.strip_prefix("author-").and_then(|rest| rest.strip_suffix(".json")) else {
                continue;
            };
            let id = AuthorId::parse(id)?;
            let role: Signed<Targets> =
                self.pinned(file, Some(pin), UpdaterConfig::default().targets_max_length)?;
            let is_kept = kept.get(file).is_some_and(|kept| same_pin(kept, &role));
            let admins = self.admins_below(targets);
            let mut delegators = admins.delegators(&id).map(|(name, _)| name).peekable();
            if delegators.peek().is_none() && !is_kept {
                let path = self.metadata_path(&format!("{}.{file}", pin.version));
                return Err(invalid(&path, format!("no role delegates to {}", id.role())));
            }
            for delegator in delegators {
                match trusted.update_delegated_targets(&role.bytes, &id.role(), delegator, now) {
                    Ok(_) => {}
                    Err(_) if is_kept => {}
                    Err(error) => {
                        let path = self.metadata_path(&format!("{}.{file}", pin.version));
                        return Err(invalid(&path, chain(&error)));
                    }
                }
            }
            authors.insert(id, role);
        }
        self.authors = authors;
        Ok(())
    }

    fn read_indexes(&mut self, targets: &Targets) -> Result<()> {
        let bytes = self.read_index(targets, index::PATH)?;
        let mut all = Index::parse(&bytes)?;
        self.indexes.insert(RoleName::Targets, bytes);
        for shard in split::shards(targets) {
            let path = shard.prefix.index_path();
            let role = self.shards.get(&shard.prefix).ok_or_else(|| {
                Error::Publish(format!("the published metadata does not list {}.json", shard.prefix.role()))
            })?;
            let bytes = self.read_index(role.body(), &path)?;
            all.plugins.extend(Index::parse_shard(&shard, &all.registry, &bytes)?.plugins);
            self.indexes.insert(RoleName::Names(shard.prefix), bytes);
        }
        self.index = Some(all);
        Ok(())
    }

    fn read_index(&self, role: &Targets, path: &str) -> Result<Vec<u8>> {
        let entry = role.target(path).ok_or_else(|| {
            Error::Publish(format!("invalid published metadata: no role signs {path}; restore it first"))
        })?;
        self.read_target(path, entry)
    }

    /// The index that a role signs.
    pub(super) fn index_of(&self, role: &RoleName) -> Option<&Vec<u8>> {
        self.indexes.get(role)
    }

    /// The file of a role.
    pub(super) fn file(&self, role: &RoleName) -> Option<&Vec<u8>> {
        match role {
            RoleName::Root => self.root().map(|root| &root.bytes),
            RoleName::Targets => self.targets.as_ref().map(|targets| &targets.bytes),
            RoleName::Names(prefix) => self.shards.get(prefix).map(|shard| &shard.bytes),
            RoleName::Author(id) => self.authors.get(id).map(|author| &author.bytes),
        }
    }

    /// The published catalogue.
    pub(super) fn catalogue(&self) -> Option<Pin> {
        Pin::of(&self.snapshot.as_ref()?.body().extra)
    }

    /// The roles of the admins; none if nothing is published.
    pub(super) fn admins(&self) -> Option<Admins<'_>> {
        Some(self.admins_below(self.targets.as_ref()?.body()))
    }

    fn admins_below<'a>(&'a self, targets: &'a Targets) -> Admins<'a> {
        let shards = self.shards_below(targets);
        Admins::new(targets, shards.map(|(prefix, shard)| (prefix.role(), shard.body())))
    }

    fn shards_below<'a>(
        &'a self,
        targets: &'a Targets,
    ) -> impl Iterator<Item = (&'a Prefix, &'a Signed<Targets>)> {
        split::shards(targets).filter_map(|shard| self.shards.get_key_value(&shard.prefix))
    }

    /// The shards that targets delegates to.
    pub(super) fn shards_in_use(&self) -> impl Iterator<Item = (&Prefix, &Signed<Targets>)> {
        self.targets.iter().flat_map(|targets| self.shards_below(targets.body()))
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
        yanked: &[Yank],
        blocked: &[Block],
    ) -> Result<Option<Details>> {
        let is_offered = |version: &Version, component: &TargetFile| {
            let sha256 = metadata::sha256(&component.hashes);
            Yanked::find(yanked, version).is_none()
                && !blocked.iter().any(|block| Some(block.sha256) == sha256)
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
        let folder = format!("plugins/{name}/");
        self.authors.values().flat_map(move |role| {
            let below = split::starting_with(&role.body().targets, folder.clone());
            below.filter_map(|(path, target)| {
                let (_, version, kind) = release::parse_path(path)?;
                (kind == PartKind::Component).then_some((version, target))
            })
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
