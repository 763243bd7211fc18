//! The errors of this crate.

use std::path::{Path, PathBuf};

use kf_core::format::FormatError;
use kf_core::manifest::ManifestError;
use kf_core::names::NameError;
use kf_core::text::escaped_line;
use kf_core::{AuthorId, CollectionName, Digest, Failure, Kind, PluginName, RegistryId};

use crate::trust::Fault;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this crate. `Display` is one line; [`Error::hint`] says what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Home(#[from] kf_home::Error),

    #[error(transparent)]
    Name(#[from] NameError),

    #[error(transparent)]
    Manifest(#[from] ManifestError),

    #[error("registry {0} is not configured")]
    NoRegistry(RegistryId),

    #[error("registry {0} already exists")]
    RegistryExists(RegistryId),

    #[error("invalid registry URL {url:?}: {reason}")]
    BadUrl { url: String, reason: &'static str },

    #[error("the root of registry {registry} has sha256 {found}, but {pinned} is pinned")]
    WrongRoot { registry: RegistryId, found: Digest, pinned: Digest },

    #[error("invalid root of registry {registry}: {reason}")]
    BadRoot { registry: RegistryId, reason: String },

    #[error("cannot reach registry {registry}: {reason}")]
    Unreachable { registry: RegistryId, reason: String },

    #[error("{file} is signed by registry {registry}, but missing from this copy of it")]
    NotMirrored { registry: RegistryId, file: String },

    #[error("registry {registry} timed out: {reason}")]
    TimedOut { registry: RegistryId, reason: String },

    #[error("cannot reach registry {registry}: {reason}")]
    UntrustedServer { registry: RegistryId, reason: String },

    #[error("registry {registry} requires authentication: {reason}")]
    Unauthenticated { registry: RegistryId, reason: String },

    #[error("registry {registry} denied access: {reason}")]
    AccessDenied { registry: RegistryId, reason: String },

    #[error("invalid {variable}: not the URL of a proxy such as http://HOST:PORT")]
    BadProxy { variable: &'static str },

    #[error("invalid token: {what}: {reason}")]
    BadToken { what: String, reason: &'static str },

    #[error("refusing to store a token for {url}: it would be sent without TLS")]
    PlainAddress { url: String },

    #[error("invalid certificates of the registry: {reason}")]
    BadCertificates { reason: String },

    #[error("cannot verify registry {registry}: {reason}")]
    Untrusted { registry: RegistryId, reason: String },

    #[error("cannot verify registry {registry}: {fault}")]
    Metadata { registry: RegistryId, fault: Fault },

    #[error("cannot verify {name} of author {owner} in registry {registry}: {reason}")]
    BadOwnerRole { registry: RegistryId, name: PluginName, owner: AuthorId, reason: String },

    #[error(
        "the system clock ({}) is behind the last refresh of registry {registry} ({}): \
         expired signatures would pass as valid",
        seconds(now),
        seconds(last_seen)
    )]
    ClockWentBack { registry: RegistryId, now: jiff::Timestamp, last_seen: jiff::Timestamp },

    #[error(
        "the system clock ({}) is behind the metadata of registry {registry}, signed at {signed}: \
         expired signatures would pass as valid",
        seconds(now)
    )]
    ClockBehind { registry: RegistryId, now: jiff::Timestamp, signed: jiff::Timestamp },

    #[error("command {name} not found in registry {registry}")]
    UnknownPlugin { registry: RegistryId, name: PluginName, nearest: Vec<String> },

    #[error("collection {name} not found in registry {registry}")]
    UnknownCollection { registry: RegistryId, name: CollectionName, known: Vec<CollectionName> },

    #[error("no version of {name} matches {wanted}")]
    NoVersion { registry: RegistryId, name: PluginName, wanted: String, available: Vec<semver::Version> },

    #[error("{name} {version} needs ABI {abi}, which this kf does not support")]
    UnsupportedAbi { name: PluginName, version: semver::Version, abi: semver::Version },

    #[error("{name} {version} is blocked{}: {}", by(registry.as_ref()), escaped_line(reason))]
    Blocked { registry: Option<RegistryId>, name: PluginName, version: semver::Version, reason: String },

    #[error("{path} is owned by {owner}, but delegated to {found}")]
    WrongOwner { path: String, owner: AuthorId, found: String },

    #[error("invalid receipt of {name}: {reason}")]
    BadReceipt { name: PluginName, reason: String },

    #[error("{name} is not installed")]
    NotInstalled { name: PluginName },

    #[error("the stored {what} has sha256 {found}, expected {expected}: it was changed after verification")]
    Tampered { what: &'static str, expected: Digest, found: Digest },

    #[error("{name} does not match its metadata: {reason}")]
    Mismatch { name: PluginName, reason: String },

    #[error("cannot publish {name} {version}: {reason}")]
    Gate { name: PluginName, version: semver::Version, reason: String },

    #[error(
        "cannot publish {name} {version}: it may do more than {baseline}, and the admins have not approved it: {growth}"
    )]
    Unapproved { name: PluginName, version: semver::Version, baseline: String, growth: String },

    #[error("key {keyid} is not authorized to sign {role}")]
    NotAuthorized { keyid: String, role: String },

    #[error("{} already exists", .0.display())]
    KeyExists(PathBuf),

    #[error("{} is not empty", .0.display())]
    NotEmpty(PathBuf),

    #[error("{} has another registry: its roots differ", .0.display())]
    OtherRegistry(PathBuf),

    #[error("{} has a newer state of the registry: timestamp {timestamp}", folder.display())]
    NewerCopy { folder: PathBuf, timestamp: u64 },

    #[error("key {} does not exist", .0.display())]
    NoKey(PathBuf),

    #[error("wrong passphrase for {}", .0.display())]
    WrongPassphrase(PathBuf),

    #[error("the passphrase is too short: at least {min} bytes are required")]
    ShortPassphrase { min: usize },

    #[error("{0} is not in the index")]
    UnknownInIndex(PluginName),

    #[error("author {0} is not in the index")]
    UnknownAuthor(AuthorId),

    #[error("{name} is owned by {owner}")]
    OwnedByOther { name: PluginName, owner: AuthorId },

    #[error("{} already exists", .0.display())]
    RegistryTomlExists(PathBuf),

    #[error("no registry is published in {}", .0.display())]
    NothingPublished(PathBuf),

    #[error("{0}")]
    Edit(String),

    #[error("{0}")]
    Publish(String),
}

/// A time without fractions of a second.
fn seconds(time: &jiff::Timestamp) -> jiff::Timestamp {
    jiff::Timestamp::from_second(time.as_second()).unwrap_or(*time)
}

/// The registry that blocks it, as part of a sentence.
fn by(registry: Option<&RegistryId>) -> String {
    registry.map(|registry| format!(" by registry {registry}")).unwrap_or_default()
}

impl Error {
    /// The kind, which decides the exit code. [`Kind::Untrusted`]: signatures, digests, versions or the index
    /// were refused, and nothing was changed.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Home(error) => error.kind(),
            Self::Name(_)
            | Self::Manifest(_)
            | Self::BadUrl { .. }
            | Self::RegistryExists(_)
            | Self::BadRoot { .. }
            | Self::BadProxy { .. }
            | Self::BadToken { .. }
            | Self::PlainAddress { .. }
            | Self::BadCertificates { .. }
            | Self::KeyExists(_)
            | Self::NotEmpty(_)
            | Self::NoKey(_)
            | Self::WrongPassphrase(_)
            | Self::OwnedByOther { .. }
            | Self::RegistryTomlExists(_)
            | Self::Edit(_)
            | Self::ShortPassphrase { .. } => Kind::Usage,
            Self::NoRegistry(_)
            | Self::UnknownInIndex(_)
            | Self::UnknownAuthor(_)
            | Self::NothingPublished(_)
            | Self::UnknownPlugin { .. }
            | Self::UnknownCollection { .. }
            | Self::NoVersion { .. }
            | Self::NotInstalled { .. } => Kind::NotFound,
            Self::WrongRoot { .. }
            | Self::Untrusted { .. }
            | Self::AccessDenied { .. }
            | Self::Metadata { .. }
            | Self::BadOwnerRole { .. }
            | Self::ClockWentBack { .. }
            | Self::ClockBehind { .. }
            | Self::UnsupportedAbi { .. }
            | Self::Blocked { .. }
            | Self::WrongOwner { .. }
            | Self::Tampered { .. }
            | Self::BadReceipt { .. }
            | Self::Gate { .. }
            | Self::OtherRegistry(_)
            | Self::NewerCopy { .. }
            | Self::Mismatch { .. }
            | Self::Unapproved { .. }
            | Self::NotAuthorized { .. }
            | Self::Publish(_) => Kind::Untrusted,
            Self::Unauthenticated { .. } => Kind::Unauthenticated,
            Self::Unreachable { .. } | Self::UntrustedServer { .. } | Self::NotMirrored { .. } => {
                Kind::Unreachable
            }
            Self::TimedOut { .. } => Kind::TimedOut,
        }
    }

    /// What to run or do next, if one thing helps.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Home(error) => return error.hint(),
            Self::Manifest(ManifestError::Format(error)) => return error.hint(),
            Self::UnsupportedAbi { .. } => "upgrade kf".into(),
            Self::ClockWentBack { .. } | Self::ClockBehind { .. } => "set the system clock and retry".into(),
            Self::PlainAddress { .. } => "use an https:// address".into(),
            Self::Metadata { fault, .. } => fault.remedy(),
            Self::UntrustedServer { .. } => "set SSL_CERT_FILE to the certificates of your network".into(),
            Self::BadOwnerRole { registry, owner, .. } => {
                format!("ask the author {owner}, or the admins of registry {registry}")
            }
            Self::WrongOwner { .. } => "ask the registry's admins who owns it".into(),
            Self::WrongRoot { registry, .. } => {
                format!("ask the admins of registry {registry} for the digest of its root")
            }
            Self::AccessDenied { registry, .. } => {
                format!("ask the admins of registry {registry} for access")
            }
            _ => return None,
        })
    }

    /// The error for a document that cannot be parsed; `what` names it.
    pub(crate) fn invalid(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        FormatError::invalid(what, reason).into()
    }

    /// The error for a failed write under `path`.
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
