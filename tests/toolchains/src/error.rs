//! What can go wrong while something is built, each with the value it went wrong for.

use std::io;
use std::path::PathBuf;

/// Why something could not be built or fetched.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or process operation failed; the path is in the message.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A program of the machine is needed and not there.
    #[error("`{program}` is needed {purpose} and was not found on PATH\nhint: {remedy}")]
    ProgramMissing {
        /// The program's name.
        program: &'static str,
        /// What it is needed for.
        purpose: &'static str,
        /// How to get it.
        remedy: &'static str,
    },

    /// A program of the machine ran and failed.
    #[error("`{command}` failed ({status}):\n{output}")]
    CommandFailed {
        /// The command line, shortened.
        command: String,
        /// How it ended.
        status: String,
        /// The end of what it wrote, and where all of it is.
        output: String,
    },

    /// A file does not hold what it should.
    #[error("{path} is not as expected: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A package was compiled and is no component.
    #[error("`{0}` makes no component\nhint: give it a library, or an example of the crate type cdylib")]
    NoComponent(String),

    /// `KF_GUEST_TOOLCHAIN` holds another word.
    #[error("KF_GUEST_TOOLCHAIN is `{0}`\nhint: it can be installed, rustup or debian")]
    UnknownWay(String),

    /// Nothing on this machine compiles guests.
    #[error("no Rust for wasm32-unknown-unknown: {0}")]
    NoGuestToolchain(String),
}

/// The result of building something.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// A file that does not hold what it should, and why.
    pub fn malformed(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Malformed { path: path.into(), reason: reason.to_string() }
    }
}
