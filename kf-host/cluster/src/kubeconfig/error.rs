//! Errors of loading a kubeconfig.

use std::path::PathBuf;

use kf_core::names::NameError;
use kf_core::text::{escaped, excerpt};

use super::kuberc::PolicyError;

/// Why no cluster could be selected. No message repeats a value that may be a secret, and names are shown without
/// control characters.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("no kubeconfig: {} does not exist", joined(.0))]
    Missing(Vec<PathBuf>),
    #[error("cannot load the kubeconfig {path}: {why}")]
    Unreadable { path: PathBuf, why: String },
    #[error("current-context is not set in the kubeconfig")]
    NoContext { known: Vec<String> },
    #[error("context `{}` does not exist in the kubeconfig", excerpt(.name))]
    UnknownContext { name: String, known: Vec<String> },
    #[error("cluster was not specified for context `{}`", excerpt(.context))]
    NoCluster { context: String },
    #[error("cluster `{}` was not found for context `{}`", excerpt(.cluster), excerpt(.context))]
    UnknownCluster { context: String, cluster: String },
    #[error("user `{}` was not found for context `{}`", excerpt(.user), excerpt(.context))]
    UnknownUser { context: String, user: String },
    #[error("no `{}` found for {} in the kubeconfig", excerpt(.field), excerpt(.entry))]
    MissingField { entry: String, field: String },
    #[error("invalid `{}` for {} in the kubeconfig: {why}", excerpt(.field), excerpt(.entry))]
    InvalidField { entry: String, field: String, why: String },
    #[error(
        "more than one authentication method found for {} in {}: `{first}` and `{second}`; remove one",
        excerpt(.entry),
        escaped(&file.display().to_string(), &[])
    )]
    ConflictingAuth { entry: String, file: PathBuf, first: &'static str, second: &'static str },
    #[error("invalid {variable}: {why}")]
    ProxyVariable { variable: &'static str, why: &'static str },
    #[error("cannot use the service account of this pod: {0}")]
    ServiceAccount(String),
    #[error(transparent)]
    Namespace(#[from] NameError),
    #[error("{}{}", escaped(&error.to_string(), &[]), install_hint_suffix(.install_hint.as_ref()))]
    Plugin {
        #[source]
        error: PolicyError,
        /// The kubeconfig's `installHint` for a missing program, in one line.
        install_hint: Option<String>,
    },
    #[error("the auth provider `{}` was removed from Kubernetes clients", excerpt(.0))]
    RemovedAuthProvider(String),
}

fn joined(files: &[PathBuf]) -> String {
    files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn install_hint_suffix(install_hint: Option<&String>) -> String {
    install_hint.map(|hint| format!("; install hint from the kubeconfig: {hint}")).unwrap_or_default()
}

impl KubeconfigError {
    /// What to do, if it does not depend on how the kubeconfig was chosen.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::RemovedAuthProvider(_) => Some("use a credential plugin instead".into()),
            Self::Plugin { error, .. } => Some(escaped(&error.hint(), &[])),
            Self::ProxyVariable { variable, .. } => {
                Some(format!("set {variable} to a URL such as http://proxy.example:3128, or unset it"))
            }
            _ => None,
        }
    }
}
