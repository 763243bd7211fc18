//! Reads verified metadata into a [`View`]: indexes, and what each owner signed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use kf_core::format::FormatError;
use kf_core::manifest::ManifestError;
use kf_core::{Digest, PluginName, RegistryId};
use semver::Version;
use serde::Deserialize;
use sigstore_tuf::metadata::{TargetFile, Targets};
use sigstore_tuf::{Error as TufError, Updater};

use super::client::check_distinct;
use super::state::{LastFile, is_behind};
use super::{from_tuf, ready};
use crate::MAX_INDEX_BYTES;
use crate::error::{Error, Result};
use crate::index::{self, Block, Entry, Index, Listed, Release, View, signed_at};
use crate::parts::{Part, PartKind, Parts, Program, Runtime};
use crate::split::{Shard, starting_with};
use crate::yank::Yanked;

/// Reads verified metadata, and fetches what is not loaded yet.
pub(super) struct Reader<'a> {
    pub(super) registry: &'a RegistryId,
    pub(super) updater: &'a mut Updater,
    pub(super) last_file: &'a LastFile,
    pub(super) now: Timestamp,
}

/// Where a name is looked up.
pub(super) enum Place {
    /// In the index of targets.
    Targets,
    Shard(Shard),
}

impl Place {
    /// The role that delegates the name to its author.
    fn delegator(&self) -> String {
        match self {
            Self::Targets => "targets".to_owned(),
            Self::Shard(shard) => shard.prefix.role(),
        }
    }
}

impl Reader<'_> {
    /// The index of targets, and a view without commands.
    pub(super) fn view(&mut self) -> Result<(Index, View)> {
        // The admins themselves must sign the index; a delegated role does not count.
        let index = Index::parse(&index_of(self.registry, self.updater, "targets", index::PATH)?);
        let index = index.map_err(|error| from_registry(self.registry, error))?;
        let trusted = self.updater.trusted();
        let (Some(timestamp), Some(snapshot), Some(top)) =
            (trusted.timestamp(), trusted.snapshot(), trusted.targets_role("targets"))
        else {
            return Err(self.untrusted("timestamp, snapshot or targets is missing".into()));
        };
        let expires = timestamp.expires.min(snapshot.expires).min(top.expires).min(trusted.root().expires);
        let all = [&trusted.root().extra, &timestamp.extra, &snapshot.extra, &top.extra];
        let latest: Option<Timestamp> = all.iter().filter_map(|extra| signed_at(extra)).max();
        if let Some(signed) = latest.filter(|signed| is_behind(self.now, *signed)) {
            return Err(Error::ClockBehind { registry: self.registry.clone(), now: self.now, signed });
        }
        let view = View {
            registry: self.registry.clone(),
            published_as: index.registry.clone(),
            plugins: BTreeMap::new(),
            blocked: index.blocked.clone(),
            collections: index.collections.clone(),
            snapshot: snapshot.version,
            expires,
            signed: signed_at(&timestamp.extra),
        };
        Ok((index, view))
    }

    /// Where TUF looks for the files of a command: in the first delegation of targets whose paths match.
    pub(super) fn place(&self, name: &PluginName) -> Result<Place> {
        let probe = probe(name);
        let top = self.targets("targets")?;
        for delegation in top.delegations.iter().flat_map(|delegations| &delegations.roles) {
            if delegation.matches_path(&probe).map_err(|e| from_tuf(self.registry, &e))? {
                let shard = Shard::of(delegation).filter(|_| delegation.terminating);
                return Ok(shard.map_or(Place::Targets, Place::Shard));
            }
        }
        Ok(Place::Targets)
    }

    /// The index of a shard, and when its role expires.
    pub(super) fn shard(&mut self, shard: &Shard, published_as: &RegistryId) -> Result<(Index, Timestamp)> {
        let (role, path) = (shard.prefix.role(), shard.prefix.index_path());
        let top = self.targets("targets")?;
        if let Some(delegations) = &top.delegations
            && let Some(delegated) = delegations.roles.iter().find(|delegated| delegated.name == role)
        {
            check_distinct(&delegations.keys, &delegated.keyids, &role)
                .map_err(|reason| self.untrusted(reason))?;
        }
        let found = ready(self.updater.get_target_info(&path, self.now));
        found.map_err(|e| self.in_last_file(&e))?;
        // An author's role could delegate to one of the same name, and have had it loaded.
        let trusted = self.updater.trusted().verify_delegated_targets(&role, "targets", self.now);
        let expires = trusted.map_err(|e| self.in_last_file(&e))?.expires;
        let bytes = index_of(self.registry, self.updater, &role, &path)?;
        let index = Index::parse_shard(shard, published_as, &bytes);
        Ok((index.map_err(|error| from_registry(self.registry, error))?, expires))
    }

    /// A command with its releases.
    pub(super) fn listed(
        &mut self,
        name: &PluginName,
        entry: Entry,
        place: &Place,
        blocked: &[Block],
    ) -> Result<Listed> {
        let role = entry.owner.role();
        let mut listed = Listed { entry, keyids: Vec::new(), releases: BTreeMap::new(), problem: None };
        match owner_role(self.updater, name, &role, &place.delegator(), self.now) {
            Ok((keyids, releases)) => {
                listed.keyids = keyids;
                listed.releases = releases;
            }
            // An invalid, expired or missing author role disables the commands of that author only.
            Err(OwnerError::Tuf(e)) if is_missing(&e) => {
                listed.problem = Some(format!("{} is missing from the registry", self.last_file.name()));
            }
            Err(OwnerError::Tuf(e)) => match self.in_last_file(&e) {
                Error::Untrusted { reason, .. } => listed.problem = Some(reason),
                Error::Metadata { fault, .. } => listed.problem = Some(fault.to_string()),
                error => return Err(error),
            },
            Err(OwnerError::Reason(reason)) => listed.problem = Some(reason),
        }
        for release in listed.releases.values_mut() {
            mark(release, &listed.entry, blocked);
        }
        Ok(listed)
    }

    fn targets(&self, role: &str) -> Result<&Targets> {
        let found = self.updater.trusted().targets_role(role);
        found.ok_or_else(|| self.untrusted(format!("role {role} is missing")))
    }

    fn in_last_file(&self, error: &TufError) -> Error {
        match from_tuf(self.registry, error) {
            Error::Metadata { registry, fault } => {
                Error::Metadata { registry, fault: fault.in_file(&self.last_file.name()) }
            }
            error => error,
        }
    }

    fn untrusted(&self, reason: String) -> Error {
        Error::Untrusted { registry: self.registry.clone(), reason }
    }
}

/// The index at `path` that a loaded role signs, fetched unless there is a copy of it.
pub(super) fn index_of(registry: &RegistryId, updater: &Updater, role: &str, path: &str) -> Result<Vec<u8>> {
    let untrusted = |reason: String| Error::Untrusted { registry: registry.clone(), reason };
    let target = updater.trusted().targets_role(role).and_then(|role| role.target(path));
    let target = target.ok_or_else(|| untrusted(format!("role {role} does not sign {path}")))?;
    if target.length > MAX_INDEX_BYTES {
        return Err(untrusted(format!("{path} is larger than {MAX_INDEX_BYTES} bytes")));
    }
    match updater.find_cached_target(target, path) {
        Some(bytes) => Ok(bytes),
        None => ready(updater.download_target(target, path)).map_err(|e| from_tuf(registry, &e)),
    }
}

/// Marks a release as yanked or blocked by the admins.
pub(crate) fn mark(release: &mut Release, entry: &Entry, blocked: &[Block]) {
    release.yanked = Yanked::find(&entry.yanked, &release.version);
    let block = blocked.iter().find(|block| block.sha256 == release.parts.program().sha256);
    release.blocked = block.map(|block| block.reason.clone());
}

/// Any file of a command: TUF loads the role of its author to look for it.
fn probe(name: &PluginName) -> String {
    format!("plugins/{name}/0.0.0/plugin.wasm")
}

/// Whether a file that the snapshot lists does not exist.
fn is_missing(error: &TufError) -> bool {
    matches!(error, TufError::Transport { .. }) && std::error::Error::source(error).is_none()
}

/// A document of a registry that cannot be parsed is refused like one that is not signed.
pub(super) fn from_registry(id: &RegistryId, error: Error) -> Error {
    match error {
        Error::Home(kf_home::Error::Format(FormatError::Invalid { .. }))
        | Error::Manifest(ManifestError::Format(FormatError::Invalid { .. }) | ManifestError::Version(_))
        | Error::Name(_) => Error::Untrusted { registry: id.clone(), reason: error.to_string() },
        other => other,
    }
}

enum OwnerError {
    Tuf(TufError),
    Reason(String),
}

impl From<TufError> for OwnerError {
    fn from(error: TufError) -> Self {
        Self::Tuf(error)
    }
}

/// Loads the owner's role, checks that no other role can sign for `name`, and lists its releases.
fn owner_role(
    updater: &mut Updater,
    name: &PluginName,
    role: &str,
    delegator: &str,
    now: Timestamp,
) -> Result<(Vec<String>, BTreeMap<Version, Release>), OwnerError> {
    // TUF uses the first delegation whose paths match.
    let probe = probe(name);
    let admins = updater.trusted().targets_role(delegator).ok_or(TufError::NotRefreshed)?;
    let mut first = None;
    for delegation in admins.delegations.iter().flat_map(|d| &d.roles) {
        if delegation.matches_path(&probe)? {
            first = Some(delegation);
            break;
        }
    }
    let Some(first) = first else {
        return Err(OwnerError::Reason(format!("plugins/{name} is not delegated to any role")));
    };
    if first.name != role || !first.terminating {
        return Err(OwnerError::Reason(format!(
            "plugins/{name} is delegated to {}, not to {role}",
            first.name
        )));
    }
    let keys = admins.delegations.as_ref().map(|delegations| &delegations.keys);
    keys.map_or(Ok(()), |keys| check_distinct(keys, &first.keyids, role)).map_err(OwnerError::Reason)?;
    let keyids = first.keyids.clone();
    ready(updater.get_target_info(&probe, now))?;
    if updater.trusted().targets_role(role).is_none() {
        // Delegated, but nothing is published yet.
        return Ok((keyids, BTreeMap::new()));
    }
    // Other roles may delegate to the same one with other keys.
    let targets = updater.trusted().verify_delegated_targets(role, delegator, now)?;
    Ok((keyids, releases(name, targets)))
}

/// The complete releases of `name` that a role signs. A release with a missing or malformed part is ignored.
pub(crate) fn releases(name: &PluginName, targets: &Targets) -> BTreeMap<Version, Release> {
    let prefix = format!("plugins/{name}/");
    let programs = PartKind::ALL.into_iter().filter(|kind| kind.is_program());
    let endings: Vec<String> = programs.map(|kind| format!("/{}", kind.file_name())).collect();
    let mut found = BTreeMap::new();
    for (path, _) in starting_with(&targets.targets, prefix.clone()) {
        let Some(rest) = path.strip_prefix(&prefix) else { continue };
        let Some(text) = endings.iter().find_map(|ending| rest.strip_suffix(ending.as_str())) else {
            continue;
        };
        let Ok(version) = Version::parse(text) else { continue };
        if let Some(release) = release(name, &version, targets) {
            found.insert(version, release);
        }
    }
    found
}

fn release(name: &PluginName, version: &Version, targets: &Targets) -> Option<Release> {
    #[derive(Deserialize)]
    struct Custom {
        abi: Version,
        #[serde(default)]
        signed: Option<Timestamp>,
        #[serde(default)]
        runtime: Option<Runtime>,
    }
    let mut parts = Vec::new();
    for kind in PartKind::ALL {
        if let Some(target) = targets.target(&kind.path(name, version)) {
            parts.push(part(kind, target)?);
        }
    }
    let parts = Parts::try_from(parts).ok()?;
    let kind = parts.program().kind;
    let custom = targets.target(&kind.path(name, version))?.custom.clone()?;
    let Custom { abi, signed, runtime } = serde_json::from_value(custom).ok()?;
    let program = match (kind, runtime) {
        (PartKind::Script, Some(runtime)) => Program::Script { runtime },
        (PartKind::Component, None) => Program::Component,
        _ => return None,
    };
    Some(Release { version: version.clone(), abi, signed, program, parts, yanked: None, blocked: None })
}

pub(super) fn part(kind: PartKind, target: &TargetFile) -> Option<Part> {
    let sha256 = Digest::parse(target.hashes.get("sha256")?).ok()?;
    Some(Part { kind, sha256, length: target.length })
}
