//! Turns a cluster and a user of the kubeconfig into a [`kube::Config`].
//!
//! kube can do this itself, but misreads the proxy variables (see [`super::proxy`]): a `NO_PROXY` that it cannot
//! parse makes every kubeconfig unusable.

use http::uri::Scheme;
use kube::config::ExecAuthCluster;
use rustls::pki_types::ServerName;

use super::document::Entry;
use super::{KubeconfigError, ProxyVariables, certificates, proxy, server, user};

/// The name of a cluster's extension for credential plugins.
const EXEC_EXTENSION: &str = "client.authentication.k8s.io/exec";

/// Returns the configuration, and whether the user has credentials that are not sent. As with kubectl, no credentials
/// are sent without TLS, where anyone on the network path could read them.
///
/// # Errors
///
/// [`KubeconfigError`] if a required field is missing or invalid.
pub(super) fn config(
    cluster: &Entry<'_>,
    user: &Entry<'_>,
    proxies: &ProxyVariables,
) -> Result<(kube::Config, bool), KubeconfigError> {
    let server = cluster.trimmed("server")?.ok_or_else(|| cluster.missing("server"))?;
    let server = server::parse(server).map_err(|why| cluster.invalid("server", why))?;
    let has_tls = server.scheme() == Some(&Scheme::HTTPS);
    let proxy = match cluster.trimmed("proxy-url")? {
        Some(url) => Some(proxy::parse(url).map_err(|why| cluster.invalid("proxy-url", why))?),
        None => proxies.proxy_of(&server)?,
    };
    let mut config = kube::Config::new(server);
    config.proxy_url = proxy;
    config.disable_compression = cluster.flag("disable-compression")?;
    if !has_tls {
        config.auth_info = user::impersonation(user)?;
        return Ok((config, user::has_credentials(user)));
    }
    config.auth_info = user::auth_info(user)?;
    config.accept_invalid_certs = cluster.flag("insecure-skip-tls-verify")?;
    let authority = ["certificate-authority-data", "certificate-authority"];
    if config.accept_invalid_certs
        && let Some(authority) = authority.iter().find(|field| cluster.has(field))
    {
        let why = format!("not allowed together with `{authority}`; remove one");
        return Err(cluster.invalid("insecure-skip-tls-verify", why));
    }
    let authority = certificates::authority(cluster)?;
    let server_name = cluster.trimmed("tls-server-name")?;
    if server_name.is_some_and(|name| ServerName::try_from(name).is_err()) {
        return Err(cluster.invalid("tls-server-name", "not a host name"));
    }
    config.tls_server_name = server_name.map(str::to_owned);
    if let Some(plugin) = config.auth_info.exec.as_mut().filter(|plugin| plugin.provide_cluster_info) {
        plugin.cluster = Some(ExecAuthCluster {
            server: Some(config.cluster_url.to_string()),
            insecure_skip_tls_verify: config.accept_invalid_certs.then_some(true),
            certificate_authority_data: authority.as_ref().map(|authority| authority.pem.clone()),
            proxy_url: cluster.trimmed("proxy-url")?.map(str::to_owned),
            tls_server_name: config.tls_server_name.clone(),
            config: exec_extension(cluster),
        });
    }
    config.root_cert = authority.map(|authority| authority.certificates);
    Ok((config, false))
}

/// The cluster's extension for credential plugins. Extensions of other programs are ignored, valid or not.
fn exec_extension(cluster: &Entry<'_>) -> Option<serde_json::Value> {
    let extensions = cluster.mappings("extensions").ok()?;
    let found =
        extensions.into_iter().find(|extension| extension.name("name").as_deref() == Some(EXEC_EXTENSION));
    found?.raw("extension")
}
