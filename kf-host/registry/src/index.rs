//! What a registry offers, and which version a request means.
//!
//! `index/plugins.json` is signed by the admins and says who owns a name, how much it may ask for, and what
//! is yanked or blocked. The versions themselves are signed by each author. [`View`] puts the two
//! together; it holds only verified facts and decides without any I/O.

use std::collections::BTreeMap;
use std::fmt;

use kf_core::format::{self, Format};
use kf_core::names::NameError;
use kf_core::nearest::nearest;
use kf_core::permissions::Permissions;
use kf_core::{AuthorId, Digest, PluginName, RegistryId};
use semver::{Version, VersionReq};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The format of `index/plugins.json`.
pub const FORMAT: u64 = 1;
/// Its path among the targets.
pub const PATH: &str = "index/plugins.json";

/// A field of our own in signed metadata: when it was signed. TUF itself only says when it expires.
pub const SIGNED_AT: &str = "x-kf-signed-at";

/// The file `index/plugins.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Index {
    pub format: Format<FORMAT>,
    /// What the registry calls itself.
    pub registry: RegistryId,
    pub plugins: BTreeMap<PluginName, Entry>,
    #[serde(default)]
    pub blocked: Vec<Block>,
}

/// What the admins say about one command.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub owner: AuthorId,
    pub summary: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// The most it may ever ask for. Empty means nothing.
    pub ceiling: Permissions,
    /// Versions that are no longer offered.
    #[serde(default)]
    pub yanked: Vec<Version>,
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
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        Ok(format::parse_json(PATH, bytes, FORMAT)?)
    }
}

/// One file of a release, as its author signed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileRef {
    /// The path among the targets, such as `plugins/train/0.1.0/plugin.wasm`.
    pub path: String,
    pub sha256: Digest,
    /// In bytes.
    pub length: u64,
}

/// One version of a command.
#[derive(Clone, Debug, PartialEq)]
pub struct Release {
    pub version: Version,
    pub abi: Version,
    pub wasm: FileRef,
    pub manifest: FileRef,
    pub commands: FileRef,
    pub yanked: bool,
    /// Why it is blocked, where it is.
    pub blocked: Option<String>,
}

/// A command as the registry lists it.
#[derive(Clone, Debug)]
pub struct Listed {
    pub entry: Entry,
    /// Key ids that may sign for the owner.
    pub keyids: Vec<String>,
    /// By version, oldest first.
    pub releases: BTreeMap<Version, Release>,
    /// Why its versions cannot be used, where its author's signatures do not hold.
    pub problem: Option<String>,
}

impl Listed {
    /// The newest release that is neither yanked nor blocked nor a pre-release.
    pub fn newest(&self) -> Option<&Release> {
        self.releases.values().rev().find(|r| !r.yanked && r.blocked.is_none() && r.version.pre.is_empty())
    }
}

/// Which version is wanted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Want {
    /// The newest that matches and is not yanked.
    Newest(VersionReq),
    /// This one, even if it is yanked.
    Exact(Version),
}

impl fmt::Display for Want {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Newest(req) => req.fmt(f),
            Self::Exact(version) => version.fmt(f),
        }
    }
}

/// `[REGISTRY/]NAME[@VERSION]`, as people type it.
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
                    why: "is neither a version like 1.2.3 nor a requirement like ^1.2",
                })?),
            },
        };
        Ok(Self { registry, name: PluginName::parse(name)?, want })
    }
}

/// The version a request came to, with everything that is needed to fetch it and to ask for consent.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    pub registry: RegistryId,
    pub name: PluginName,
    pub version: Version,
    pub abi: Version,
    pub owner: AuthorId,
    /// Key ids that may sign for the owner.
    pub keyids: Vec<String>,
    pub summary: String,
    pub ceiling: Permissions,
    pub wasm: FileRef,
    pub manifest: FileRef,
    pub commands: FileRef,
    pub yanked: bool,
    /// The snapshot it was resolved from.
    pub snapshot: u64,
}

/// Everything one verified snapshot of a registry offers.
#[derive(Clone, Debug)]
pub struct View {
    pub registry: RegistryId,
    pub plugins: BTreeMap<PluginName, Listed>,
    pub blocked: Vec<Block>,
    pub snapshot: u64,
    /// When the first of its signatures runs out.
    pub expires: jiff::Timestamp,
    /// When the registry last said that this is current, where it says so.
    pub signed: Option<jiff::Timestamp>,
}

impl View {
    /// The version that `want` means: the newest that matches, whose ABI `supported` accepts, and that is not yanked.
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
            return Err(Error::Untrusted {
                registry: self.registry.clone(),
                reason: format!("{name}: {reason}"),
            });
        }
        let releases = || listed.releases.values().rev();
        let matching: Vec<&Release> = match want {
            Want::Exact(version) => releases().filter(|r| r.version == *version).collect(),
            Want::Newest(req) => releases().filter(|r| req.matches(&r.version) && !r.yanked).collect(),
        };
        if let Some(release) = matching.iter().find(|r| r.blocked.is_none() && supported(&r.abi)) {
            return Ok(self.resolved(name, listed, release));
        }
        // Nothing usable: say what stood in the way of the best match.
        Err(match matching.first() {
            Some(release) => match &release.blocked {
                Some(reason) => Error::Blocked {
                    registry: self.registry.clone(),
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
                name: name.clone(),
                wanted: want.to_string(),
                available: releases().filter(|r| !r.yanked).map(|r| r.version.clone()).collect(),
            },
        })
    }

    /// The version to upgrade `installed` to, or `None` when there is nothing newer. Never an older one.
    pub fn newer(
        &self,
        name: &PluginName,
        installed: &Version,
        supported: &dyn Fn(&Version) -> bool,
    ) -> Result<Option<Resolved>> {
        match self.resolve(name, &Want::Newest(VersionReq::STAR), supported) {
            Ok(resolved) => Ok((resolved.version > *installed).then_some(resolved)),
            // Only pre-releases or yanked versions are left; what is installed stays.
            Err(Error::NoVersion { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn resolved(&self, name: &PluginName, listed: &Listed, release: &Release) -> Resolved {
        Resolved {
            registry: self.registry.clone(),
            name: name.clone(),
            version: release.version.clone(),
            abi: release.abi.clone(),
            owner: listed.entry.owner.clone(),
            keyids: listed.keyids.clone(),
            summary: listed.entry.summary.clone(),
            ceiling: listed.entry.ceiling.clone(),
            wasm: release.wasm.clone(),
            manifest: release.manifest.clone(),
            commands: release.commands.clone(),
            yanked: release.yanked,
            snapshot: self.snapshot,
        }
    }
}
