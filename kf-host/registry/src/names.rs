//! Names that become file names, target paths and words on a command line.
//!
//! Each is parsed once, at the border, into a type that cannot hold anything dangerous. Paths are built
//! only from these.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::error::{Error, Result};

/// Words no plugin may take: the host's own commands, and those clap or people reserve.
pub const RESERVED: &[&str] = &[
    "auth",
    "command",
    "commands",
    "complete",
    "completion",
    "controller",
    "doctor",
    "help",
    "kf",
    "login",
    "logout",
    "plugin",
    "plugins",
    "registry",
    "self",
    "update",
    "upgrade",
    "version",
];

/// Device names that Windows gives a meaning in every folder.
const WINDOWS: &[&str] = &["aux", "con", "nul", "prn"];

/// A command's name: 2 to 40 of `a-z`, `0-9` and single hyphens, starting with a letter.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PluginName(String);

/// A registry's short name on this machine; same alphabet as [`PluginName`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RegistryId(String);

/// Who signs a command; same alphabet as [`PluginName`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AuthorId(String);

impl AuthorId {
    /// The TUF role this author signs with.
    pub fn role(&self) -> String {
        format!("author-{self}")
    }
}

/// The spelling rule shared by all names.
fn check(value: &str) -> Result<(), &'static str> {
    if !(2..=40).contains(&value.len()) {
        return Err("it must be 2 to 40 characters long");
    }
    if !value.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("it must start with a lower-case letter");
    }
    if !value.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-') {
        return Err("only lower-case letters, digits and hyphens are allowed");
    }
    if value.contains("--") || value.ends_with('-') {
        return Err("hyphens must stand alone between letters or digits");
    }
    let numbered = value.strip_prefix("com").or_else(|| value.strip_prefix("lpt"));
    if WINDOWS.contains(&value)
        || numbered.is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    {
        return Err("Windows keeps this name for a device");
    }
    Ok(())
}

macro_rules! name_type {
    ($type:ident, $what:literal, $extra:expr) => {
        impl $type {
            pub fn parse(value: &str) -> Result<Self> {
                let extra: fn(&str) -> Result<(), &'static str> = $extra;
                check(value).and_then(|()| extra(value)).map_err(|reason| Error::BadName {
                    what: $what,
                    value: value.chars().take(60).collect(),
                    reason,
                })?;
                Ok(Self(value.to_owned()))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $type {
            type Err = Error;
            fn from_str(value: &str) -> Result<Self> {
                Self::parse(value)
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let value = String::deserialize(deserializer)?;
                Self::parse(&value).map_err(serde::de::Error::custom)
            }
        }
    };
}

name_type!(PluginName, "command name", |value| {
    if RESERVED.contains(&value) { Err("kf keeps this name for itself") } else { Ok(()) }
});
name_type!(RegistryId, "registry name", |_| Ok(()));
name_type!(AuthorId, "author name", |_| Ok(()));

/// A SHA-256 digest; written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        let mut out = [0; 32];
        out.copy_from_slice(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes).as_ref());
        Self(out)
    }

    pub fn parse(text: &str) -> Result<Self> {
        let bad =
            |reason| Error::BadName { what: "sha256 digest", value: text.chars().take(80).collect(), reason };
        let mut out = [0; 32];
        if text.len() != 64 {
            return Err(bad("it must be 64 hexadecimal digits"));
        }
        for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
            *byte = pair.iter().try_fold(0, |value, digit| match digit {
                b'0'..=b'9' => Ok(value << 4 | (digit - b'0')),
                b'a'..=b'f' => Ok(value << 4 | (digit - b'a' + 10)),
                _ => Err(bad("only 0-9 and a-f are allowed")),
            })?;
        }
        Ok(Self(out))
    }
}

impl FromStr for Digest {
    type Err = Error;
    fn from_str(text: &str) -> Result<Self> {
        Self::parse(text)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}
