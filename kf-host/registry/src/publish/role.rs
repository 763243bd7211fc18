//! The roles that are signed by people. Snapshot and timestamp are signed by the machine that publishes.

use std::fmt;
use std::str::FromStr;

use kf_core::AuthorId;
use kf_core::names::NameError;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A role whose metadata is staged, signed and then assembled. Written as `root`, `targets` or `author-NAME`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RoleName {
    /// The keys of each role.
    Root,
    /// The index, and the owner of each command.
    Targets,
    /// One author's versions.
    Author(AuthorId),
}

impl RoleName {
    /// The name of its metadata file, without version.
    pub(super) fn file(&self) -> String {
        format!("{self}.json")
    }
}

impl fmt::Display for RoleName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Root => f.pad("root"),
            Self::Targets => f.pad("targets"),
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
            _ => match text.strip_prefix("author-") {
                Some(id) => Ok(Self::Author(AuthorId::parse(id)?)),
                None => {
                    let why = "must be root, targets or author-NAME";
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
