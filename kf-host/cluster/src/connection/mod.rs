//! One API server, connected on the first call.
//!
//! Nothing here happens before a call needs it: no TLS set-up, no credential plugin, no socket.

mod answer;
mod credentials;
mod failure;
mod plugin;
mod plugin_process;

use std::sync::PoisonError;
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Response};
use http_body_util::{BodyExt as _, Limited};
use jiff::{SignedDuration, Timestamp};
use kube::client::{Body, ClientBuilder};
use kube::core::Status;
use serde_json::Value;
use tokio::runtime;
use tokio::sync::Mutex;
use tower::util::MapResponseLayer;

pub(crate) use answer::{Words, answered, server_words};
pub(crate) use failure::broken_stream;
pub use plugin_process::end_unattended_plugins;

use kf_core::Digest;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::json::{self, JsonError};
use kf_core::text::one_line;

use crate::kubeconfig::Settings;
use plugin::PluginError;

const JSON: &str = "application/json";

/// The most an answer to the host's own questions may hold, in bytes.
const MOST_ANSWER: usize = 16 << 20;

/// The most an answer that is an error may hold, in bytes.
const MAX_ERROR: usize = 1 << 20;

/// How long the parts of a call may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From sending a request to its whole answer, or to the head of a stream.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(30) }
    }
}

/// Installs the one TLS provider of the process. Later calls change nothing.
///
/// Two of the libraries below kf can each bring one; with none chosen the first handshake would
/// panic.
pub fn install_tls_provider() {
    // The only error is that one is installed already, which is what is wanted.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// The way to one API server, with one user's credentials.
pub struct Connection {
    server: String,
    timeouts: Timeouts,
    settings: Option<Settings>,
    /// Held while connecting, so that a credential plugin runs once however many calls wait.
    state: Mutex<State>,
    /// What a credential plugin said as it failed.
    plugin_words: std::sync::Mutex<Option<String>>,
}

#[derive(Default)]
struct State {
    prepared: Option<Prepared>,
    connected: Option<Connected>,
}

/// A configuration whose credentials are there.
struct Prepared {
    config: kube::Config,
    /// When the credentials of a plugin end.
    until: Option<Timestamp>,
}

impl Prepared {
    fn good(&self) -> bool {
        const MARGIN: SignedDuration = SignedDuration::from_secs(30);
        self.until.is_none_or(|until| until > Timestamp::now() + MARGIN)
    }
}

struct Connected {
    client: kube::Client,
    /// A client's sockets and tasks live and die with the runtime it was made in. Absent for a
    /// client that came from outside.
    runtime: Option<runtime::Id>,
}

impl Connection {
    /// Connects nothing yet.
    pub fn new(settings: Settings, timeouts: Timeouts) -> Self {
        Self {
            server: settings.server.clone(),
            timeouts,
            settings: Some(settings),
            state: Mutex::default(),
            plugin_words: std::sync::Mutex::default(),
        }
    }

    /// Over a client that exists already; `server` is for messages.
    pub fn from_client(client: kube::Client, server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            timeouts: Timeouts::default(),
            settings: None,
            state: Mutex::new(State { prepared: None, connected: Some(Connected { client, runtime: None }) }),
            plugin_words: std::sync::Mutex::default(),
        }
    }

    /// `https://host:port`
    pub fn server(&self) -> &str {
        &self.server
    }

    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// What the kubeconfig said; absent for [`Connection::from_client`].
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    /// Milliseconds since 1970 at which the static token or certificate ends, if it says so.
    pub fn credentials_expire(&self) -> Option<u64> {
        self.settings.as_ref().and_then(|s| credentials::expiry(&s.config.auth_info))
    }

    /// Tells servers and users apart in a cache without naming either.
    pub fn fingerprint(&self) -> String {
        let auth =
            self.settings.as_ref().map(|s| credentials::bytes(&s.config.auth_info)).unwrap_or_default();
        Digest::of_parts(&[b"kf connection 1", self.server.as_bytes(), &auth]).to_string()
    }

    /// The credential plugin that failed, and what it said. It is the user's to read and no command's.
    pub(crate) fn plugin_words(&self) -> Option<(String, String)> {
        let words = self.plugin_words.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let plugin = self.settings.as_ref()?.credential_plugin.as_deref()?;
        Some((format!("the credential plugin {plugin}"), words))
    }

    /// Sends one request and returns once the head of the answer is there, whatever its status.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ApiError> {
        let client = self.client().await?;
        // The first request has to connect first, and that has words of its own for being slow.
        let limit = self.timeouts.connect.saturating_add(self.timeouts.answer);
        match tokio::time::timeout(limit, client.send(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(failure::explain(error, self).await),
            Err(_) => Err(failure::slow(self)),
        }
    }

    /// Sends a request that becomes a WebSocket; the server's `Status` if it says no.
    pub(crate) async fn upgrade(
        &self,
        request: Request<Vec<u8>>,
    ) -> Result<Result<kube::client::Connection, Box<Status>>, ApiError> {
        let client = self.client().await?;
        let limit = self.timeouts.connect.saturating_add(self.timeouts.answer);
        match tokio::time::timeout(limit, client.connect(request)).await {
            Ok(Ok(connection)) => Ok(Ok(connection)),
            Ok(Err(kube::Error::Api(status))) => Ok(Err(status)),
            Ok(Err(kube::Error::UpgradeConnection(why))) => Err(failure::no_websocket(self, &why)),
            Ok(Err(error)) => Err(failure::explain(error, self).await),
            Err(_) => Err(failure::slow(self)),
        }
    }

    /// The client itself, for what the host does on its own account.
    ///
    /// It is made on the first call, anew in every runtime that asks for one, and again when the
    /// credentials of a plugin are about to end.
    pub async fn client(&self) -> Result<kube::Client, ApiError> {
        let here = runtime::Handle::current().id();
        let mut state = self.state.lock().await;
        if state.prepared.as_ref().is_some_and(|prepared| !prepared.good()) {
            *state = State::default();
        }
        if let Some(connected) = &state.connected
            && connected.runtime.is_none_or(|made_in| made_in == here)
        {
            return Ok(connected.client.clone());
        }
        if state.prepared.is_none() {
            state.prepared = Some(self.prepare().await?);
        }
        let Some(prepared) = &state.prepared else {
            return Err(failure::unreachable(self, "there are no credentials"));
        };
        match client(prepared.config.clone()) {
            Ok(client) => {
                state.connected = Some(Connected { client: client.clone(), runtime: Some(here) });
                Ok(client)
            }
            Err(error) => Err(failure::explain(error, self).await),
        }
    }

    /// A GET of the host's own.
    pub(crate) async fn get(&self, path_and_query: &str) -> Result<Value, ApiError> {
        self.own(Method::GET, path_and_query, Vec::new()).await
    }

    /// A POST of the host's own.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.own(Method::POST, path, body.to_string().into_bytes()).await
    }

    async fn own(&self, method: Method, path_and_query: &str, body: Vec<u8>) -> Result<Value, ApiError> {
        let agent = concat!("kf/", env!("CARGO_PKG_VERSION"));
        let request = Request::builder()
            .method(method)
            .uri(path_and_query)
            .header(USER_AGENT, agent)
            .header(ACCEPT, JSON)
            .header(CONTENT_TYPE, JSON)
            .body(Body::from(body))
            .map_err(|error| failure::unreachable(self, &error.to_string()))?;
        let response = self.send(request).await.map_err(|error| match self.plugin_words() {
            Some((_, words)) => ApiError { message: format!("{}: {words}", error.message), ..error },
            None => error,
        })?;
        let status = response.status();
        let whole = tokio::time::timeout(self.timeouts.answer, self.whole(response.into_body()));
        let bytes = whole.await.unwrap_or_else(|_| Err(failure::slow(self)))?;
        if !status.is_success() {
            return Err(self.sharpened(answered(status, &bytes, None, "", Words::All)));
        }
        json::parse_object(&bytes).map_err(|error| match error {
            JsonError::Syntax(_) => broken_stream(&"its answer is not JSON"),
            _ => failure::too_large(self),
        })
    }

    async fn whole(&self, mut body: Body) -> Result<Vec<u8>, ApiError> {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| broken_stream(&error))?.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > MOST_ANSWER {
                return Err(failure::too_large(self));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// Says why credentials were not accepted, where they tell it themselves.
    pub(crate) fn sharpened(&self, error: ApiError) -> ApiError {
        let ended = self
            .credentials_expire()
            .and_then(|at| i64::try_from(at).ok())
            .and_then(|at| Timestamp::from_millisecond(at).ok())
            .filter(|at| *at < Timestamp::now());
        match ended {
            Some(at) if error.code == ErrorCode::Unauthenticated => ApiError {
                message: format!("your credentials for {} ended at {at:.0}", self.server),
                ..error
            },
            _ => error,
        }
    }

    async fn prepare(&self) -> Result<Prepared, ApiError> {
        install_tls_provider();
        let Some(settings) = &self.settings else {
            return Err(failure::unreachable(self, "there are no settings to connect with"));
        };
        let mut config = settings.config.clone();
        config.connect_timeout = Some(self.timeouts.connect);
        config.read_timeout = None;
        // A process may take its time to read what a session sends.
        config.write_timeout = None;
        // The broker retries what the server asks it to, with bounds of its own.
        config.default_retry = false;
        let attended = settings.attended;
        // A credential plugin is a child process that is waited for.
        let prepared = tokio::task::spawn_blocking(move || {
            let until = plugin::resolve(&mut config.auth_info, attended)?;
            Ok(Prepared { config, until })
        });
        match prepared.await {
            Ok(Ok(prepared)) => Ok(prepared),
            Ok(Err(error)) => {
                if let PluginError::Failed { said, .. } = &error {
                    let words = Some(one_line(said));
                    *self.plugin_words.lock().unwrap_or_else(PoisonError::into_inner) = words;
                }
                Err(failure::plugin(&error, settings))
            }
            Err(_) => Err(failure::unreachable(self, "the credentials could not be prepared")),
        }
    }
}

/// A client for which an answer that is an error has an end: where it opens a WebSocket, kube takes in the whole
/// of one.
fn client(config: kube::Config) -> kube::Result<kube::Client> {
    let bounded = MapResponseLayer::new(|response: Response<_>| {
        let is_error = response.status().is_client_error() || response.status().is_server_error();
        let limit = if is_error { MAX_ERROR } else { usize::MAX };
        response.map(|body| Limited::new(body, limit))
    });
    Ok(ClientBuilder::try_from(config)?.with_layer(&bounded).build())
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
