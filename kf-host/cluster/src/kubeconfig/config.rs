//! A cluster and a user of the kubeconfig as kube connects with them.
//!
//! kube can do this itself, and reads the proxy variables on its way, wrongly (see [`super::proxy`]): a
//! `NO_PROXY` that it cannot parse would make every kubeconfig unusable.

use http::uri::Scheme;
use kube::config::ExecAuthCluster;
use rustls::pki_types::ServerName;

use super::document::Entry;
use super::{KubeconfigError, ProxyVariables, certificates, proxy, server, user};

/// The key of a cluster's extension that is meant for credential plugins.
const FOR_PLUGINS: &str = "client.authentication.k8s.io/exec";

/// Whether the user has credentials that are not sent is told along. Without TLS none are, as with kubectl, for anybody
/// on the way reads them and may answer.
///
/// # Errors
///
/// [`KubeconfigError`] where a field that is needed is missing or cannot be used.
pub(super) fn config(
    cluster: &Entry<'_>,
    user: &Entry<'_>,
    proxies: &ProxyVariables,
) -> Result<(kube::Config, bool), KubeconfigError> {
    let server = cluster.word("server")?.ok_or_else(|| cluster.missing("server"))?;
    let server = server::parse(server).map_err(|why| cluster.wrong("server", why))?;
    let has_tls = server.scheme() == Some(&Scheme::HTTPS);
    let proxy = match cluster.word("proxy-url")? {
        Some(url) => Some(proxy::parse(url).map_err(|why| cluster.wrong("proxy-url", why))?),
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
        let why = format!("it is true although `{authority}` is there to check the server with; remove one");
        return Err(cluster.wrong("insecure-skip-tls-verify", why));
    }
    let authority = certificates::authority(cluster)?;
    let server_name = cluster.word("tls-server-name")?;
    if server_name.is_some_and(|name| ServerName::try_from(name).is_err()) {
        return Err(cluster.wrong("tls-server-name", "it is not a host name"));
    }
    config.tls_server_name = server_name.map(str::to_owned);
    if let Some(plugin) = config.auth_info.exec.as_mut().filter(|plugin| plugin.provide_cluster_info) {
        plugin.cluster = Some(ExecAuthCluster {
            server: Some(config.cluster_url.to_string()),
            insecure_skip_tls_verify: config.accept_invalid_certs.then_some(true),
            certificate_authority_data: authority.as_ref().map(|authority| authority.pem.clone()),
            proxy_url: cluster.word("proxy-url")?.map(str::to_owned),
            tls_server_name: config.tls_server_name.clone(),
            config: for_plugins(cluster),
        });
    }
    config.root_cert = authority.map(|authority| authority.certificates);
    Ok((config, false))
}

/// What the cluster says to credential plugins. Extensions are anybody's, so odd ones are nobody's concern here.
fn for_plugins(cluster: &Entry<'_>) -> Option<serde_json::Value> {
    let extensions = cluster.all_below("extensions").ok()?;
    let meant =
        extensions.into_iter().find(|extension| extension.name("name").as_deref() == Some(FOR_PLUGINS));
    meant?.tree("extension")
}
