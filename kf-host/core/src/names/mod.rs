//! Names, parsed once, where they enter the host.
//!
//! A string from a guest, a registry, a file or a command line becomes one of these types before
//! it is used. Paths, URLs and file names are built only from them.

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// Fails with the rule that the text breaks.
            pub fn parse(text: impl Into<String>) -> Result<Self, $crate::names::NameError> {
                let value = text.into();
                let check: fn(&str) -> $crate::names::Check = $check;
                match check(&value) {
                    Ok(()) => Ok(Self(value)),
                    Err(why) => Err($crate::names::NameError { kind: $kind, value, why }),
                }
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::names::NameError;

            fn try_from(text: String) -> Result<Self, $crate::names::NameError> {
                Self::parse(text)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::names::NameError;

            fn from_str(text: &str) -> Result<Self, $crate::names::NameError> {
                Self::parse(text)
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

mod kubernetes;
mod plugin;

pub use kubernetes::{
    ContainerName, ContinueToken, Group, KindName, Namespace, ObjectName, Plural, Resource, ResourceVersion,
    Subresource, Uid, Version,
};
pub use plugin::{AuthorId, CollectionName, CommandGroup, PluginName, RESERVED, RegistryId};

use crate::text;

/// A value that is invalid for its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid {kind} `{}`: {why}", text::excerpt(.value))]
pub struct NameError {
    /// The kind of value: `namespace`, `label selector`.
    pub kind: &'static str,
    pub value: String,
    /// The rule it breaks.
    pub why: &'static str,
}

/// Whether a text is valid, or the rule it breaks.
type Check = Result<(), &'static str>;
