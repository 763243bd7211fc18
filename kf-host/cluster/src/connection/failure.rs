//! Turns requests that failed without a response into [`ApiError`]s.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use kf_core::api::{ApiError, ErrorCode};
use kf_core::text::{excerpt, one_line};
use rustls::CertificateError;

use super::plugin::PluginError;
use super::{Connection, SetupError};
use crate::kubeconfig::Settings;

/// The hint for credentials that were not accepted.
const RENEW_HINT: &str = "renew the credentials in your kubeconfig, or use another kubeconfig";

/// Whether a request failed because of the local credentials: a credential plugin, a certificate, a key.
pub(crate) fn is_about_credentials(error: &ApiError) -> bool {
    error.hint.as_deref() == Some(RENEW_HINT)
}

fn error(code: ErrorCode, message: String, hint: Option<&str>) -> ApiError {
    ApiError { code, message: one_line(&message), hint: hint.map(str::to_owned), refusal: None }
}

pub(super) fn unreachable(connection: &Connection, why: &str) -> ApiError {
    let proxy = connection.settings().and_then(|settings| settings.config.proxy_url.as_ref());
    let address = |proxy: &http::Uri| match proxy.port() {
        Some(port) => format!("{}:{port}", proxy.host().unwrap_or_default()),
        None => proxy.host().unwrap_or_default().to_owned(),
    };
    let via = proxy.map(|proxy| format!(" through the proxy {}", address(proxy))).unwrap_or_default();
    error(
        ErrorCode::Unreachable,
        format!("cannot connect to the API server {}{via}: {why}", connection.server()),
        Some("check the server in your kubeconfig, or use another context"),
    )
}

const TIMEOUT_HINT: &str = "use a longer request timeout";

/// Connected, but no response within the limit.
pub(super) fn timed_out(connection: &Connection) -> ApiError {
    error(
        ErrorCode::TimedOut,
        format!(
            "the API server {} did not answer within {} s",
            connection.server(),
            connection.timeouts().answer.as_secs()
        ),
        Some(TIMEOUT_HINT),
    )
}

/// The response to one of the host's own requests exceeds the limit.
pub(super) fn too_large(connection: &Connection) -> ApiError {
    let max = super::MAX_ANSWER_BYTES >> 20;
    error(
        ErrorCode::Internal,
        format!("a response from {} is larger than {max} MiB", connection.server()),
        None,
    )
}

/// The server did not switch to a WebSocket.
pub(super) fn no_websocket(connection: &Connection, why: &dyn std::fmt::Display) -> ApiError {
    error(
        ErrorCode::Unsupported,
        format!("cannot open a WebSocket to {}: {why}", connection.server()),
        Some("check that the proxies in between support WebSockets"),
    )
}

/// A response or stream that broke off or is malformed.
pub(crate) fn broken_stream(why: &dyn std::fmt::Display) -> ApiError {
    error(ErrorCode::Unreachable, format!("connection to the API server failed: {why}"), None)
}

/// The reason why a request got no response.
pub(super) async fn explain(failed: kube::Error, connection: &Connection) -> ApiError {
    if let Some(tls) = find::<rustls::Error>(&failed) {
        trace(&failed);
        return handshake(tls, connection);
    }
    if let kube::Error::RustlsTls(_) | kube::Error::InferKubeconfig(_) = &failed {
        let message = format!("invalid certificates in the kubeconfig: {}", root_cause(&failed));
        return error(ErrorCode::Unauthenticated, message, Some(RENEW_HINT));
    }
    trace(&failed);
    if is_timeout(&failed) {
        return connect_timed_out(connection).await;
    }
    unreachable(connection, &root_cause(&failed))
}

/// Only for transport errors: errors about credentials and proxies may quote them.
fn trace(failed: &kube::Error) {
    tracing::debug!(error = failed as &dyn StdError, "request failed");
}

/// The connection was not made in time. If the port accepts connections, the server is slow, else unreachable.
async fn connect_timed_out(connection: &Connection) -> ApiError {
    const PROBE_TIMEOUT: Duration = Duration::from_millis(500);
    let seconds = connection.timeouts().connect.as_secs();
    let opens = match connection.server().parse::<http::Uri>() {
        Ok(uri) if connection.settings().is_none_or(|s| s.config.proxy_url.is_none()) => {
            let port = uri.port_u16().unwrap_or(443);
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let open = tokio::net::TcpStream::connect((host, port));
            matches!(tokio::time::timeout(PROBE_TIMEOUT, open).await, Ok(Ok(_)))
        }
        _ => false,
    };
    if opens {
        let message = format!(
            "the API server {} accepts connections but did not answer within {seconds} s",
            connection.server()
        );
        error(ErrorCode::TimedOut, message, Some(TIMEOUT_HINT))
    } else {
        unreachable(connection, &format!("no connection within {seconds} s"))
    }
}

fn uses_system_authorities(connection: &Connection) -> bool {
    connection.settings().is_some_and(|settings| settings.config.root_cert.is_none())
}

fn handshake(tls: &rustls::Error, connection: &Connection) -> ApiError {
    let server = connection.server();
    let (message, hint) = match tls {
        rustls::Error::InvalidCertificate(why) => (
            match why {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                    format!("the certificate of {server} has expired")
                }
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                    format!("the certificate of {server} is not valid yet; check this machine's clock")
                }
                CertificateError::UnknownIssuer if uses_system_authorities(connection) => {
                    format!(
                        "the certificate of {server} is not signed by an authority that this machine trusts"
                    )
                }
                // A recreated cluster often names its authority like the old one, which is a bad signature.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    format!("the certificate of {server} is not signed by the authority in the kubeconfig")
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    format!("the certificate of {server} is not valid for this host name")
                }
                other => format!("the certificate of {server} is not accepted: {other}"),
            },
            "ask the cluster's admin, or get a new kubeconfig",
        ),
        rustls::Error::AlertReceived(alert) => {
            (format!("{server} does not accept your client certificate: {alert:?}"), RENEW_HINT)
        }
        other => return unreachable(connection, &format!("TLS handshake failed: {other}")),
    };
    error(ErrorCode::Unauthenticated, message, Some(hint))
}

/// A credential plugin returned no credentials.
pub(super) fn plugin(why: &PluginError, settings: &Settings) -> ApiError {
    let command = settings.credential_plugin.as_deref().unwrap_or_default();
    let message = format!("the credential plugin {command} {why}");
    error(ErrorCode::Unauthenticated, message, Some(RENEW_HINT))
}

/// The client could not be set up.
pub(super) async fn setup(why: SetupError, connection: &Connection) -> ApiError {
    match why {
        SetupError::Kube(why) => explain(why, connection).await,
        why => error(ErrorCode::Unauthenticated, why.to_string(), Some(RENEW_HINT)),
    }
}

/// Whether the server refused an anonymous request.
pub(super) fn is_anonymous_refusal(error: &ApiError) -> bool {
    const ANONYMOUS: &str = "system:anonymous";
    let is_anonymous = |user: Option<&str>| user == Some(ANONYMOUS);
    match error.code {
        ErrorCode::Unauthenticated => true,
        ErrorCode::Forbidden => {
            error.refusal.as_ref().is_some_and(|refusal| is_anonymous(refusal.user.as_deref()))
                || error.message.contains(&format!("User \"{ANONYMOUS}\""))
        }
        _ => false,
    }
}

/// The user has no credentials, or they are not sent.
pub(super) fn no_credentials(settings: &Settings) -> ApiError {
    let message = match &settings.context {
        _ if settings.credentials_unsent => {
            format!("{} does not use TLS: your credentials were not sent", settings.server)
        }
        Some(context) => format!("context `{}` has no credentials", excerpt(context)),
        None => "no credentials found".to_owned(),
    };
    let hint = "use another context or kubeconfig";
    error(ErrorCode::Unauthenticated, message, Some(hint))
}

/// The first error of a type in a chain. An `io::Error` does not return the error it wraps as its `source`.
fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    const MAX_DEPTH: usize = 32;
    let mut current = Some(error);
    for _ in 0..MAX_DEPTH {
        let error = current?;
        if let Some(found) = error.downcast_ref::<E>() {
            return Some(found);
        }
        if let Some(found) = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref)
            .and_then(|inner| find::<E>(inner as &(dyn StdError + 'static)))
        {
            return Some(found);
        }
        current = error.source();
    }
    None
}

fn is_timeout(error: &(dyn StdError + 'static)) -> bool {
    find::<io::Error>(error).is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
}

/// The message of the innermost error, which is the clearest.
fn root_cause(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
