//! The users of a test cluster and their kubeconfigs.
//!
//! All users have client certificates. Their rights come only from bindings: see `access.rs` for those of the whole
//! cluster and `namespace.rs` for those of a test.

use std::path::{Path, PathBuf};

use k8s_openapi::ByteString;
use kube::config::Kubeconfig;
use serde_json::json;

use super::error::{ClusterError, Result};
use super::pki::{self, Identity};

/// A user of the cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum User {
    /// Has full access.
    Admin,
    /// `dana`: can edit her namespaces and run TrainJobs there.
    DataScientist,
    /// `vic`: can view his namespaces, except secrets.
    Viewer,
    /// `nils`: is authenticated but has no rights.
    NoRights,
}

impl User {
    /// All users.
    pub const ALL: [Self; 4] = [Self::Admin, Self::DataScientist, Self::Viewer, Self::NoRights];

    /// The user's name for the API server.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::DataScientist => "dana",
            Self::Viewer => "vic",
            Self::NoRights => "nils",
        }
    }

    pub(crate) const fn organization(self) -> Option<&'static str> {
        match self {
            Self::Admin => Some("system:masters"),
            Self::DataScientist | Self::Viewer | Self::NoRights => None,
        }
    }

    /// The namespace in this user's kubeconfig, outside tests.
    pub(crate) const fn home(self) -> &'static str {
        match self {
            Self::Admin => "default",
            Self::DataScientist | Self::Viewer | Self::NoRights => "team-a",
        }
    }

    pub(crate) fn kubeconfig(self, directory: &Path) -> PathBuf {
        directory.join(format!("{}.kubeconfig", self.name()))
    }
}

/// Writes the kubeconfig of `user` for `server`.
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

/// Copies the kubeconfig `from` with `namespace` in its current context.
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
