use std::path::{Path, PathBuf};

use kf_core::format::FormatError;
use kf_core::{Failure, Kind, shell};

use crate::trusted::Unsafe;

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a file cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Format(#[from] FormatError),

    #[error("{0}")]
    Io(#[from] std::io::Error),

    #[error("cannot write to {}: {source}", path.display())]
    Unwritable { path: PathBuf, source: std::io::Error },

    #[error("{} is not safe to use: {reason}", path.display())]
    UnsafePath { path: PathBuf, reason: Unsafe },

    #[error("another kf{} is changing {name}", pid.map(|p| format!(" (process {p})")).unwrap_or_default())]
    Busy { name: String, pid: Option<u32> },
}

impl Error {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Format(FormatError::Invalid { .. }) => Kind::Usage,
            Self::UnsafePath { .. } => Kind::Untrusted,
            Self::Format(FormatError::Newer { .. })
            | Self::Io(_)
            | Self::Unwritable { .. }
            | Self::Busy { .. } => Kind::Failed,
        }
    }

    /// The next command to type, or what to do, if there is one remedy.
    pub fn hint(&self) -> Option<String> {
        use std::io::ErrorKind::{
            NotADirectory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull,
        };
        Some(match self {
            Self::Format(error) => return error.hint(),
            Self::Io(_) => return None,
            Self::Unwritable { source, .. } => match source.kind() {
                QuotaExceeded | StorageFull => {
                    "free some space, or set KF_HOME to a folder on another disk".into()
                }
                NotADirectory | PermissionDenied | ReadOnlyFilesystem => {
                    "set KF_HOME to a folder that you own".into()
                }
                _ => return None,
            },
            Self::UnsafePath { path, reason } => match reason {
                Unsafe::Writable(_) => {
                    format!("chmod go-w {}, or set KF_HOME to another folder that you own", shell::path(path))
                }
                Unsafe::Readable(_) => format!("chmod go= {}", shell::path(path)),
                Unsafe::Owner(_) if rustix::process::geteuid().is_root() => {
                    format!("under sudo, use sudo -H; otherwise check who created {}", path.display())
                }
                _ => format!("check who created {}, then remove it", path.display()),
            },
            Self::Busy { .. } => "wait for it to finish, then try again".into(),
        })
    }

    /// An invalid document; `what` names it.
    pub fn invalid(what: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        FormatError::invalid(what, reason).into()
    }

    /// An I/O error while writing `path`.
    pub fn writing(path: &Path, source: std::io::Error) -> Self {
        Self::Unwritable { path: path.to_owned(), source: without_path(source) }
    }

    /// An I/O error while reading `path`.
    pub(crate) fn reading(path: &Path, errno: rustix::io::Errno) -> Self {
        let error = std::io::Error::from(errno);
        std::io::Error::new(error.kind(), format!("cannot read {}: {error}", path.display())).into()
    }
}

/// The error without the path that `fs_err` and `tempfile` add to its text.
fn without_path(error: std::io::Error) -> std::io::Error {
    let Some(inner) = error.get_ref() else { return error };
    let plain = inner.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    let plain = plain.and_then(std::io::Error::raw_os_error).map(std::io::Error::from_raw_os_error);
    plain.unwrap_or_else(|| error.kind().into())
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::new(error.kind(), error.to_string()).maybe_hint(error.hint()).caused_by(error)
    }
}
