//! `plugin.toml`: the description of a command by its author, and the permissions it asks for.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::format::{self, Format, FormatError};
use crate::names::{CommandGroup, NameError, PluginName};
use crate::permissions::Permissions;
use crate::text;

/// The manifest format this kf reads and writes.
pub const FORMAT: u64 = 1;

/// The largest `plugin.toml`, in bytes.
pub const MAX_BYTES: u64 = 64 * 1024;

/// Why a `plugin.toml` is invalid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Version(#[from] NameError),
}

/// A parsed `plugin.toml`. Unknown fields are errors: a permission that kf does not know must not be ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: Format<FORMAT>,
    pub plugin: Plugin,
    /// The permissions it asks for.
    #[serde(default)]
    pub permissions: Permissions,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plugin {
    pub name: PluginName,
    /// Semantic version without build metadata.
    pub version: Version,
    /// The ABI it was built for.
    pub abi: Version,
    /// One line, for lists.
    pub summary: String,
    /// An SPDX expression.
    pub license: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// The heading under which `kf --help` lists it. An unknown group is valid: a newer kf may know it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<CommandGroup>,
}

impl Manifest {
    /// Parses the text of a `plugin.toml`.
    pub fn parse(text: &str) -> Result<Self, ManifestError> {
        let manifest: Self = format::parse_toml("plugin.toml", text, FORMAT)?;
        let plugin = &manifest.plugin;
        check_version(&plugin.version)?;
        check_line("summary", &plugin.summary, 120)?;
        check_line("license", &plugin.license, 80)?;
        if let Some(homepage) = &plugin.homepage {
            check_line("homepage", homepage, 200)?;
            if !homepage.starts_with("https://") {
                return Err(FormatError::invalid("plugin.toml", "homepage must start with https://").into());
            }
        }
        Ok(manifest)
    }

    /// Parses the bytes of a `plugin.toml`.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|error| FormatError::invalid("plugin.toml", error))?;
        Self::parse(text)
    }
}

/// Checks a version. Build metadata is refused, because a user cannot tell two builds of one version apart.
pub fn check_version(version: &Version) -> Result<(), NameError> {
    if version.build.is_empty() && version.to_string().len() <= 60 {
        return Ok(());
    }
    let why = "must be a semantic version without build metadata, at most 60 characters long";
    Err(NameError { kind: "version", value: version.to_string(), why })
}

/// Checks that a field is one line of plain text, which cannot control a terminal.
pub fn check_line(field: &str, line: &str, max_chars: usize) -> Result<(), FormatError> {
    if line.trim().is_empty() || line.chars().count() > max_chars || line.chars().any(text::is_unsafe) {
        return Err(FormatError::invalid(
            field,
            format!(
                "must be one line of 1 to {max_chars} characters without control or invisible characters"
            ),
        ));
    }
    Ok(())
}
