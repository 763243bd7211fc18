//! Makes a [`View`] from verified metadata: the index, and what each owner signed.

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
use crate::index::{self, Index, Listed, Release, View, signed_at};
use crate::parts::{Part, PartKind, Parts, Program, Runtime};

/// Reads the index and every owner's role into a [`View`].
pub(super) fn view(
    id: &RegistryId,
    updater: &mut Updater,
    last_file: &LastFile,
    now: Timestamp,
) -> Result<View> {
    let untrusted = |reason: String| Error::Untrusted { registry: id.clone(), reason };
    // The admins themselves must sign the index; a delegated role does not count.
    let target = targets(updater, "targets")
        .and_then(|t| t.target(index::PATH))
        .cloned()
        .ok_or_else(|| untrusted(format!("role targets does not sign {}", index::PATH)))?;
    if target.length > MAX_INDEX_BYTES {
        return Err(untrusted(format!("{} is larger than {MAX_INDEX_BYTES} bytes", index::PATH)));
    }
    let bytes = match updater.find_cached_target(&target, index::PATH) {
        Some(bytes) => bytes,
        None => ready(updater.download_target(&target, index::PATH)).map_err(|e| from_tuf(id, &e))?,
    };
    let index = Index::parse(&bytes).map_err(|error| from_registry(id, error))?;
    let mut plugins = BTreeMap::new();
    for (name, entry) in index.plugins {
        let role = entry.owner.role();
        let mut listed = Listed { entry, keyids: Vec::new(), releases: BTreeMap::new(), problem: None };
        match owner_role(updater, &name, &role, now) {
            Ok((keyids, releases)) => {
                listed.keyids = keyids;
                listed.releases = releases;
            }
            Err(OwnerError::Tuf(e)) => match from_tuf(id, &e) {
                // An invalid or expired author role disables the commands of that author only.
                Error::Untrusted { reason, .. } => listed.problem = Some(reason),
                Error::Metadata { fault, .. } => {
                    listed.problem = Some(fault.in_file(&last_file.name()).to_string());
                }
                error => return Err(error),
            },
            Err(OwnerError::Reason(reason)) => listed.problem = Some(reason),
        }
        for release in listed.releases.values_mut() {
            release.yanked = listed.entry.yanked.contains(&release.version);
            release.blocked = index
                .blocked
                .iter()
                .find(|b| b.sha256 == release.parts.program().sha256)
                .map(|b| b.reason.clone());
        }
        plugins.insert(name, listed);
    }
    let trusted = updater.trusted();
    let (Some(timestamp), Some(snapshot), Some(top)) =
        (trusted.timestamp(), trusted.snapshot(), trusted.targets_role("targets"))
    else {
        return Err(untrusted("timestamp, snapshot or targets is missing".into()));
    };
    let expires = timestamp.expires.min(snapshot.expires).min(top.expires).min(trusted.root().expires);
    let all = [&trusted.root().extra, &timestamp.extra, &snapshot.extra, &top.extra];
    let latest: Option<Timestamp> = all.iter().filter_map(|extra| signed_at(extra)).max();
    if let Some(signed) = latest.filter(|signed| is_behind(now, *signed)) {
        return Err(Error::ClockBehind { registry: id.clone(), now, signed });
    }
    let signed = signed_at(&timestamp.extra);
    Ok(View {
        registry: id.clone(),
        published_as: index.registry,
        plugins,
        blocked: index.blocked,
        collections: index.collections,
        snapshot: snapshot.version,
        expires,
        signed,
    })
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
    now: Timestamp,
) -> Result<(Vec<String>, BTreeMap<Version, Release>), OwnerError> {
    // TUF uses the first delegation whose paths match; looking up any file of the plugin loads its role.
    let probe = format!("plugins/{name}/0.0.0/plugin.wasm");
    let top = targets(updater, "targets").ok_or(TufError::NotRefreshed)?;
    let mut first = None;
    for delegation in top.delegations.iter().flat_map(|d| &d.roles) {
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
    let keys = top.delegations.as_ref().map(|delegations| &delegations.keys);
    keys.map_or(Ok(()), |keys| check_distinct(keys, &first.keyids, role)).map_err(OwnerError::Reason)?;
    let keyids = first.keyids.clone();
    ready(updater.get_target_info(&probe, now))?;
    let Some(targets) = targets(updater, role) else {
        // Delegated, but nothing is published yet.
        return Ok((keyids, BTreeMap::new()));
    };
    Ok((keyids, releases(name, targets)))
}

fn targets<'a>(updater: &'a Updater, role: &str) -> Option<&'a Targets> {
    updater.trusted().targets_role(role)
}

/// The complete releases of `name` that a role signs. A release with a missing or malformed part is ignored.
fn releases(name: &PluginName, targets: &Targets) -> BTreeMap<Version, Release> {
    let prefix = format!("plugins/{name}/");
    let programs = PartKind::ALL.into_iter().filter(|kind| kind.is_program());
    let endings: Vec<String> = programs.map(|kind| format!("/{}", kind.file_name())).collect();
    let mut found = BTreeMap::new();
    for path in targets.targets.keys() {
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
    Some(Release { version: version.clone(), abi, signed, program, parts, yanked: false, blocked: None })
}

pub(super) fn part(kind: PartKind, target: &TargetFile) -> Option<Part> {
    let sha256 = Digest::parse(target.hashes.get("sha256")?).ok()?;
    Some(Part { kind, sha256, length: target.length })
}
