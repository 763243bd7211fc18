//! A cluster and a user of the kubeconfig as kube connects with them.
//!
//! kube can do this itself, and reads the proxy variables on its way, wrongly (see [`super::proxy`]): a
//! `NO_PROXY` that it cannot parse would make every kubeconfig unusable.

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
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
    let server = without_credentials(server)?;
    // What a credential plugin is told of the cluster has its certificates already read.
    let cluster = Cluster { server: Some(server.to_string()), ..cluster.clone() };
    let for_plugins = ExecAuthCluster::try_from(&cluster).map_err(incomplete)?;
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

/// The URL without user name, password and query: it is told in messages, traces and the audit log.
fn without_credentials(server: Uri) -> Result<Uri, KubeconfigError> {
    let not_a_url = || KubeconfigError::Incomplete("the cluster's server is not a URL".to_owned());
    let mut parts = server.into_parts();
    if let Some((_, host)) = parts.authority.as_ref().and_then(|all| all.as_str().rsplit_once('@')) {
        parts.authority = Some(host.parse::<Authority>().map_err(|_| not_a_url())?);
    }
    if let Some(path) = parts.path_and_query.take() {
        parts.path_and_query = Some(path.path().parse::<PathAndQuery>().map_err(|_| not_a_url())?);
    }
    Uri::from_parts(parts).map_err(|_| not_a_url())
}

/// The credentials that may be sent to a server: without TLS none, as with kubectl, for anybody on the way reads them
/// and may answer. Whom to act as is no credential. Whether there were any.
pub(super) fn only_over_tls(server: &Uri, user: AuthInfo) -> (AuthInfo, bool) {
    if server.scheme() == Some(&Scheme::HTTPS) {
        return (user, false);
    }
    let had_some = [
        user.username.is_some(),
        user.password.is_some(),
        user.token.is_some(),
        user.token_file.is_some(),
        user.client_certificate.is_some(),
        user.client_certificate_data.is_some(),
        user.exec.is_some(),
        user.auth_provider.is_some(),
    ];
    let AuthInfo { impersonate, impersonate_uid, impersonate_groups, impersonate_user_extra, .. } = user;
    let acting = AuthInfo {
        impersonate,
        impersonate_uid,
        impersonate_groups,
        impersonate_user_extra,
        ..AuthInfo::default()
    };
    (acting, had_some.contains(&true))
}

/// The certificates of a PEM file, in DER.
fn certificates(pem: &[u8]) -> Result<Vec<Vec<u8>>, pem::Error> {
    CertificateDer::pem_slice_iter(pem).map(|der| der.map(|der| der.to_vec())).collect()
}

fn incomplete(error: KubeError) -> KubeconfigError {
    KubeconfigError::Incomplete(first_line(&error.to_string()))
}
