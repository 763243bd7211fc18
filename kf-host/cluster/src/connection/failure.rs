//! Calls that got no answer: what stood in the way, and kf's word for it.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use kf_core::api::{ApiError, ErrorCode};
use kf_core::text::{excerpt, one_line};
use rustls::CertificateError;

use super::plugin::PluginError;
use super::{Connection, SetupError};
use crate::kubeconfig::Settings;

/// What helps when the cluster does not accept who asks.
const RENEW: &str = "renew the credentials in your kubeconfig, or take another: kf --kubeconfig FILE …";

/// Whether what is in the way of a request is on this side: a credential plugin, a certificate, a key.
pub(crate) fn is_about_credentials(error: &ApiError) -> bool {
    error.hint.as_deref() == Some(RENEW)
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
    let way = proxy.map(|proxy| format!(" through the proxy {}", address(proxy))).unwrap_or_default();
    error(
        ErrorCode::Unreachable,
        format!("the API server {} cannot be reached{way}: {why}", connection.server()),
        Some("see that your kubeconfig names the right server, or take another: kf --context NAME …"),
    )
}

const PATIENCE: &str = "wait longer: kf --request-timeout 2m …";

/// Connected, but no answer within the limit.
pub(super) fn slow(connection: &Connection) -> ApiError {
    error(
        ErrorCode::TimedOut,
        format!(
            "the API server {} did not answer within {} s",
            connection.server(),
            connection.timeouts().answer.as_secs()
        ),
        Some(PATIENCE),
    )
}

/// An answer to a small question that has no end.
pub(super) fn too_large(connection: &Connection) -> ApiError {
    let most = super::MOST_ANSWER >> 20;
    error(
        ErrorCode::Internal,
        format!("an answer of {} is larger than {most} MiB", connection.server()),
        None,
    )
}

/// The server answered, but not by switching to a WebSocket.
pub(super) fn no_websocket(connection: &Connection, why: &dyn std::fmt::Display) -> ApiError {
    error(
        ErrorCode::Unsupported,
        format!("no WebSocket to {} can be opened: {why}", connection.server()),
        Some("see that the proxies on the way let WebSockets through"),
    )
}

/// A stream that broke in the middle.
pub(crate) fn broken_stream(why: &dyn std::fmt::Display) -> ApiError {
    error(ErrorCode::Unreachable, format!("the API server broke off: {why}"), None)
}

/// Says why a request was never answered.
pub(super) async fn explain(failed: kube::Error, connection: &Connection) -> ApiError {
    if let Some(tls) = find::<rustls::Error>(&failed) {
        trace(&failed);
        return handshake(tls, connection);
    }
    if let kube::Error::RustlsTls(_) | kube::Error::InferKubeconfig(_) = &failed {
        let message = format!("the kubeconfig's certificates cannot be used: {}", innermost(&failed));
        return error(ErrorCode::Unauthenticated, message, Some(RENEW));
    }
    trace(&failed);
    if times_out(&failed) {
        return silent(connection).await;
    }
    unreachable(connection, &innermost(&failed))
}

/// Only of what happened on the way to the server: errors about credentials and proxies may quote them.
fn trace(failed: &kube::Error) {
    tracing::debug!(error = failed as &dyn StdError, "request failed");
}

/// The connection was not made in time. A port that opens and then says nothing is slow; one
/// that does not open is not there.
async fn silent(connection: &Connection) -> ApiError {
    const LONGEST: Duration = Duration::from_millis(500);
    let seconds = connection.timeouts().connect.as_secs();
    let opens = match connection.server().parse::<http::Uri>() {
        Ok(uri) if connection.settings().is_none_or(|s| s.config.proxy_url.is_none()) => {
            let port = uri.port_u16().unwrap_or(443);
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']).to_owned();
            let open = tokio::net::TcpStream::connect((host, port));
            matches!(tokio::time::timeout(LONGEST, open).await, Ok(Ok(_)))
        }
        _ => false,
    };
    if opens {
        let message = format!(
            "the API server {} takes connections but does not answer them within {seconds} s",
            connection.server()
        );
        error(ErrorCode::TimedOut, message, Some(PATIENCE))
    } else {
        unreachable(connection, &format!("no connection within {seconds} s"))
    }
}

fn names_no_authority(connection: &Connection) -> bool {
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
                    format!("the certificate of {server} is not valid yet; is this machine's clock right?")
                }
                CertificateError::UnknownIssuer if names_no_authority(connection) => {
                    format!(
                        "the certificate of {server} is not signed by an authority that this machine trusts"
                    )
                }
                // A cluster made anew often names its authority like the old one.
                CertificateError::UnknownIssuer | CertificateError::BadSignature => {
                    format!("the certificate of {server} is not signed by the authority the kubeconfig names")
                }
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                    format!("the certificate of {server} is for another name")
                }
                other => format!("the certificate of {server} is not accepted: {other}"),
            },
            "ask whoever runs the cluster, or fetch a new kubeconfig",
        ),
        rustls::Error::AlertReceived(alert) => {
            (format!("{server} does not accept your client certificate: {alert:?}"), RENEW)
        }
        other => return unreachable(connection, &format!("the TLS handshake failed: {other}")),
    };
    error(ErrorCode::Unauthenticated, message, Some(hint))
}

/// A credential plugin gave nothing.
pub(super) fn plugin(why: &PluginError, settings: &Settings) -> ApiError {
    let command = settings.credential_plugin.as_deref().unwrap_or_default();
    let message = format!("the credential plugin {command} {why}");
    error(ErrorCode::Unauthenticated, message, Some(RENEW))
}

/// No client can be made.
pub(super) async fn setup(why: SetupError, connection: &Connection) -> ApiError {
    match why {
        SetupError::Kube(why) => explain(why, connection).await,
        why => error(ErrorCode::Unauthenticated, why.to_string(), Some(RENEW)),
    }
}

/// Whether the server says no to whoever it does not know.
pub(super) fn asked_by_nobody(error: &ApiError) -> bool {
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

/// There is nobody to answer to.
pub(super) fn no_credentials(settings: &Settings) -> ApiError {
    let message = match &settings.context {
        _ if settings.unsent => {
            format!("{} has no TLS, so your credentials are not sent to it", settings.server)
        }
        Some(context) => format!("the context `{}` names no credentials", excerpt(context)),
        None => "there are no credentials".to_owned(),
    };
    let hint = "take another context or kubeconfig: kf --context NAME …, or kf --kubeconfig FILE …";
    error(ErrorCode::Unauthenticated, message, Some(hint))
}

/// The first error of a type in a chain. An `io::Error` hides what it wraps from `source`.
fn find<'e, E: StdError + 'static>(error: &'e (dyn StdError + 'static)) -> Option<&'e E> {
    const DEEPEST: usize = 32;
    let mut current = Some(error);
    for _ in 0..DEEPEST {
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

fn times_out(error: &(dyn StdError + 'static)) -> bool {
    find::<io::Error>(error).is_some_and(|io| io.kind() == io::ErrorKind::TimedOut)
}

/// The last words of a chain, which are the plainest.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut error = error;
    while let Some(source) = error.source() {
        error = source;
    }
    error.to_string()
}
