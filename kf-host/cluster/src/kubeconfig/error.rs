//! Why a kubeconfig leads to no cluster.

use std::path::PathBuf;

use kf_core::names::NameError;
use kf_core::text::{escaped, excerpt};

use super::kuberc::PolicyError;

/// Why no cluster could be chosen. No message repeats a value that may be a secret, and
/// names are shown without what a terminal obeys.
#[derive(Debug, thiserror::Error)]
pub enum KubeconfigError {
    #[error("no kubeconfig: {} does not exist", looked_at(.0))]
    Missing(Vec<PathBuf>),
    #[error("the kubeconfig {path} cannot be used: {why}")]
    Unreadable { path: PathBuf, why: String },
    #[error("the kubeconfig names no current context")]
    NoContext { known: Vec<String> },
    #[error("the kubeconfig has no context `{}`", excerpt(.name))]
    UnknownContext { name: String, known: Vec<String> },
    #[error("the context `{}` names no cluster", excerpt(.context))]
    NoCluster { context: String },
    #[error(
        "the context `{}` names the cluster `{}`, which the kubeconfig does not have",
        excerpt(.context),
        excerpt(.cluster)
    )]
    UnknownCluster { context: String, cluster: String },
    #[error(
        "the context `{}` names the user `{}`, whom the kubeconfig does not have",
        excerpt(.context),
        excerpt(.user)
    )]
    UnknownUser { context: String, user: String },
    #[error("the kubeconfig's {} has no `{}`", excerpt(.entry), excerpt(.field))]
    NoField { entry: String, field: String },
    #[error("the kubeconfig's {} has an invalid `{}`: {why}", excerpt(.entry), excerpt(.field))]
    Field { entry: String, field: String, why: String },
    #[error(
        "the {} in {} has more than one authentication method: `{first}` and `{second}`; remove one",
        excerpt(.entry),
        escaped(&file.display().to_string(), &[])
    )]
    Contradiction { entry: String, file: PathBuf, first: &'static str, second: &'static str },
    #[error("{variable} is not the URL of a proxy: {why}")]
    ProxyVariable { variable: &'static str, why: &'static str },
    #[error("the service account of this pod cannot be used: {0}")]
    ServiceAccount(String),
    #[error(transparent)]
    Namespace(#[from] NameError),
    #[error("{}{}", escaped(&error.to_string(), &[]), quoted(.install_hint.as_ref()))]
    Plugin {
        #[source]
        error: PolicyError,
        /// What the kubeconfig says about a program that is not installed, in one line.
        install_hint: Option<String>,
    },
    #[error("the authentication provider `{}` is gone from Kubernetes clients", excerpt(.0))]
    Provider(String),
}

fn looked_at(files: &[PathBuf]) -> String {
    files.iter().map(|f| f.display().to_string()).collect::<Vec<_>>().join(", ")
}

fn quoted(install_hint: Option<&String>) -> String {
    install_hint.map(|hint| format!("; the kubeconfig says: {hint}")).unwrap_or_default()
}

impl KubeconfigError {
    /// The next command to type.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Missing(_) => {
                Some("get a kubeconfig from the cluster's admin, then: kf --kubeconfig FILE …".into())
            }
            Self::NoContext { known } | Self::UnknownContext { known, .. } => Some(if known.is_empty() {
                "kf --kubeconfig FILE …, with a file that has one".into()
            } else {
                let known: Vec<_> = known.iter().map(|name| escaped(name, &[])).collect();
                format!("kf --context NAME …, where NAME is one of {}", known.join(", "))
            }),
            Self::NoCluster { .. }
            | Self::UnknownCluster { .. }
            | Self::UnknownUser { .. }
            | Self::NoField { .. }
            | Self::Field { .. }
            | Self::Contradiction { .. } => {
                Some("correct the kubeconfig, or take another context: kf --context NAME …".into())
            }
            Self::Provider(_) => Some("use a credential plugin instead".into()),
            Self::Plugin { error, .. } => Some(escaped(&error.hint(), &[])),
            Self::ProxyVariable { variable, .. } => {
                Some(format!("set {variable} to a URL such as http://proxy.example:3128, or unset it"))
            }
            _ => None,
        }
    }
}
