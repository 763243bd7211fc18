//! The list of all commands: what `kf command list --available` shows and misspelled names are compared with.
//!
//! Indexes and releases are signed by the admins and many authors. Reading all of them takes as many requests as there are
//! authors, only to show names. So each publication writes them into one file, and the snapshot has its digest.
//!
//! This makes it a statement of the online key alone. It is shown and nothing else: to add a command, kf needs what the
//! admins and the author signed.

use std::collections::BTreeMap;

use kf_core::format::{self, Format};
use kf_core::{AuthorId, Digest, PluginName, RegistryId};
use semver::Version;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::Result;
use crate::index::{Entry, Release};

const FORMAT: u64 = 1;

/// The largest catalogue, in bytes.
pub(crate) const MAX_BYTES: u64 = 32 * 1024 * 1024;

/// Its path among the targets. No role signs it: the snapshot does.
pub(crate) const PATH: &str = "catalogue/commands.json";

/// Our own field in the snapshot: which catalogue belongs to it.
pub(crate) const FIELD: &str = "x-kf-catalogue";

/// The catalogue of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pin {
    /// How many commands it lists.
    pub(crate) commands: usize,
    /// In bytes.
    pub(crate) length: u64,
    pub(crate) sha256: Digest,
}

impl Pin {
    pub(crate) fn of(extra: &BTreeMap<String, Value>) -> Option<Self> {
        serde_json::from_value(extra.get(FIELD)?.clone()).ok()
    }
}

/// A command as the catalogue lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    pub owner: AuthorId,
    pub summary: String,
    /// The newest release that is neither yanked nor blocked nor a pre-release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub newest: Option<Newest>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Newest {
    pub version: Version,
    /// Of the program.
    pub sha256: Digest,
}

impl Offer {
    pub(crate) fn new(entry: &Entry, newest: Option<&Release>) -> Self {
        Self {
            owner: entry.owner.clone(),
            summary: entry.summary.clone(),
            newest: newest.map(|release| Newest {
                version: release.version.clone(),
                sha256: release.parts.program().sha256,
            }),
        }
    }
}

pub type Offers = BTreeMap<PluginName, Offer>;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Format<FORMAT>,
    registry: RegistryId,
    commands: Offers,
}

/// The bytes of a catalogue. One line: at 10,000 commands, indentation would be a third of it.
pub(crate) fn to_bytes(registry: &RegistryId, commands: Offers) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&File { format: Format, registry: registry.clone(), commands })
}

/// Parses a catalogue.
pub(crate) fn parse(bytes: &[u8]) -> Result<Offers> {
    Ok(format::parse_json::<File>(PATH, bytes, FORMAT)?.commands)
}
