//! `kf.lock`: the commands of a project, pinned with the rights that were accepted.
//!
//! It is committed with the project, so that a review sees every change of a version, a signer or a right. In CI
//! `kf command add --locked` adds exactly what it pins; there the committed file is the consent.
//!
//! It comes from a cloned repository, so it is not trusted:
//!
//! * It never adds a registry. A registry of its name must be set up on this machine, with the same root.
//! * It grants nothing. Each release is resolved, verified and examined as without it, and must then have the pinned
//!   files, signer and rights. A blocked release is refused.
//! * At a terminal the user is asked as usual. Only without one does the file answer, and only to `--locked`.
//! * It is found upwards from the working directory, but only if no other user could have written it ([`find`]). A link is
//!   refused, and so are unknown fields, other formats and large files.

mod compare;
mod install;
mod rights;
mod update;

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use kf_core::format::{self, Format, FormatError};
use kf_core::{AuthorId, Digest, Failure, PluginName, RegistryId, shell};
use kf_home::files;
use kf_home::trusted::{self, Unsafe};
use kf_registry::parts::Parts;
use semver::Version;
use serde::{Deserialize, Serialize};

pub use compare::{Installed, Status, compare};
pub use install::{Target, prepare, select};
pub use update::{Update, remove, update};

/// Its name in a project.
pub const FILE_NAME: &str = "kf.lock";
/// The format that this kf reads and writes.
const FORMAT: u64 = 1;
/// The largest file.
const MAX_BYTES: u64 = 1024 * 1024;
/// The most commands.
const MAX_COMMANDS: usize = 1000;

const HEADER: &str = "# Written by `kf command lock`. `kf command add --locked` adds exactly these commands with these rights.\n";

/// The content of a lock file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lockfile {
    format: Format<FORMAT>,
    /// The registries of the commands.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub registries: BTreeMap<RegistryId, PinnedRegistry>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub commands: BTreeMap<PluginName, Entry>,
}

/// What identifies a registry: its name on another machine proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PinnedRegistry {
    /// Of the root that it was set up with.
    pub root_sha256: Digest,
}

/// A pinned release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    pub version: Version,
    pub registry: RegistryId,
    /// The author who signs it.
    pub owner: AuthorId,
    /// The ids of the author's keys.
    pub keyids: BTreeSet<String>,
    /// Binds files, signer and rights: see [`consent_digest`](kf_registry::receipt::consent_digest).
    pub consent: Digest,
    /// Its rights, one a line, for review. They must match, too.
    pub rights: BTreeSet<String>,
    pub parts: Parts,
}

impl Lockfile {
    /// Parses the text of a lock file; `what` names it.
    pub fn parse(what: &str, text: &str) -> Result<Self, FormatError> {
        let lock: Self = format::parse_toml(what, text, FORMAT)?;
        if lock.commands.len() > MAX_COMMANDS {
            return Err(FormatError::invalid(what, format!("more than {MAX_COMMANDS} commands")));
        }
        let unpinned = lock.commands.iter().find(|(_, entry)| !lock.registries.contains_key(&entry.registry));
        if let Some((name, entry)) = unpinned {
            let reason = format!("{name} is from registry {}, which has no root", entry.registry);
            return Err(FormatError::invalid(what, reason));
        }
        Ok(lock)
    }

    /// The text to write: sorted, with each right on its own line, so that differences are short.
    pub fn to_text(&self) -> Result<String, FormatError> {
        let text = toml::to_string_pretty(self).map_err(|error| FormatError::invalid(FILE_NAME, error))?;
        Ok(format!("{HEADER}{text}"))
    }

    /// Removes registries without commands.
    fn prune(&mut self) {
        let used: BTreeSet<&RegistryId> = self.commands.values().map(|entry| &entry.registry).collect();
        self.registries.retain(|id, _| used.contains(id));
    }
}

/// A lock file and its path.
#[derive(Clone, Debug)]
pub struct Found {
    pub path: PathBuf,
    /// Whether the command line named it; otherwise it is the nearest one.
    pub is_named: bool,
    pub lock: Lockfile,
}

impl Found {
    /// `command` with the flag that names this file, if it was named.
    pub fn hint(&self, command: &str) -> String {
        match self.is_named {
            true => format!("{command} --lockfile {}", shell::path(&self.path)),
            false => command.to_owned(),
        }
    }
}

/// Reads the nearest `kf.lock` in `directory` or above it; none if there is none.
///
/// # Errors
///
/// It is a link, or another user could have written it: it or a directory above it is theirs, or writable by them.
pub fn find(directory: &Path) -> Result<Option<Found>, Failure> {
    for directory in directory.ancestors() {
        let path = directory.join(FILE_NAME);
        if let Err(error) = path.symlink_metadata() {
            match error.kind() {
                ErrorKind::NotFound => continue,
                _ => return Err(Failure::failed(format!("cannot read {}: {error}", path.display()))),
            }
        }
        if let Some(bytes) =
            trusted::read_unlinked(&path, MAX_BYTES).map_err(|error| not_safe(error, &path))?
        {
            return Ok(Some(Found { lock: parse_bytes(&path, &bytes)?, is_named: false, path }));
        }
    }
    Ok(None)
}

/// Reads the lock file that the user named, regardless of who wrote it; none if it does not exist.
pub fn read(path: &Path) -> Result<Option<Found>, Failure> {
    let Some(bytes) = files::read_regular_file(path, MAX_BYTES)? else { return Ok(None) };
    Ok(Some(Found { lock: parse_bytes(path, &bytes)?, is_named: true, path: path.to_owned() }))
}

/// Writes a lock file, unless it has this content.
pub fn write(path: &Path, lock: &Lockfile) -> Result<(), Failure> {
    let text = lock.to_text().map_err(kf_home::Error::from)?;
    // A file that cannot be read is replaced.
    if files::read_regular_file(path, MAX_BYTES).ok().flatten().as_deref() != Some(text.as_bytes()) {
        files::write_atomic(path, text.as_bytes(), false)?;
    }
    Ok(())
}

fn parse_bytes(path: &Path, bytes: &[u8]) -> Result<Lockfile, kf_home::Error> {
    let what = path.display().to_string();
    let text = std::str::from_utf8(bytes).map_err(|error| FormatError::invalid(&what, error))?;
    Ok(Lockfile::parse(&what, text)?)
}

fn not_safe(error: kf_home::Error, path: &Path) -> Failure {
    match &error {
        kf_home::Error::UnsafePath { reason: Unsafe::Owner(_) | Unsafe::Writable(_), .. } => {
            Failure::untrusted(error.to_string())
                .hint(format!("if you trust it, name it: --lockfile {}", shell::path(path)))
        }
        _ => error.into(),
    }
}

#[cfg(test)]
mod tests;
