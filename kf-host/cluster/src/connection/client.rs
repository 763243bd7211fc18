//! The HTTP client of a connection: socket, proxy, TLS, and the headers of every request.
//!
//! kube (5.0) can build a client from its `Config`, but it accepts no custom certificate verifier and no X.509 v1
//! client certificates, and sends the content of a token file with its trailing newline.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::Limited;
use hyper::rt::{Read, Write};
use hyper_rustls::{FixedServerNameResolver, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::proxy::{SocksV5, Tunnel};
use hyper_util::client::legacy::connect::{Connection, HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ConfigExt as _};
use kube::config::AuthInfo;
use percent_encoding::percent_decode_str;
use rustls::ClientConfig;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use tower::util::{MapRequestLayer, MapResponseLayer};
use tower::{BoxError, Service, ServiceBuilder, ServiceExt as _};

use super::authorization::Authorization;
use super::identity::identity;
use super::listed::ListedVerifier;
use super::{MAX_ERROR_BYTES, SetupError};

/// The credentials that are sent to the server.
pub(super) struct Credentials {
    authorization: Option<Arc<Authorization>>,
    identity: Option<Arc<CertifiedKey>>,
}

impl Credentials {
    /// Reads the files of the credentials.
    pub(super) fn of(auth: &AuthInfo) -> Result<Self, SetupError> {
        Ok(Self {
            authorization: Authorization::of(auth)?.map(Arc::new),
            identity: identity(auth, provider()?.as_ref())?,
        })
    }
}

fn provider() -> Result<Arc<CryptoProvider>, SetupError> {
    CryptoProvider::get_default().cloned().ok_or(SetupError::NoTls)
}

/// A client for the current runtime.
pub(super) fn client(
    config: &kube::Config,
    credentials: &Credentials,
    connect: Duration,
) -> Result<kube::Client, SetupError> {
    let tls = tls(config, credentials)?;
    let server_name = config.tls_server_name.clone().map(ServerName::try_from).transpose();
    let server_name = server_name.map_err(|_| SetupError::field("tls-server-name", "not a host name"))?;
    let new = Parts { config, credentials, tls: tls.clone(), server_name, connect };
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    let Some(proxy) = config.proxy_url.clone() else { return new.client(tcp) };
    match proxy.scheme_str() {
        Some("socks5") => new.client(socks(proxy, tcp)),
        Some("https") => {
            let to_proxy = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
            new.client(tunnel(proxy, to_proxy.enable_http1().wrap_connector(tcp)))
        }
        _ => new.client(tunnel(proxy, tcp)),
    }
}

fn tls(config: &kube::Config, credentials: &Credentials) -> Result<ClientConfig, SetupError> {
    let listed = config.root_cert.as_ref().filter(|_| {
        // In a pod kube reloads the file every minute.
        config.root_cert_file.is_none() && !config.accept_invalid_certs
    });
    let mut tls = match listed {
        Some(certificates) => ClientConfig::builder()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(ListedVerifier::new(certificates, &provider()?)))
            .with_no_client_auth(),
        None => {
            let mut config = config.clone();
            config.auth_info = AuthInfo::default();
            // If the server is not verified, the system's authorities need not be loaded.
            config.root_cert = config.root_cert.or(config.accept_invalid_certs.then(Vec::new));
            config.rustls_client_config()?
        }
    };
    if let Some(identity) = &credentials.identity {
        tls.client_auth_cert_resolver = Arc::new(SingleCertAndKey::from(Arc::clone(identity)));
    }
    Ok(tls)
}

/// The decoded user name and password of a proxy.
fn proxy_user(proxy: &Uri) -> Option<(String, String)> {
    let (user, _) = proxy.authority()?.as_str().rsplit_once('@')?;
    let (name, password) = user.split_once(':').unwrap_or((user, ""));
    let decoded = |text| percent_decode_str(text).decode_utf8_lossy().into_owned();
    Some((decoded(name), decoded(password)))
}

fn tunnel<C>(proxy: Uri, connector: C) -> Tunnel<C> {
    let user = proxy_user(&proxy).map(|(name, password)| STANDARD.encode(format!("{name}:{password}")));
    let value = user.and_then(|user| HeaderValue::from_str(&format!("Basic {user}")).ok());
    let tunnel = Tunnel::new(proxy, connector);
    match value {
        Some(value) => tunnel.with_auth(value),
        None => tunnel,
    }
}

fn socks<C>(proxy: Uri, connector: C) -> SocksV5<C> {
    // The protocol limits both to 255 bytes.
    let user = proxy_user(&proxy).filter(|(name, password)| name.len() < 256 && password.len() < 256);
    let socks = SocksV5::new(proxy, connector);
    match user {
        Some((name, password)) => socks.with_auth(name, password),
        None => socks,
    }
}

struct Parts<'c> {
    config: &'c kube::Config,
    credentials: &'c Credentials,
    tls: ClientConfig,
    server_name: Option<ServerName<'static>>,
    connect: Duration,
}

impl Parts<'_> {
    /// A client over this connector. Error responses are limited in size, as kube reads them whole when it opens a
    /// WebSocket.
    fn client<C>(self, connector: C) -> Result<kube::Client, SetupError>
    where
        C: Service<Uri> + Clone + Send + Sync + 'static,
        C::Response: Read + Write + Connection + Unpin + Send + 'static,
        C::Future: Send + 'static,
        C::Error: Into<BoxError> + Send + 'static,
    {
        let https = HttpsConnectorBuilder::new().with_tls_config(self.tls).https_or_http();
        let https = match self.server_name {
            Some(name) => https.with_server_name_resolver(FixedServerNameResolver::new(name)),
            None => https,
        };
        let connect = self.connect;
        let limited = https.enable_http1().wrap_connector(connector).map_future(move |connecting| {
            Box::pin(async move {
                match tokio::time::timeout(connect, connecting).await {
                    Ok(connected) => connected,
                    Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
                }
            })
        });
        let http = hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(limited);
        let authorization = self.credentials.authorization.clone();
        let service = ServiceBuilder::new()
            .layer(MapResponseLayer::new(|response: Response<_>| {
                let is_error = response.status().is_client_error() || response.status().is_server_error();
                let limit = if is_error { MAX_ERROR_BYTES } else { usize::MAX };
                response.map(|body| Limited::new(body, limit))
            }))
            .layer(self.config.base_uri_layer())
            .layer(MapRequestLayer::new(move |mut request: Request<Body>| {
                if let Some(authorization) = &authorization {
                    request.headers_mut().insert(AUTHORIZATION, authorization.value());
                }
                request
            }))
            .layer(self.config.extra_headers_layer()?)
            .service(http);
        Ok(kube::Client::new(service, "default"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxy_password_is_decoded() {
        for (url, user) in [
            ("http://proxy.example", None),
            ("http://alice@proxy.example", Some(("alice", ""))),
            ("http://alice:pa%40ss%3Aword@proxy.example", Some(("alice", "pa@ss:word"))),
            ("socks5://alice:50%+A%4@proxy.example", Some(("alice", "50%+A%4"))),
        ] {
            let user = user.map(|(name, password)| (name.to_owned(), password.to_owned()));
            assert_eq!(proxy_user(&url.parse().unwrap()), user, "{url}");
        }
    }
}
