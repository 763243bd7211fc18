//! The people a test cluster knows, and their kubeconfigs.
//!
//! Everybody signs in with a client certificate. What they may do is decided by bindings alone:
//! see `access.rs` for the ones of the whole cluster and `namespace.rs` for those of a test.

use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use kube::config::Kubeconfig;
use serde_json::json;

use super::error::{ClusterError, Result};
use super::pki::{self, Identity};

/// Somebody who uses the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum User {
    /// May do everything.
    Admin,
    /// `dana`: may edit, and run TrainJobs, in the namespaces that are hers.
    DataScientist,
    /// `vic`: may look at the namespaces shown to him, secrets apart.
    Viewer,
    /// `nils`: is known to the cluster and may do nothing.
    Nobody,
}

impl User {
    /// Everybody.
    pub const ALL: [Self; 4] = [Self::Admin, Self::DataScientist, Self::Viewer, Self::Nobody];

    /// The user's name as the API server sees it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::DataScientist => "dana",
            Self::Viewer => "vic",
            Self::Nobody => "nils",
        }
    }

    pub(crate) const fn organization(self) -> Option<&'static str> {
        match self {
            Self::Admin => Some("system:masters"),
            Self::DataScientist | Self::Viewer | Self::Nobody => None,
        }
    }

    /// The namespace this user's kubeconfig names when no test has one of its own.
    pub(crate) const fn home(self) -> &'static str {
        match self {
            Self::Admin => "default",
            Self::DataScientist | Self::Viewer | Self::Nobody => "team-a",
        }
    }

    pub(crate) fn kubeconfig(self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.kubeconfig", self.name()))
    }
}

/// Writes the kubeconfig with which `user` reaches `server`.
pub(crate) fn write_kubeconfig(
    path: &Path,
    server: &str,
    authority: &str,
    user: &str,
    identity: &Identity,
    namespace: &str,
) -> Result<()> {
    let document = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "kf-test", "cluster": {
            "server": server,
            "certificate-authority-data": base64(authority),
        }}],
        "users": [{"name": user, "user": {
            "client-certificate-data": base64(&identity.certificate),
            "client-key-data": base64(&identity.key),
        }}],
        "contexts": [{"name": format!("kf-test-{user}"), "context": {
            "cluster": "kf-test",
            "user": user,
            "namespace": namespace,
        }}],
        "current-context": format!("kf-test-{user}"),
    });
    let text = serde_saphyr::to_string(&document).map_err(|error| ClusterError::malformed(path, error))?;
    pki::write_private(path, &text)
}

/// Writes a copy of the kubeconfig `from` whose current context names `namespace`.
pub(crate) fn copy_kubeconfig(from: &Path, to: &Path, namespace: &str) -> Result<()> {
    let unusable = |reason: String| ClusterError::Kubeconfig { path: from.to_owned(), reason };
    let mut kubeconfig = Kubeconfig::read_from(from).map_err(|error| unusable(error.to_string()))?;
    let current = kubeconfig.current_context.clone();
    kubeconfig
        .contexts
        .iter_mut()
        .find(|context| Some(&context.name) == current.as_ref())
        .and_then(|named| named.context.as_mut())
        .ok_or_else(|| unusable("it has no current context".to_owned()))?
        .namespace = Some(namespace.to_owned());
    write_parsed(to, &kubeconfig)
}

pub(crate) fn write_parsed(path: &Path, kubeconfig: &Kubeconfig) -> Result<()> {
    let text = serde_saphyr::to_string(kubeconfig).map_err(|error| ClusterError::malformed(path, error))?;
    pki::write_private(path, &text)
}

fn base64(text: &str) -> ByteString {
    ByteString(text.as_bytes().to_vec())
}
