//! A connection to one API server, made on the first call.
//!
//! TLS setup, credential plugins and sockets are all deferred until a call needs them.

mod answer;
mod authorization;
mod channels;
mod client;
mod credentials;
mod failure;
mod identity;
mod listed;
mod plugin;
mod plugin_process;
mod retry;

use std::sync::PoisonError;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kube::client::Body;
use kube::core::Status;
use serde_json::Value;
use tokio::runtime;
use tokio::sync::Mutex;

pub(crate) use answer::{ErrorDetail, into_api_error, status_message};
pub(crate) use channels::Channels;
pub(crate) use failure::{broken_stream, is_about_credentials};
pub use plugin_process::kill_unattended_plugins;
pub(crate) use retry::Retries;

use kf_core::Digest;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::json::{self, JsonError};

use crate::kubeconfig::Settings;
use client::Credentials;
use retry::RetryBudget;

const JSON: &str = "application/json";

/// The maximum size of a response to the host's own requests, in bytes.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// The maximum size of an error response, in bytes.
const MAX_ERROR_BYTES: usize = 1 << 20;

/// The time limits of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// TCP and TLS.
    pub connect: Duration,
    /// From sending a request to its complete response, or to the head of a stream.
    pub answer: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { connect: Duration::from_secs(5), answer: Duration::from_secs(30) }
    }
}

/// Installs the TLS provider of the process. Later calls do nothing.
///
/// Two dependencies can each bring a provider; if none is selected, the first handshake panics.
pub fn install_tls_provider() {
    // This only fails if one is already installed.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}

/// Why a client cannot be set up: invalid credentials or an invalid kubeconfig.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("invalid `{field}` in the kubeconfig: {why}")]
    Field { field: &'static str, why: String },
    #[error("TLS is not initialized")]
    NoTls,
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

impl SetupError {
    /// `why` is about the field's value.
    fn field(field: &'static str, why: impl Into<String>) -> Self {
        Self::Field { field, why: why.into() }
    }
}

/// A connection to one API server, with one user's credentials.
pub struct Connection {
    server: String,
    timeouts: Timeouts,
    settings: Option<Settings>,
    /// Held while connecting, so that a credential plugin runs only once for concurrent calls.
    state: Mutex<State>,
    /// The last generation of credentials that the server did not refuse.
    accepted: AtomicU64,
    /// The server responded to a request, with any status.
    answered: AtomicBool,
    /// The source and text of why there are no credentials: a plugin's output, or the kubeconfig's install hint.
    plugin_output: std::sync::Mutex<Option<(String, String)>>,
    retry_budget: RetryBudget,
}

#[derive(Default)]
struct State {
    prepared: Option<Result<Prepared, ApiError>>,
    /// The generation of the credentials, counted in this run.
    credentials: u64,
    connected: Option<Connected>,
}

/// A configuration with resolved credentials.
struct Prepared {
    config: kube::Config,
    credentials: Credentials,
    /// When they expire, according to the credential plugin.
    expires: Option<Timestamp>,
}

struct Connected {
    client: kube::Client,
    /// The runtime that the client's sockets and tasks belong to. Absent for [`Connection::from_client`].
    runtime: Option<runtime::Id>,
}

impl Connection {
    /// Does not connect yet.
    pub fn new(settings: Settings, timeouts: Timeouts) -> Self {
        Self {
            server: settings.server.clone(),
            timeouts,
            settings: Some(settings),
            state: Mutex::default(),
            accepted: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            plugin_output: std::sync::Mutex::default(),
            retry_budget: RetryBudget::default(),
        }
    }

    /// Uses an existing client; `server` is for messages.
    pub fn from_client(client: kube::Client, server: impl Into<String>) -> Self {
        Self {
            server: server.into(),
            timeouts: Timeouts::default(),
            settings: None,
            state: Mutex::new(State {
                connected: Some(Connected { client, runtime: None }),
                ..State::default()
            }),
            accepted: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            plugin_output: std::sync::Mutex::default(),
            retry_budget: RetryBudget::default(),
        }
    }

    /// `https://host:port`
    pub fn server(&self) -> &str {
        &self.server
    }

    pub fn timeouts(&self) -> Timeouts {
        self.timeouts
    }

    /// The settings from the kubeconfig; absent for [`Connection::from_client`].
    pub fn settings(&self) -> Option<&Settings> {
        self.settings.as_ref()
    }

    /// When the static token or certificate expires, in milliseconds since 1970, if it contains that.
    pub fn credentials_expire(&self) -> Option<u64> {
        self.settings.as_ref().and_then(|s| credentials::expiry(&s.config.auth_info))
    }

    /// When the credentials in use expire, according to themselves or their plugin. This does not run a plugin.
    pub async fn credentials_expiry(&self) -> Option<Timestamp> {
        let state = self.state.lock().await;
        let in_use = match &state.prepared {
            Some(Ok(Prepared { config, expires, .. })) => {
                expires.or_else(|| timestamp(credentials::expiry(&config.auth_info)?))
            }
            _ => None,
        };
        in_use.or_else(|| timestamp(self.credentials_expire()?))
    }

    /// The tokens and passwords in use, to detect whether a text contains one.
    pub(crate) async fn secrets(&self) -> Vec<String> {
        let state = self.state.lock().await;
        let in_use = match &state.prepared {
            Some(Ok(prepared)) => Some(&prepared.config),
            _ => self.settings.as_ref().map(|settings| &settings.config),
        };
        in_use.map(|config| credentials::secrets(&config.auth_info)).unwrap_or_default()
    }

    /// Whether the server has responded to any request so far, with any status.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// A digest of the server and the user, to use as a cache key.
    pub fn fingerprint(&self) -> String {
        let auth =
            self.settings.as_ref().map(|s| credentials::bytes(&s.config.auth_info)).unwrap_or_default();
        Digest::of_parts(&[b"kf connection 1", self.server.as_bytes(), &auth]).to_string()
    }

    /// The source and text of why there are no credentials. For the user only, never for a command.
    pub(crate) fn plugin_output(&self) -> Option<(String, String)> {
        self.plugin_output.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends one request and returns with the head of the response, of any status.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ApiError> {
        let retry = self.clone_for_retry(&request);
        let (response, credentials) = self.send_once(request).await?;
        let Some(request) = retry.filter(|_| response.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(response);
        };
        if !self.renew(credentials).await? {
            return Ok(response);
        }
        self.send_once(request).await.map(|(response, _)| response)
    }

    /// The response, and the generation of the credentials that were sent.
    async fn send_once(&self, request: Request<Body>) -> Result<(Response<Body>, u64), ApiError> {
        let (client, credentials) = self.current().await?;
        let response = self.send_with(&client, request).await?;
        if response.status() != StatusCode::UNAUTHORIZED {
            self.accepted.fetch_max(credentials, Ordering::Relaxed);
        }
        Ok((response, credentials))
    }

    async fn send_with(
        &self,
        client: &kube::Client,
        request: Request<Body>,
    ) -> Result<Response<Body>, ApiError> {
        // The first request also connects, which has its own timeout and error.
        let limit = self.timeouts.connect.saturating_add(self.timeouts.answer);
        match tokio::time::timeout(limit, client.send(request)).await {
            Ok(Ok(response)) => {
                self.answered.store(true, Ordering::Relaxed);
                Ok(response)
            }
            Ok(Err(error)) => Err(failure::explain(error, self).await),
            Err(_) => Err(failure::timed_out(self)),
        }
    }

    /// The delay that a busy server requests before a retry; `None` if it requests none, or too long a delay.
    pub(crate) fn retry_delay(&self, answer: &Response<Body>, retries: &mut Retries) -> Option<Duration> {
        self.retry_budget.delay(answer, retries)
    }

    /// Sends a request that becomes a WebSocket; the server's `Status` if it refuses.
    pub(crate) async fn upgrade(
        &self,
        request: Request<Vec<u8>>,
        channels: Channels,
    ) -> Result<Result<kube::client::Connection, Box<Status>>, ApiError> {
        let retry = self.has_plugin().then(|| request.clone());
        let (client, credentials) = self.current().await?;
        let answer = self.upgrade_with(channels.client(client), request).await?;
        let is_refused =
            answer.as_ref().is_err_and(|status| status.code == StatusCode::UNAUTHORIZED.as_u16());
        if answer.is_ok() {
            self.accepted.fetch_max(credentials, Ordering::Relaxed);
        }
        match retry.filter(|_| is_refused) {
            Some(request) if self.renew(credentials).await? => {
                self.upgrade_with(channels.client(self.client().await?), request).await
            }
            _ => Ok(answer),
        }
    }

    async fn upgrade_with(
        &self,
        client: kube::Client,
        request: Request<Vec<u8>>,
    ) -> Result<Result<kube::client::Connection, Box<Status>>, ApiError> {
        let limit = self.timeouts.connect.saturating_add(self.timeouts.answer);
        let mut retries = Retries::default();
        let answer = loop {
            let answer = tokio::time::timeout(limit, client.connect(request.clone())).await;
            let Ok(Err(kube::Error::Api(status))) = &answer else { break answer };
            let Some(wait) = self.retry_budget.delay_by_status(status, &mut retries) else { break answer };
            tokio::time::sleep(wait).await;
        };
        match answer {
            Ok(Ok(connection)) => Ok(Ok(connection)),
            Ok(Err(kube::Error::Api(status))) => Ok(Err(status)),
            Ok(Err(kube::Error::UpgradeConnection(why))) => Err(failure::no_websocket(self, &why)),
            Ok(Err(error)) => Err(failure::explain(error, self).await),
            Err(_) => Err(failure::timed_out(self)),
        }
    }

    fn has_plugin(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.config.auth_info.exec.is_some())
    }

    /// A copy of the request to retry with new credentials; `None` if there cannot be any.
    fn clone_for_retry(&self, request: &Request<Body>) -> Option<Request<Body>> {
        if !self.has_plugin() {
            return None;
        }
        let mut copy = Request::new(request.body().try_clone()?);
        *copy.method_mut() = request.method().clone();
        *copy.uri_mut() = request.uri().clone();
        *copy.version_mut() = request.version();
        copy.headers_mut().clone_from(request.headers());
        copy.extensions_mut().clone_from(request.extensions());
        Some(copy)
    }

    /// The client, for requests of the host itself.
    ///
    /// Created on first use, once per runtime.
    pub async fn client(&self) -> Result<kube::Client, ApiError> {
        self.current().await.map(|(client, _)| client)
    }

    /// The client, and the generation of its credentials.
    async fn current(&self) -> Result<(kube::Client, u64), ApiError> {
        let here = runtime::Handle::current().id();
        let mut state = self.state.lock().await;
        if let Some(connected) = &state.connected
            && connected.runtime.is_none_or(|made_in| made_in == here)
        {
            return Ok((connected.client.clone(), state.credentials));
        }
        if state.prepared.is_none() {
            state.credentials += 1;
            state.prepared = Some(self.prepare().await);
        }
        let prepared = match &state.prepared {
            Some(Ok(prepared)) => prepared,
            Some(Err(error)) => return Err(error.clone()),
            None => return Err(failure::unreachable(self, "no credentials found")),
        };
        match client::client(&prepared.config, &prepared.credentials, self.timeouts.connect) {
            Ok(client) => {
                state.connected = Some(Connected { client: client.clone(), runtime: Some(here) });
                Ok((client, state.credentials))
            }
            Err(error) => Err(failure::setup(error, self).await),
        }
    }

    /// Runs the credential plugin again after the server refused its credentials. Their expiry is not used for this: only
    /// the server decides, and a plugin may take seconds or ask the user. Returns false if it is no use, as the last
    /// credentials were refused at once.
    async fn renew(&self, refused: u64) -> Result<bool, ApiError> {
        let mut state = self.state.lock().await;
        if state.credentials != refused {
            return Ok(true);
        }
        let is_first = refused <= 1;
        if !is_first && self.accepted.load(Ordering::Relaxed) < refused {
            return Ok(false);
        }
        state.credentials += 1;
        state.connected = None;
        let prepared = self.prepare().await;
        let renewed = prepared.as_ref().map(|_| true).map_err(ApiError::clone);
        state.prepared = Some(prepared);
        renewed
    }

    /// A GET of the host itself.
    pub(crate) async fn get(&self, path_and_query: &str) -> Result<Value, ApiError> {
        self.request(Method::GET, path_and_query, Vec::new()).await
    }

    /// A POST of the host itself.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value, ApiError> {
        self.request(Method::POST, path, body.to_string().into_bytes()).await
    }

    async fn request(&self, method: Method, path_and_query: &str, body: Vec<u8>) -> Result<Value, ApiError> {
        let agent = concat!("kf/", env!("CARGO_PKG_VERSION"));
        let mut retries = Retries::default();
        let response = loop {
            let request = Request::builder()
                .method(&method)
                .uri(path_and_query)
                .header(USER_AGENT, agent)
                .header(ACCEPT, JSON)
                .header(CONTENT_TYPE, JSON)
                .body(Body::from(body.clone()))
                .map_err(|error| failure::unreachable(self, &error.to_string()))?;
            let response = self.send(request).await.map_err(|error| match self.plugin_output() {
                Some((_, words)) => ApiError { message: format!("{}: {words}", error.message), ..error },
                None => error,
            })?;
            let Some(wait) = self.retry_delay(&response, &mut retries) else { break response };
            tokio::time::sleep(wait).await;
        };
        let status = response.status();
        let body = tokio::time::timeout(self.timeouts.answer, self.read_body(response.into_body()));
        let bytes = body.await.unwrap_or_else(|_| Err(failure::timed_out(self)))?;
        if !status.is_success() {
            return Err(self.explain_credentials(into_api_error(status, &bytes, None, "", ErrorDetail::All)));
        }
        json::parse_object(&bytes).map_err(|error| match error {
            JsonError::Syntax(_) => broken_stream(&"the response is not JSON"),
            _ => failure::too_large(self),
        })
    }

    async fn read_body(&self, mut body: Body) -> Result<Vec<u8>, ApiError> {
        let mut bytes = Vec::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|error| broken_stream(&error))?.into_data() else { continue };
            if bytes.len().saturating_add(data.len()) > MAX_ANSWER_BYTES {
                return Err(failure::too_large(self));
            }
            bytes.extend_from_slice(&data);
        }
        Ok(bytes)
    }

    /// Replaces an authentication error if the credentials are missing or have expired.
    pub(crate) fn explain_credentials(&self, error: ApiError) -> ApiError {
        let Some(settings) = &self.settings else { return error };
        if settings.is_anonymous() && failure::is_anonymous_refusal(&error) {
            return failure::no_credentials(settings);
        }
        let expired = self.credentials_expire().and_then(timestamp).filter(|at| *at < Timestamp::now());
        match expired {
            Some(at) if error.code == ErrorCode::Unauthenticated => ApiError {
                message: format!("your credentials for {} expired at {at:.0}", self.server),
                ..error
            },
            _ => error,
        }
    }

    /// Runs the credential plugin and reads the files of the credentials.
    async fn prepare(&self) -> Result<Prepared, ApiError> {
        install_tls_provider();
        let Some(settings) = &self.settings else {
            return Err(failure::unreachable(self, "no settings to connect with"));
        };
        let mut config = settings.config.clone();
        let attended = settings.attended;
        // Waiting for a credential plugin blocks.
        let prepared = tokio::task::spawn_blocking(move || -> Result<_, plugin::PluginError> {
            let expires = plugin::resolve(&mut config.auth_info, attended)?;
            let credentials = Credentials::of(&config.auth_info);
            Ok(credentials.map(|credentials| Prepared { config, credentials, expires }))
        });
        match prepared.await {
            Ok(Ok(Ok(prepared))) => Ok(prepared),
            Ok(Ok(Err(error))) => Err(failure::setup(error, self).await),
            Ok(Err(error)) => {
                let words = error.output(settings);
                *self.plugin_output.lock().unwrap_or_else(PoisonError::into_inner) = words;
                Err(failure::plugin(&error, settings))
            }
            Err(_) => Err(failure::unreachable(self, "cannot prepare the credentials")),
        }
    }
}

/// A time in milliseconds since 1970.
fn timestamp(millis: u64) -> Option<Timestamp> {
    Timestamp::from_millisecond(i64::try_from(millis).ok()?).ok()
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("server", &self.server).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
