//! What is published already.
//!
//! The folder it lies in is not trusted: whoever can write there could otherwise add a version, and the next
//! publication would sign it. So everything is verified as a client does it, from a root that something else than
//! the folder vouches for ([`Anchor`]), down to the role of every author. Only expiry is forgiven.
//!
//! One thing clients need not bear: an author whose key was taken away, so that nobody may sign what she published
//! any more. The admins who take the key away sign the digest of her file into their own role ([`kept`]). What she
//! published is thus known to be what they saw, and nothing that the old key signs later is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use kf_core::{AuthorId, Digest, PluginName};
use kf_home::files;
use semver::Version;
use sigstore_tuf::metadata::{MetaFile, Root, Snapshot, TargetFile, Targets, Timestamp as TimestampRole};
use sigstore_tuf::{TrustedMetadataSet, UpdaterConfig};

use super::keys::PublicKeys;
use super::metadata::{self, Authority, Body, Signed};
use super::release;
use super::stage::{holds, same_bytes};
use crate::MAX_WASM;
use crate::error::{Error, Result};
use crate::index::{self, Index};
use crate::trust::chain;

/// Where the admins' role says which files of authors it vouches for.
pub(super) const KEPT: &str = "x-kf-kept-authors";

/// The one file that is replaced, and without a version in its name.
pub(super) const TIMESTAMP: &str = "timestamp.json";

/// What vouches for the first root, besides the folder that it lies in.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Anchor<'a> {
    /// The first root as its users have pinned it.
    pub(super) root: Option<&'a [u8]>,
    /// The keys at hand: those of its root role.
    pub(super) keys: Option<&'a PublicKeys>,
}

impl Anchor<'_> {
    pub(super) fn vouch(&self, first: &Signed<Root>) -> Result<()> {
        if let Some(pinned) = self.root {
            let pinned = Signed::<Root>::parse("the pinned root", pinned.to_vec())?;
            return match same_bytes(&pinned, first) {
                true => Ok(()),
                false => Err(Error::Publish("the published root is not the pinned one".into())),
            };
        }
        if let Some(keys) = self.keys
            && holds(&Authority::in_root(first.body(), "root")?, &keys.root)?
        {
            return Ok(());
        }
        Err(Error::Publish(format!(
            "nothing vouches for the first root, which has sha256 {}: it is neither pinned, nor in the reviewed \
             text as root/1.root.json, nor signed with the keys at hand",
            Digest::of(&first.bytes)
        )))
    }
}

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
        // Nothing has expired at the beginning of time.
        let now = Timestamp::MIN;
        trusted.update_timestamp(&bytes, now).map_err(|e| damaged(&path, chain(&e)))?;
        let timestamp = Signed::<TimestampRole>::parse(TIMESTAMP, bytes)?;

        let pin = timestamp.body().snapshot_meta();
        let snapshot: Signed<Snapshot> = current.pinned("snapshot.json", pin, limits.snapshot_max_length)?;
        trusted.update_snapshot(&snapshot.bytes, now).map_err(|e| damaged(&path, chain(&e)))?;
        let targets: Signed<Targets> = current.pinned(
            "targets.json",
            snapshot.body().meta.get("targets.json"),
            limits.targets_max_length,
        )?;
        trusted.update_targets(&targets.bytes, now).map_err(|e| damaged(&path, chain(&e)))?;
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
                    return Err(damaged(&path, chain(&error)));
                }
            }
            current.authors.insert(id, role);
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

    fn read_roots(&mut self, anchor: Anchor<'_>) -> Result<Option<TrustedMetadataSet>> {
        let max = UpdaterConfig::default().root_max_length;
        let mut trusted: Option<TrustedMetadataSet> = None;
        for version in 1.. {
            let path = self.metadata_path(&format!("{version}.root.json"));
            let Some(bytes) = read_if_there(&path, max)? else { break };
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
            if version == 1 {
                anchor.vouch(&root).map_err(|e| damaged(&path, e))?;
            }
            self.roots.push(root);
        }
        Ok(trusted)
    }

    /// The file that `pin` names, which must be as it was signed.
    fn pinned<T: Body>(&self, name: &str, pin: Option<&MetaFile>, max: u64) -> Result<Signed<T>> {
        let pin = pin.ok_or_else(|| Error::Publish(format!("the published metadata does not pin {name}")))?;
        let path = self.metadata_path(&format!("{}.{name}", pin.version));
        let bytes = read_if_there(&path, max)?.ok_or_else(|| damaged(&path, "it is missing"))?;
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
        // Nothing that is published is larger.
        let max = entry.length.min(MAX_WASM);
        let bytes = read_if_there(&stored, max)?.ok_or_else(|| damaged(&stored, "it is missing"))?;
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

/// The files of authors that the admins vouch for, because nobody else may sign them any more.
pub(super) fn kept(targets: &Targets) -> Result<BTreeMap<String, MetaFile>> {
    match targets.extra.get(KEPT) {
        None => Ok(BTreeMap::new()),
        Some(kept) => {
            serde_json::from_value(kept.clone()).map_err(|e| Error::invalid(format!("{KEPT} of targets"), e))
        }
    }
}

/// Whether a pin is that of a file.
pub(super) fn same_pin(pin: &MetaFile, file: &Signed<Targets>) -> bool {
    let sha256 = pin.hashes.as_ref().and_then(metadata::sha256);
    pin.version == file.version() && sha256 == Some(Digest::of(&file.bytes))
}

fn read_if_there(path: &Path, max: u64) -> Result<Option<Vec<u8>>> {
    Ok(files::read_plain(path, max)?)
}
