//! `plugin.toml`: what an author says about a command, and what it asks for.

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

/// Why a `plugin.toml` is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    #[error(transparent)]
    Format(#[from] FormatError),
    #[error(transparent)]
    Version(#[from] NameError),
}

/// A parsed `plugin.toml`. Unknown fields are refused: a grant that is not understood must not be ignored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    pub format: Format<FORMAT>,
    pub plugin: Plugin,
    /// What it asks for.
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
    /// Where `kf --help` lists it. A group that kf does not know is no mistake: a newer kf may.
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

    /// Parses what was fetched or read from disk.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ManifestError> {
        let text = std::str::from_utf8(bytes).map_err(|error| FormatError::invalid("plugin.toml", error))?;
        Self::parse(text)
    }
}

/// Two builds of one version cannot be told apart by a person, so build metadata is refused.
pub fn check_version(version: &Version) -> Result<(), NameError> {
    if version.build.is_empty() && version.to_string().len() <= 60 {
        return Ok(());
    }
    let why = "must be a semantic version without build metadata, at most 60 characters long";
    Err(NameError { kind: "version", value: version.to_string(), why })
}

/// One line of plain text: what ends up on terminals must not steer them.
pub fn check_line(field: &str, line: &str, max_chars: usize) -> Result<(), FormatError> {
    if line.trim().is_empty() || line.chars().count() > max_chars || line.chars().any(text::is_unsafe) {
        return Err(FormatError::invalid(
            field,
            format!(
                "it must be one line of 1 to {max_chars} characters without control or invisible characters"
            ),
        ));
    }
    Ok(())
}
