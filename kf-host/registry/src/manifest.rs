//! `plugin.toml`: what an author says about a command, and what it asks for.

use semver::Version;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::files::Format;
use crate::names::PluginName;
use crate::permissions::Permissions;

/// The manifest format this kf reads and writes.
pub const FORMAT: u64 = 1;

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
}

impl Manifest {
    /// Parses the text of a `plugin.toml`.
    pub fn parse(text: &str) -> Result<Self> {
        let manifest: Self = parse_toml("plugin.toml", text)?;
        let plugin = &manifest.plugin;
        check_version(&plugin.version)?;
        check_line("summary", &plugin.summary, 120)?;
        check_line("license", &plugin.license, 80)?;
        if let Some(homepage) = &plugin.homepage {
            check_line("homepage", homepage, 200)?;
            if !homepage.starts_with("https://") {
                return Err(Error::parse("plugin.toml", "homepage must start with https://"));
            }
        }
        Ok(manifest)
    }

    /// Parses what was fetched or read from disk.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self> {
        Self::parse(std::str::from_utf8(bytes).map_err(|e| Error::parse("plugin.toml", e))?)
    }
}

/// Parses TOML that carries `format = 1`; a higher format has its own error.
pub(crate) fn parse_toml<T: serde::de::DeserializeOwned>(what: &str, text: &str) -> Result<T> {
    #[derive(Deserialize)]
    struct Envelope {
        format: u64,
    }
    match toml::from_str::<T>(text) {
        Ok(value) => Ok(value),
        Err(e) => match toml::from_str::<Envelope>(text) {
            Ok(Envelope { format }) if format > FORMAT => {
                Err(Error::NewerFormat { what: what.to_owned(), found: format, supported: FORMAT })
            }
            _ => Err(Error::parse(what, e)),
        },
    }
}

/// Two builds of one version cannot be told apart by a person, so build metadata is refused.
pub(crate) fn check_version(version: &Version) -> Result<()> {
    if version.build.is_empty() && version.to_string().len() <= 60 {
        return Ok(());
    }
    Err(Error::BadName {
        what: "version",
        value: version.to_string().chars().take(80).collect(),
        reason: "it must be a semantic version without build metadata, at most 60 characters long",
    })
}

/// One line of plain text: what ends up on terminals must not steer them.
pub(crate) fn check_line(field: &str, text: &str, max: usize) -> Result<()> {
    let steering = |c: char| {
        c.is_control()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    if text.trim().is_empty() || text.chars().count() > max || text.chars().any(steering) {
        return Err(Error::parse(
            field,
            format!("it must be one line of 1 to {max} characters without control or direction characters"),
        ));
    }
    Ok(())
}
