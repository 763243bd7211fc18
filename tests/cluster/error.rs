//! What can go wrong with a test cluster, each with the value it went wrong for and a remedy.

use std::io;
use std::path::PathBuf;

/// Why a test cluster could not be built, started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
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
        /// The end of what it wrote.
        output: String,
    },

    /// The API server refused or could not be reached.
    #[error("could not {doing}: {source}")]
    Api {
        /// What was being done.
        doing: String,
        /// What the client reported.
        #[source]
        source: Box<kube::Error>,
    },

    /// A kubeconfig could not be used.
    #[error("the kubeconfig {path} is not usable: {reason}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// A certificate or key could not be made.
    #[error("could not make the certificate of {subject}: {source}")]
    Certificate {
        /// Whose certificate.
        subject: String,
        /// What the certificate library reported.
        #[source]
        source: rcgen::Error,
    },

    /// Something did not become true in time.
    #[error("gave up waiting for {what} after {seconds} s\nhint: the logs are in {logs}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// How long.
        seconds: u64,
        /// Where to look.
        logs: PathBuf,
    },

    /// A program of the cluster ended by itself.
    #[error("the cluster stopped by itself: {reason}\nhint: the logs are in {logs}")]
    Stopped {
        /// Which program, how it ended, and its last lines.
        reason: String,
        /// Where to look.
        logs: PathBuf,
    },

    /// The machine lacks something the node profile needs.
    #[error("this machine cannot run a Kubernetes node: {0}")]
    NodeUnsupported(String),

    /// A file of the harness, or one it read, does not hold what it should.
    #[error("{path} is not as expected: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// There is a kept cluster already.
    #[error("a cluster is up already, in {0}\nhint: `cargo xtask cluster down` stops it")]
    AlreadyUp(PathBuf),

    /// No free address or name was found.
    #[error("no free {0} was found on this machine")]
    NothingFree(&'static str),
}

/// The harness's result.
pub type Result<T, E = ClusterError> = std::result::Result<T, E>;

impl ClusterError {
    pub(crate) fn api(doing: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Api { doing, source: Box::new(source) }
    }

    pub(crate) fn malformed(path: impl Into<PathBuf>, reason: impl ToString) -> Self {
        Self::Malformed { path: path.into(), reason: reason.to_string() }
    }
}

impl From<nix::Error> for ClusterError {
    fn from(error: nix::Error) -> Self {
        Self::Io(error.into())
    }
}
