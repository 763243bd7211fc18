//! A cluster and a user of the kubeconfig as kube connects with them.
//!
//! kube can do this itself, and reads the proxy variables on its way, wrongly (see [`super::proxy`]): a
//! `NO_PROXY` that it cannot parse would make every kubeconfig unusable.

use http::Uri;
use kube::config::{AuthInfo, Cluster, ExecAuthCluster, KubeconfigError as KubeError};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject as _};

use super::{KubeconfigError, ProxyVariables, first_line};

/// # Errors
///
/// [`KubeconfigError::Incomplete`] where the server, its proxy or its certificates are missing or
/// cannot be read.
pub(super) fn config(
    cluster: &Cluster,
    mut user: AuthInfo,
    proxies: &ProxyVariables,
) -> Result<kube::Config, KubeconfigError> {
    let server = cluster.server.as_deref().ok_or(KubeError::MissingClusterUrl).map_err(incomplete)?;
    let server: Uri = server.parse().map_err(KubeError::ParseClusterUrl).map_err(incomplete)?;
    // What a credential plugin is told of the cluster has its certificates already read.
    let for_plugins = ExecAuthCluster::try_from(cluster).map_err(incomplete)?;
    let authority = for_plugins.certificate_authority_data.as_deref().map(certificates).transpose();
    let authority = authority.map_err(|error| {
        KubeconfigError::Incomplete(format!("failed to parse the certificate authority: {error}"))
    })?;
    if let Some(plugin) = user.exec.as_mut().filter(|plugin| plugin.provide_cluster_info) {
        plugin.cluster = Some(for_plugins);
    }
    let named_proxy = cluster.proxy_url.as_deref().filter(|url| !url.is_empty());
    let proxy = named_proxy.or_else(|| proxies.proxy_of(&server)).map(str::parse).transpose();

    let mut config = kube::Config::new(server);
    config.proxy_url = proxy.map_err(KubeError::ParseProxyUrl).map_err(incomplete)?;
    config.root_cert = authority;
    config.accept_invalid_certs = cluster.insecure_skip_tls_verify.unwrap_or(false);
    config.disable_compression = cluster.disable_compression.unwrap_or(false);
    config.tls_server_name = cluster.tls_server_name.clone();
    config.auth_info = user;
    Ok(config)
}

/// The certificates of a PEM file, in DER.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, pem::Error> {
    CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec())).collect()
}

fn incomplete(error: KubeError) -> KubeconfigError {
    KubeconfigError::Incomplete(first_line(&error.to_string()))
}
