//! The errors of a test cluster.

use std::io;
use std::path::PathBuf;

use super::part::Part;

/// Why a test cluster could not be built, started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file or process operation failed; the path is in the message.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A component could not be built or fetched, or a program on the machine failed.
    #[error(transparent)]
    Toolchain(#[from] kf_toolchains::Error),

    /// The API server refused a request or could not be reached.
    #[error("cannot {doing}: {source}")]
    Api {
        /// The action.
        doing: String,
        /// The client's error.
        #[source]
        source: Box<kube::Error>,
    },

    /// A kubeconfig is not usable.
    #[error("kubeconfig {path} is not usable: {reason}")]
    Kubeconfig {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },

    /// A certificate or key could not be created.
    #[error("cannot create the certificate of {subject}: {source}")]
    Certificate {
        /// The subject of the certificate.
        subject: String,
        /// The certificate library's error.
        #[source]
        source: rcgen::Error,
    },

    /// A condition did not become true in time.
    #[error("timed out waiting for {what} after {seconds} s\nhint: the logs are in {logs}")]
    TimedOut {
        /// The condition.
        what: String,
        /// The time limit.
        seconds: u64,
        /// The directory of the logs.
        logs: PathBuf,
    },

    /// A program of the cluster ended unexpectedly.
    #[error("the cluster stopped unexpectedly: {reason}\nhint: the logs are in {logs}")]
    Stopped {
        /// Which program, how it ended, and its last lines.
        reason: String,
        /// The directory of the logs.
        logs: PathBuf,
    },

    /// The machine does not support the node profile.
    #[error("this machine cannot run a Kubernetes node: {0}")]
    NodeUnsupported(String),

    /// The existing cluster cannot run the pods of tests.
    #[error("the existing cluster has no {0}, which tests that run pods need")]
    ExistingLacks(&'static str),

    /// A file has unexpected content.
    #[error("{path} has unexpected content: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The reason.
        reason: String,
    },

    /// A kept cluster is running already, but without the requested profile.
    #[error(
        "a cluster is already up in {0}, but it has no node or does not answer\nhint: stop it with `cargo xtask cluster down`"
    )]
    AlreadyUp(PathBuf),

    /// The kept cluster is not ready, and may never be.
    #[error(
        "the cluster in {0} is not ready: it is still starting, or its start was interrupted\nhint: stop it with `cargo xtask cluster down`"
    )]
    NotReady(PathBuf),

    /// A part needs a node, and the cluster has none.
    #[error(
        "{0} runs only on a node, and this cluster has none\nhint: as root, start one with `cargo xtask cluster up --profile node`"
    )]
    PartNeedsNode(Part),

    /// A part could not be built or installed.
    #[error("cannot add {part} to the cluster: {source}")]
    Part {
        /// The part.
        part: Part,
        /// The cause.
        #[source]
        source: Box<ClusterError>,
    },

    /// No free network was found.
    #[error("no free {0} on this machine")]
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
