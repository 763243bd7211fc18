//! What a registry offers, and how a request is resolved to a version.
//!
//! The admins sign `index/plugins.json`, which has the owner and the ceiling of each name, and what is yanked
//! or blocked. In a [split](crate::split) registry, each shard has an index of its names in the same format, and
//! `index/plugins.json` has only what is for all: blocks and collections. Each author signs their own versions. [`View`]
//! combines them; it holds only verified data and does no I/O.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use kf_core::format::{self, Format};
use kf_core::names::NameError;
use kf_core::nearest::nearest;
use kf_core::permissions::Permissions;
use kf_core::{AuthorId, CollectionName, Digest, PluginName, RegistryId};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::parts::{Parts, Program};
use crate::split::Shard;
use crate::yank::{Yank, Yanked};

/// The format of `index/plugins.json`.
pub const FORMAT: u64 = 1;
/// Its path among the targets.
pub const PATH: &str = "index/plugins.json";

/// Our own field in signed metadata: when it was signed. TUF itself has only the expiry.
pub const SIGNED_AT: &str = "x-kf-signed-at";

/// When a role was signed, according to its additional fields.
pub(crate) fn signed_at(extra: &BTreeMap<String, serde_json::Value>) -> Option<jiff::Timestamp> {
    extra.get(SIGNED_AT)?.as_str()?.parse().ok()
}

/// The file `index/plugins.json`, or the index of a shard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    pub format: Format<FORMAT>,
    /// The registry's id.
    pub registry: RegistryId,
    pub plugins: BTreeMap<PluginName, Entry>,
    #[serde(default)]
    pub blocked: Vec<Block>,
    /// Commands that are added together.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub collections: BTreeMap<CollectionName, Vec<PluginName>>,
}

/// A command in the index.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub owner: AuthorId,
    pub summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// The most it may ever do. If empty, it may do nothing.
    pub ceiling: Permissions,
    /// Versions that are no longer offered.
    #[serde(default)]
    pub yanked: Vec<Yank>,
}

/// A component that must not run anywhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Of the component, `plugin.wasm`.
    pub sha256: Digest,
    pub reason: String,
}

impl Index {
    /// Parses `index/plugins.json`.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Self::parse_at(PATH, bytes)
    }

    /// Parses the index at another path.
    pub(crate) fn parse_at(path: &str, bytes: &[u8]) -> Result<Self> {
        Ok(format::parse_json(path, bytes, FORMAT)?)
    }

    /// Parses the index of a shard, which must be for the same registry, with names of this shard only.
    ///
    /// # Errors
    ///
    /// It cannot be parsed, or has anything else.
    pub(crate) fn parse_shard(shard: &Shard, registry: &RegistryId, bytes: &[u8]) -> Result<Self> {
        let path = shard.prefix.index_path();
        let index = Self::parse_at(&path, bytes)?;
        let refuse = |why: String| Err(Error::invalid(path.clone(), why));
        if index.registry != *registry {
            return refuse(format!("it is of registry {}, not {registry}", index.registry));
        }
        if !index.blocked.is_empty() || !index.collections.is_empty() {
            return refuse(format!("blocks and collections belong into {PATH}"));
        }
        match index.plugins.keys().find(|name| !shard.has(name)) {
            Some(name) => refuse(format!("{name} belongs into another shard")),
            None => Ok(index),
        }
    }
}

/// One version of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    pub version: Version,
    pub abi: Version,
    /// When it was signed first, according to its author.
    pub signed: Option<jiff::Timestamp>,
    pub program: Program,
    pub parts: Parts,
    pub yanked: Option<Yanked>,
    /// Why it is blocked, if it is.
    pub blocked: Option<String>,
}

/// A command as the registry lists it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub entry: Entry,
    /// Ids of the keys that may sign for the owner.
    pub keyids: Vec<String>,
    /// By version, oldest first.
    pub releases: BTreeMap<Version, Release>,
    /// Why its versions cannot be used, if its author's role could not be verified.
    pub problem: Option<String>,
}

impl Listed {
    /// The newest release that is neither yanked nor blocked nor a pre-release.
    pub fn newest(&self) -> Option<&Release> {
        self.releases
            .values()
            .rev()
            .find(|r| r.yanked.is_none() && r.blocked.is_none() && r.version.pre.is_empty())
    }
}

/// The requested version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The newest that matches and is not yanked.
    Newest(VersionReq),
    /// This one, even if it is yanked.
    Exact(Version),
}

impl Want {
    /// Whether a version matches.
    pub fn matches(&self, version: &Version) -> bool {
        match self {
            Self::Exact(wanted) => wanted == version,
            Self::Newest(req) => *req == VersionReq::STAR || req.matches(version),
        }
    }
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest(req) => req.fmt(f),
            Self::Exact(version) => version.fmt(f),
        }
    }
}

/// A request as typed: `[REGISTRY/]NAME[@VERSION]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    pub registry: Option<RegistryId>,
    pub name: PluginName,
    pub want: Want,
}

impl Request {
    /// Parses `train`, `train@0.1.0`, `train@^0.1`, `team/train@>=1,<2`.
    ///
    /// A full version means exactly that one; anything shorter is a requirement, as in Cargo.
    pub fn parse(text: &str) -> Result<Self> {
        let (path, version) = match text.split_once('@') {
            Some((path, version)) => (path, Some(version)),
            None => (text, None),
        };
        let (registry, name) = match path.split_once('/') {
            Some((registry, name)) => (Some(RegistryId::parse(registry)?), name),
            None => (None, path),
        };
        let want = match version {
            None => Want::Newest(VersionReq::STAR),
            Some(text) => match Version::parse(text) {
                Ok(version) => Want::Exact(version),
                Err(_) => Want::Newest(VersionReq::parse(text).map_err(|_| NameError {
                    kind: "version",
                    value: text.to_owned(),
                    why: "neither a version like 1.2.3 nor a requirement like ^1.2",
                })?),
            },
        };
        Ok(Self { registry, name: PluginName::parse(name)?, want })
    }

    /// A request for exactly this release.
    pub fn exact(registry: RegistryId, name: PluginName, version: Version) -> Self {
        Self { registry: Some(registry), name, want: Want::Exact(version) }
    }

    /// Whether the installed command satisfies the request.
    pub fn is_met_by(&self, origin: &Origin, version: &Version) -> bool {
        let registry = self.registry.is_none() || self.registry.as_ref() == origin.registry();
        registry && self.want.matches(version)
    }

    /// Whether it names an older version than the installed one: an exact one, or a range without the
    /// installed one.
    pub fn names_older_than(&self, installed: &Version) -> bool {
        match &self.want {
            Want::Exact(wanted) => wanted < installed,
            Want::Newest(req) => *req != VersionReq::STAR && !req.matches(installed),
        }
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(registry) = &self.registry {
            write!(f, "{registry}/")?;
        }
        self.name.fmt(f)?;
        match &self.want {
            Want::Newest(req) if *req == VersionReq::STAR => Ok(()),
            want => write!(f, "@{want}"),
        }
    }
}

/// The release that a request was resolved to, with everything needed to fetch it and to ask for consent.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub name: PluginName,
    pub version: Version,
    pub abi: Version,
    pub summary: String,
    pub origin: Origin,
    /// The most it may ever do.
    pub ceiling: Permissions,
    pub program: Program,
    pub parts: Parts,
    pub yanked: Option<Yanked>,
}

/// Where a release comes from, and who vouches for it. A command is bound to its origin: it cannot be upgraded
/// from another one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Origin {
    /// From a registry.
    Registry {
        registry: RegistryId,
        owner: AuthorId,
        /// Ids of the keys that could sign for the owner.
        keyids: Vec<String>,
        /// The version of the snapshot that it was resolved from.
        snapshot: u64,
    },
    /// Built in.
    BuiltIn {
        owner: AuthorId,
        /// Ids of the keys that could sign for the owner when kf was released.
        keyids: Vec<String>,
    },
    /// From a local file, for which no one vouches.
    Local { path: PathBuf },
}

impl Origin {
    /// The registry that it comes from, if any.
    pub fn registry(&self) -> Option<&RegistryId> {
        match self {
            Self::Registry { registry, .. } => Some(registry),
            Self::BuiltIn { .. } | Self::Local { .. } => None,
        }
    }

    /// Whether it is built in.
    pub fn is_built_in(&self) -> bool {
        matches!(self, Self::BuiltIn { .. })
    }

    /// The author who signed it, if any.
    pub fn owner(&self) -> Option<&AuthorId> {
        match self {
            Self::Registry { owner, .. } | Self::BuiltIn { owner, .. } => Some(owner),
            Self::Local { .. } => None,
        }
    }

    /// The ids of the keys that could sign for the owner.
    pub fn keyids(&self) -> &[String] {
        match self {
            Self::Registry { keyids, .. } | Self::BuiltIn { keyids, .. } => keyids,
            Self::Local { .. } => &[],
        }
    }

    /// Whether both are signed by the same author, with a key in common. The author's id alone proves nothing across
    /// registries.
    pub fn shares_signer(&self, other: &Self) -> bool {
        self.owner().is_some()
            && self.owner() == other.owner()
            && self.keyids().iter().any(|key| other.keyids().contains(key))
    }
}

/// As in lists: `kubeflow`, `built in`, `local`.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry { registry, .. } => registry.fmt(f),
            Self::BuiltIn { .. } => f.pad("built in"),
            Self::Local { .. } => f.pad("local"),
        }
    }
}

/// Everything that a registry offers, from one verified snapshot.
#[derive(Clone, Debug)]
pub struct View {
    /// Its name on this machine.
    pub registry: RegistryId,
    /// Its name according to its admins.
    pub published_as: RegistryId,
    pub plugins: BTreeMap<PluginName, Listed>,
    pub blocked: Vec<Block>,
    pub collections: BTreeMap<CollectionName, Vec<PluginName>>,
    pub snapshot: u64,
    /// When the first of its roles expires.
    pub expires: jiff::Timestamp,
    /// When its timestamp was signed, if it has that field.
    pub signed: Option<jiff::Timestamp>,
}

impl View {
    /// The commands of a collection.
    ///
    /// # Errors
    ///
    /// [`Error::UnknownCollection`]
    pub fn collection(&self, name: &CollectionName) -> Result<&[PluginName]> {
        let found = self.collections.get(name).map(Vec::as_slice);
        found.ok_or_else(|| Error::UnknownCollection {
            registry: self.registry.clone(),
            name: name.clone(),
            known: self.collections.keys().cloned().collect(),
        })
    }

    /// Resolves `want` to the newest version that matches, is not yanked, and has an ABI that `supported` accepts.
    ///
    /// A yanked version is only found by [`Want::Exact`]. A blocked one never is.
    pub fn resolve(
        &self,
        name: &PluginName,
        want: &Want,
        supported: &dyn Fn(&Version) -> bool,
    ) -> Result<Resolved> {
        let listed = self.plugins.get(name).ok_or_else(|| Error::UnknownPlugin {
            registry: self.registry.clone(),
            name: name.clone(),
            nearest: nearest(name.as_str(), self.plugins.keys().map(PluginName::as_str))
                .into_iter()
                .map(str::to_owned)
                .collect(),
        })?;
        if let Some(reason) = &listed.problem {
            return Err(Error::BadOwnerRole {
                registry: self.registry.clone(),
                name: name.clone(),
                owner: listed.entry.owner.clone(),
                reason: reason.clone(),
            });
        }
        let releases = || listed.releases.values().rev();
        let matching: Vec<&Release> = match want {
            Want::Exact(version) => releases().filter(|r| r.version == *version).collect(),
            Want::Newest(req) => {
                releases().filter(|r| req.matches(&r.version) && r.yanked.is_none()).collect()
            }
        };
        if let Some(release) = matching.iter().find(|r| r.blocked.is_none() && supported(&r.abi)) {
            return Ok(self.resolved(name, listed, release));
        }
        // No usable version: report why the best match cannot be used.
        Err(match matching.first() {
            Some(release) => match &release.blocked {
                Some(reason) => Error::Blocked {
                    registry: Some(self.registry.clone()),
                    name: name.clone(),
                    version: release.version.clone(),
                    reason: reason.clone(),
                },
                None => Error::UnsupportedAbi {
                    name: name.clone(),
                    version: release.version.clone(),
                    abi: release.abi.clone(),
                },
            },
            None => Error::NoVersion {
                registry: self.registry.clone(),
                name: name.clone(),
                wanted: want.to_string(),
                available: releases().filter(|r| r.yanked.is_none()).map(|r| r.version.clone()).collect(),
            },
        })
    }

    /// The version to upgrade `installed` to, or `None` if there is no newer one.
    pub fn newer(
        &self,
        name: &PluginName,
        installed: &Version,
        supported: &dyn Fn(&Version) -> bool,
    ) -> Result<Option<Resolved>> {
        match self.resolve(name, &Want::Newest(VersionReq::STAR), supported) {
            Ok(resolved) => Ok((resolved.version > *installed).then_some(resolved)),
            // Only pre-releases and yanked versions are left: the installed one stays.
            Err(Error::NoVersion { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn resolved(&self, name: &PluginName, listed: &Listed, release: &Release) -> Resolved {
        Resolved {
            name: name.clone(),
            version: release.version.clone(),
            abi: release.abi.clone(),
            summary: listed.entry.summary.clone(),
            origin: Origin::Registry {
                registry: self.registry.clone(),
                owner: listed.entry.owner.clone(),
                keyids: listed.keyids.clone(),
                snapshot: self.snapshot,
            },
            ceiling: listed.entry.ceiling.clone(),
            program: release.program.clone(),
            parts: release.parts.clone(),
            yanked: release.yanked.clone(),
        }
    }
}
