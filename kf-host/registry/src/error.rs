//! What can go wrong, and how grave it is.

use std::path::{Path, PathBuf};

use crate::names::{AuthorId, Digest, PluginName, RegistryId};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a failure means for the person at the terminal; decides the exit code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The request itself is wrong: a name, a version, a file that does not parse.
    Usage,
    /// No such command, version or registry.
    NotFound,
    /// Signatures, digests, versions or the index say no. Nothing was changed.
    Refused,
    /// The registry could not be reached.
    Unreachable,
    /// The registry answered too slowly.
    TimedOut,
    /// The local disk or another process stands in the way.
    Local,
}

/// Every failure of this crate. `Display` is one line without a full stop; [`Error::hint`] is the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("{value:?} is not a {what}: {reason}")]
    BadName { what: &'static str, value: String, reason: &'static str },

    #[error("cannot read {what}: {reason}")]
    Parse { what: String, reason: String },

    #[error("{what} was written by a newer kf: it has format {found}, and this kf knows {supported}")]
    NewerFormat { what: String, found: u64, supported: u64 },

    #[error("{0}")]
    Io(#[from] std::io::Error),

    #[error("cannot write to {}: {source}", path.display())]
    ReadOnly { path: PathBuf, source: std::io::Error },

    #[error("{} is not safe to use: {reason}", path.display())]
    UnsafePath { path: PathBuf, reason: &'static str },

    #[error("another kf{} is changing {name}", pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    Busy { name: String, pid: Option<u32> },

    #[error("no registry {0} is set up")]
    NoRegistry(RegistryId),

    #[error("registry {0} is set up already")]
    RegistryExists(RegistryId),

    #[error("{url:?} is not a registry address: {reason}")]
    BadUrl { url: String, reason: &'static str },

    #[error("the root of registry {registry} has sha256 {found}, not the pinned {pinned}")]
    WrongRoot { registry: RegistryId, found: Digest, pinned: Digest },

    #[error("the pinned root of registry {registry} cannot be used: {reason}")]
    BadRoot { registry: RegistryId, reason: String },

    #[error("registry {registry} cannot be reached: {reason}")]
    Unreachable { registry: RegistryId, reason: String },

    #[error("registry {registry} did not answer in time: {reason}")]
    TimedOut { registry: RegistryId, reason: String },

    #[error("registry {registry} is refused: {reason}")]
    Untrusted { registry: RegistryId, reason: String },

    #[error(
        "the clock reads {now}, but registry {registry} was last seen at {last_seen}: \
         with a clock set back, expired signatures would look valid"
    )]
    ClockWentBack { registry: RegistryId, now: jiff::Timestamp, last_seen: jiff::Timestamp },

    #[error("registry {registry} has no command {name}")]
    UnknownPlugin { registry: RegistryId, name: PluginName, nearest: Vec<String> },

    #[error("{name} has no version that matches {wanted}")]
    NoVersion { name: PluginName, wanted: String, available: Vec<semver::Version> },

    #[error("{name} {version} is built for ABI {abi}, which this kf does not run")]
    UnsupportedAbi { name: PluginName, version: semver::Version, abi: semver::Version },

    #[error("{name} {version} is blocked by registry {registry}: {reason}")]
    Blocked { registry: RegistryId, name: PluginName, version: semver::Version, reason: String },

    #[error("{path} belongs to {owner}, but the registry lets {found} sign it")]
    WrongOwner { path: String, owner: AuthorId, found: String },

    #[error("the receipt of {name} cannot be used: {reason}")]
    BadReceipt { name: PluginName, reason: String },

    #[error("{name} is not installed")]
    NotInstalled { name: PluginName },

    #[error("the stored {what} has sha256 {found}, not {expected}: it was changed after it was verified")]
    Tampered { what: &'static str, expected: Digest, found: Digest },

    #[error("{name} {version} may not be published: {reason}")]
    Gate { name: PluginName, version: semver::Version, reason: String },

    #[error("{0}")]
    Publish(String),
}

impl Error {
    /// How grave it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::BadName { .. }
            | Self::Parse { .. }
            | Self::BadUrl { .. }
            | Self::RegistryExists(_)
            | Self::BadRoot { .. } => Kind::Usage,
            Self::NoRegistry(_)
            | Self::UnknownPlugin { .. }
            | Self::NoVersion { .. }
            | Self::NotInstalled { .. } => Kind::NotFound,
            Self::WrongRoot { .. }
            | Self::Untrusted { .. }
            | Self::ClockWentBack { .. }
            | Self::UnsupportedAbi { .. }
            | Self::Blocked { .. }
            | Self::WrongOwner { .. }
            | Self::Tampered { .. }
            | Self::BadReceipt { .. }
            | Self::UnsafePath { .. }
            | Self::Gate { .. }
            | Self::Publish(_) => Kind::Refused,
            Self::Unreachable { .. } => Kind::Unreachable,
            Self::TimedOut { .. } => Kind::TimedOut,
            Self::NewerFormat { .. } | Self::Io(_) | Self::ReadOnly { .. } | Self::Busy { .. } => Kind::Local,
        }
    }

    /// What to type or do next, where there is one thing that helps.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::NewerFormat { .. } | Self::UnsupportedAbi { .. } => "update kf".into(),
            Self::NoRegistry(id) => format!("kf registry add {id} URL --root root.json"),
            Self::RegistryExists(id) => format!("kf registry remove {id}"),
            Self::ReadOnly { .. } => "set KF_HOME to a folder of yours".into(),
            Self::Busy { .. } => "wait for it to finish, then try again".into(),
            Self::UnknownPlugin { nearest, .. } => match nearest.first() {
                Some(name) => format!("did you mean {name}? `kf command list --available` shows all"),
                None => "`kf command list --available` shows what can be added".into(),
            },
            Self::NoVersion { name, available, .. } => match available.iter().max() {
                Some(newest) => format!("kf command add {name}@{newest}"),
                None => "`kf command list --available` shows what can be added".into(),
            },
            Self::BadReceipt { name, .. } => format!("kf command remove {name} && kf command add {name}"),
            Self::NotInstalled { name } => format!("kf command add {name}"),
            Self::ClockWentBack { .. } => "set the clock, then try again".into(),
            Self::Tampered { .. } => "remove the command and add it again".into(),
            Self::UnsafePath { path, .. } => {
                format!("look at who put {} there, and remove it", path.display())
            }
            _ => return None,
        })
    }

    pub(crate) fn parse(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        Self::Parse { what: what.into(), reason: on_one_line(&reason.to_string()) }
    }

    /// An I/O failure while writing under `path`; a read-only place gets its own words.
    pub(crate) fn writing(path: &Path, source: std::io::Error) -> Self {
        use std::io::ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
        match source.kind() {
            NotADirectory | PermissionDenied | ReadOnlyFilesystem => {
                Self::ReadOnly { path: path.to_owned(), source: bare(source) }
            }
            _ => Self::Io(source),
        }
    }
}

/// A parser's complaint without the picture between its first and its last line.
fn on_one_line(complaint: &str) -> String {
    let mut lines = complaint.trim().lines().map(str::trim);
    match (lines.next(), lines.next_back()) {
        (Some(first), Some(last)) => format!("{first}: {last}"),
        (first, _) => first.unwrap_or_default().to_owned(),
    }
}

/// `fs_err` names the path in its text; where we name it ourselves the plain text is enough.
fn bare(error: std::io::Error) -> std::io::Error {
    match error.get_ref().and_then(|inner| inner.source()).and_then(|s| s.downcast_ref::<std::io::Error>()) {
        Some(inner) => {
            inner.raw_os_error().map_or_else(|| inner.kind().into(), std::io::Error::from_raw_os_error)
        }
        None => error,
    }
}
