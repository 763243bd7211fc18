//! What can go wrong, and how grave it is.

use std::path::Path;

use kf_core::format::FormatError;
use kf_core::manifest::ManifestError;
use kf_core::names::NameError;
use kf_core::{AuthorId, Digest, Failure, Kind, PluginName, RegistryId};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Every failure of this crate. `Display` is one line without a full stop; [`Error::hint`] is the way out.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Home(#[from] kf_home::Error),

    #[error(transparent)]
    Name(#[from] NameError),

    #[error(transparent)]
    Manifest(#[from] ManifestError),

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

    #[error(
        "the clock reads {now}, but registry {registry} was signed at {signed}: \
         with a clock set back, expired signatures would look valid"
    )]
    ClockBehind { registry: RegistryId, now: jiff::Timestamp, signed: jiff::Timestamp },

    #[error("registry {registry} has no command {name}")]
    UnknownPlugin { registry: RegistryId, name: PluginName, nearest: Vec<String> },

    #[error("{name} has no version that matches {wanted}")]
    NoVersion { name: PluginName, wanted: String, available: Vec<semver::Version> },

    #[error("{name} {version} is built for ABI {abi}, which this kf does not run")]
    UnsupportedAbi { name: PluginName, version: semver::Version, abi: semver::Version },

    #[error("{name} {version} is blocked{}: {reason}", by(registry.as_ref()))]
    Blocked { registry: Option<RegistryId>, name: PluginName, version: semver::Version, reason: String },

    #[error("{path} belongs to {owner}, but the registry lets {found} sign it")]
    WrongOwner { path: String, owner: AuthorId, found: String },

    #[error("the receipt of {name} cannot be used: {reason}")]
    BadReceipt { name: PluginName, reason: String },

    #[error("{name} is not installed")]
    NotInstalled { name: PluginName },

    #[error("the stored {what} has sha256 {found}, not {expected}: it was changed after it was verified")]
    Tampered { what: &'static str, expected: Digest, found: Digest },

    #[error("{name} is not what it says: {reason}")]
    Mismatch { name: PluginName, reason: String },

    #[error("{name} {version} may not be published: {reason}")]
    Gate { name: PluginName, version: semver::Version, reason: String },

    #[error("{0}")]
    Publish(String),
}

/// Who blocks it.
fn by(registry: Option<&RegistryId>) -> String {
    registry.map(|registry| format!(" by registry {registry}")).unwrap_or_default()
}

impl Error {
    /// Decides the exit code. [`Kind::Untrusted`]: signatures, digests, versions or the index say no, and
    /// nothing was changed.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Home(error) => error.kind(),
            Self::Name(_)
            | Self::Manifest(_)
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
            | Self::ClockBehind { .. }
            | Self::UnsupportedAbi { .. }
            | Self::Blocked { .. }
            | Self::WrongOwner { .. }
            | Self::Tampered { .. }
            | Self::BadReceipt { .. }
            | Self::Gate { .. }
            | Self::Mismatch { .. }
            | Self::Publish(_) => Kind::Untrusted,
            Self::Unreachable { .. } => Kind::Unreachable,
            Self::TimedOut { .. } => Kind::TimedOut,
        }
    }

    /// What to type or do next, where there is one thing that helps.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Home(error) => return error.hint(),
            Self::Manifest(ManifestError::Format(error)) => return error.hint(),
            Self::UnsupportedAbi { .. } => "upgrade kf".into(),
            Self::NoRegistry(id) => format!("kf registry add {id} URL --root root.json"),
            Self::RegistryExists(id) => format!("kf registry remove {id}"),
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
            Self::ClockWentBack { .. } | Self::ClockBehind { .. } => "set the clock, then try again".into(),
            Self::Tampered { .. } => "remove the command and add it again".into(),
            _ => return None,
        })
    }

    /// A document that does not parse; `what` names it.
    pub(crate) fn invalid(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        FormatError::invalid(what, reason).into()
    }

    /// An I/O failure while writing under `path`.
    pub(crate) fn writing(path: &Path, source: std::io::Error) -> Self {
        kf_home::Error::writing(path, source).into()
    }
}

impl From<FormatError> for Error {
    fn from(error: FormatError) -> Self {
        Self::Home(error.into())
    }
}

impl From<std::io::Error> for Error {
    fn from(error: std::io::Error) -> Self {
        Self::Home(error.into())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string()).maybe_hint(error.hint()).caused_by(error)
    }
}
