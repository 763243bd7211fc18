//! The errors of builds.

use std::io;
use std::path::PathBuf;

/// Why something could not be built or fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed; the path is in the message.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A required program is not installed.
    #[error("`{program}` not found on PATH: required {purpose}\nhint: {remedy}")]
    ProgramMissing {
        /// The program's name.
        program: &'static str,
        /// What it is required for, such as `to fetch Debian packages`.
        purpose: &'static str,
        /// How to install it.
        remedy: &'static str,
    },

    /// A program failed.
    #[error("`{command}` failed ({status}):\n{output}")]
    CommandFailed {
        /// The command line, shortened.
        command: String,
        /// Its exit status.
        status: String,
        /// The end of its output, and the path of the log.
        output: String,
    },

    /// A file does not have the expected content.
    #[error("invalid {path}: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A package was compiled without a component.
    #[error("package `{0}` has no component\nhint: add a library, or an example with crate type cdylib")]
    NoComponent(String),

    /// `KF_GUEST_TOOLCHAIN` has an unknown value.
    #[error("invalid KF_GUEST_TOOLCHAIN `{0}`\nhint: set it to installed, rustup or debian")]
    UnknownWay(String),

    /// No toolchain for guests was found.
    #[error("no Rust for wasm32-unknown-unknown: {0}")]
    NoGuestToolchain(String),
}

/// The result of a build.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// The error for a file without the expected content.
    pub fn malformed(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Malformed { path: path.into(), reason: reason.to_string() }
    }
}
