//! The roles that are signed by people. Snapshot and timestamp are signed by the machine that publishes.

use std::fmt;
use std::str::FromStr;

use kf_core::AuthorId;
use kf_core::names::NameError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::index;
use crate::split::Prefix;

/// A role whose metadata is staged, signed and then assembled. Written as `root`, `targets`, `names-PREFIX` or
/// `author-NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// The keys of each role.
    Root,
    /// The index, and the owner of each command. In a [split](crate::split) registry, its shards.
    Targets,
    /// The index of one shard, and the owner of each command in it.
    Names(Prefix),
    /// One author's versions.
    Author(AuthorId),
}

impl RoleName {
    /// The name of its metadata file, without version.
    pub(super) fn file(&self) -> String {
        format!("{self}.json")
    }

    /// The path of the index that it signs, among the targets.
    pub(super) fn index_path(&self) -> Option<String> {
        match self {
            Self::Targets => Some(index::PATH.to_owned()),
            Self::Names(prefix) => Some(prefix.index_path()),
            Self::Root | Self::Author(_) => None,
        }
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.pad("root"),
            Self::Targets => f.pad("targets"),
            Self::Names(prefix) => f.pad(&prefix.role()),
            Self::Author(id) => f.pad(&id.role()),
        }
    }
}

impl FromStr for RoleName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "root" => Ok(Self::Root),
            "targets" => Ok(Self::Targets),
            _ => match (text.strip_prefix("author-"), Prefix::of_role(text)) {
                (Some(id), _) => Ok(Self::Author(AuthorId::parse(id)?)),
                (None, Some(prefix)) => Ok(Self::Names(prefix)),
                (None, None) => {
                    let why = "must be root, targets, names-PREFIX or author-NAME";
                    Err(NameError { kind: "role", value: text.to_owned(), why })
                }
            },
        }
    }
}

impl Serialize for RoleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RoleName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
