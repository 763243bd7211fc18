//! What can go wrong with a test cluster, each with the value it went wrong for and a remedy.

use std::io;
use std::path::PathBuf;

use super::part::Part;

/// Why a test cluster could not be built, started, used or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// A file or process operation failed; the path is in the message.
    #[error(transparent)]
    Io(#[from] io::Error),

    /// A part of it could not be built or fetched, or a program of the machine failed.
    #[error(transparent)]
    Toolchain(#[from] kf_toolchains::Error),

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

    /// The existing cluster cannot run the pods of tests.
    #[error("the existing cluster has no {0}, which tests that run pods need")]
    ExistingLacks(&'static str),

    /// A file of the harness, or one it read, does not hold what it should.
    #[error("{path} is not as expected: {reason}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },

    /// There is a kept cluster already, and it is of less use than the wanted one.
    #[error(
        "a cluster is up already, without a node or without an answer, in {0}\nhint: `cargo xtask cluster down` stops it"
    )]
    AlreadyUp(PathBuf),

    /// The kept cluster cannot be used yet, or will never be.
    #[error(
        "the cluster in {0} is not ready: it is still starting, or its start was interrupted\nhint: `cargo xtask cluster down` stops it"
    )]
    NotReady(PathBuf),

    /// A part was asked for in a cluster without a node.
    #[error(
        "{0} runs only on a node, and this cluster has none\nhint: as root, `cargo xtask cluster up --profile node` starts one with a node"
    )]
    PartNeedsNode(Part),

    /// A part could not be built or installed.
    #[error("could not add {part} to the cluster: {source}")]
    Part {
        /// Which part.
        part: Part,
        /// What went wrong.
        #[source]
        source: Box<ClusterError>,
    },

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
