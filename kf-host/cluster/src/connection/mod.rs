//! One API server, connected on the first call.
//!
//! Nothing here happens before a call needs it: no TLS set-up, no credential plugin, no socket.

mod answer;
mod authorization;
mod channels;
mod client;
mod credentials;
mod failure;
mod identity;
mod listed;
mod patience;
mod plugin;
mod plugin_process;

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

pub(crate) use answer::{Words, answered, server_words};
pub(crate) use channels::Channels;
pub(crate) use failure::{broken_stream, is_about_credentials};
pub(crate) use patience::Retries;
pub use plugin_process::end_unattended_plugins;

use kf_core::Digest;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::json::{self, JsonError};

use crate::kubeconfig::Settings;
use client::Credentials;
use patience::Patience;

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

/// Why no client can be made; the user's credentials or the kubeconfig are at fault.
#[derive(Debug, thiserror::Error)]
enum SetupError {
    #[error("the kubeconfig's `{field}` cannot be used: {why}")]
    Field { field: &'static str, why: String },
    #[error("TLS was not set up")]
    NoTls,
    #[error(transparent)]
    Kube(#[from] kube::Error),
}

impl SetupError {
    /// `why` is a sentence about the field's value.
    fn field(field: &'static str, why: impl Into<String>) -> Self {
        Self::Field { field, why: why.into() }
    }
}

/// The way to one API server, with one user's credentials.
pub struct Connection {
    server: String,
    timeouts: Timeouts,
    settings: Option<Settings>,
    /// Held while connecting, so that a credential plugin runs once however many calls wait.
    state: Mutex<State>,
    /// The last credentials that the server did not refuse.
    accepted: AtomicU64,
    /// The server answered a request, whatever its answer was.
    answered: AtomicBool,
    /// Who said what as there were no credentials: a plugin, or the kubeconfig about it.
    plugin_words: std::sync::Mutex<Option<(String, String)>>,
    patience: Patience,
}

#[derive(Default)]
struct State {
    prepared: Option<Result<Prepared, ApiError>>,
    /// How many credentials there were in this run; it tells one from the next.
    credentials: u64,
    connected: Option<Connected>,
}

/// A configuration whose credentials are there.
struct Prepared {
    config: kube::Config,
    credentials: Credentials,
    /// When the credential plugin says that they expire.
    expires: Option<Timestamp>,
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
            accepted: AtomicU64::new(0),
            answered: AtomicBool::new(false),
            plugin_words: std::sync::Mutex::default(),
            patience: Patience::default(),
        }
    }

    /// Over a client that exists already; `server` is for messages.
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
            plugin_words: std::sync::Mutex::default(),
            patience: Patience::default(),
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

    /// When the credentials in use expire, if they or the plugin that gave them say so. No plugin is run to find out.
    pub async fn credentials_end(&self) -> Option<Timestamp> {
        let state = self.state.lock().await;
        let in_use = match &state.prepared {
            Some(Ok(Prepared { config, expires, .. })) => {
                expires.or_else(|| timestamp(credentials::expiry(&config.auth_info)?))
            }
            _ => None,
        };
        in_use.or_else(|| timestamp(self.credentials_expire()?))
    }

    /// The tokens and passwords that are sent, to find out whether a text repeats one.
    pub(crate) async fn secrets(&self) -> Vec<String> {
        let state = self.state.lock().await;
        let in_use = match &state.prepared {
            Some(Ok(prepared)) => Some(&prepared.config),
            _ => self.settings.as_ref().map(|settings| &settings.config),
        };
        in_use.map(|config| credentials::secrets(&config.auth_info)).unwrap_or_default()
    }

    /// Whether the server answered any request so far, whatever its answer was.
    pub(crate) fn has_answered(&self) -> bool {
        self.answered.load(Ordering::Relaxed)
    }

    /// Tells servers and users apart in a cache without naming either.
    pub fn fingerprint(&self) -> String {
        let auth =
            self.settings.as_ref().map(|s| credentials::bytes(&s.config.auth_info)).unwrap_or_default();
        Digest::of_parts(&[b"kf connection 1", self.server.as_bytes(), &auth]).to_string()
    }

    /// Why there are no credentials, and who says so. It is the user's to read and no command's.
    pub(crate) fn plugin_words(&self) -> Option<(String, String)> {
        self.plugin_words.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Sends one request and returns once the head of the answer is there, whatever its status.
    pub(crate) async fn send(&self, request: Request<Body>) -> Result<Response<Body>, ApiError> {
        let again = self.copy_to_repeat(&request);
        let (response, credentials) = self.send_once(request).await?;
        let Some(request) = again.filter(|_| response.status() == StatusCode::UNAUTHORIZED) else {
            return Ok(response);
        };
        if !self.renew(credentials).await? {
            return Ok(response);
        }
        self.send_once(request).await.map(|(response, _)| response)
    }

    /// The answer, and which credentials it was for.
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
        // The first request has to connect first, and that has words of its own for being slow.
        let limit = self.timeouts.connect.saturating_add(self.timeouts.answer);
        match tokio::time::timeout(limit, client.send(request)).await {
            Ok(Ok(response)) => {
                self.answered.store(true, Ordering::Relaxed);
                Ok(response)
            }
            Ok(Err(error)) => Err(failure::explain(error, self).await),
            Err(_) => Err(failure::slow(self)),
        }
    }

    /// How long a busy server asks to wait before the request is sent again; none if it does not, or asks too much.
    pub(crate) fn asked_wait(&self, answer: &Response<Body>, retries: &mut Retries) -> Option<Duration> {
        self.patience.wait(answer, retries)
    }

    /// Sends a request that becomes a WebSocket; the server's `Status` if it says no.
    pub(crate) async fn upgrade(
        &self,
        request: Request<Vec<u8>>,
        channels: Channels,
    ) -> Result<Result<kube::client::Connection, Box<Status>>, ApiError> {
        let again = self.runs_a_plugin().then(|| request.clone());
        let (client, credentials) = self.current().await?;
        let answer = self.upgrade_with(channels.client(client), request).await?;
        let is_refused =
            answer.as_ref().is_err_and(|status| status.code == StatusCode::UNAUTHORIZED.as_u16());
        if answer.is_ok() {
            self.accepted.fetch_max(credentials, Ordering::Relaxed);
        }
        match again.filter(|_| is_refused) {
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
            let Some(wait) = self.patience.wait_by_status(status, &mut retries) else { break answer };
            tokio::time::sleep(wait).await;
        };
        match answer {
            Ok(Ok(connection)) => Ok(Ok(connection)),
            Ok(Err(kube::Error::Api(status))) => Ok(Err(status)),
            Ok(Err(kube::Error::UpgradeConnection(why))) => Err(failure::no_websocket(self, &why)),
            Ok(Err(error)) => Err(failure::explain(error, self).await),
            Err(_) => Err(failure::slow(self)),
        }
    }

    fn runs_a_plugin(&self) -> bool {
        self.settings.as_ref().is_some_and(|settings| settings.config.auth_info.exec.is_some())
    }

    /// A request to send again with new credentials; none where there can be no others.
    fn copy_to_repeat(&self, request: &Request<Body>) -> Option<Request<Body>> {
        if !self.runs_a_plugin() {
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

    /// The client itself, for what the host does on its own account.
    ///
    /// Created on first use, and again in each runtime that asks for one.
    pub async fn client(&self) -> Result<kube::Client, ApiError> {
        self.current().await.map(|(client, _)| client)
    }

    /// The client, and which credentials it has.
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
            None => return Err(failure::unreachable(self, "there are no credentials")),
        };
        match client::client(&prepared.config, &prepared.credentials, self.timeouts.connect) {
            Ok(client) => {
                state.connected = Some(Connected { client: client.clone(), runtime: Some(here) });
                Ok((client, state.credentials))
            }
            Err(error) => Err(failure::setup(error, self).await),
        }
    }

    /// Has the credential plugin give new credentials for those that the server refused. When they end, they say so
    /// themselves, and are used all the same: the server is the judge, and a plugin may take seconds or ask the user.
    /// So it is run once, and again only here. False if that is of no use: the last ones were refused at once.
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
            let response = self.send(request).await.map_err(|error| match self.plugin_words() {
                Some((_, words)) => ApiError { message: format!("{}: {words}", error.message), ..error },
                None => error,
            })?;
            let Some(wait) = self.asked_wait(&response, &mut retries) else { break response };
            tokio::time::sleep(wait).await;
        };
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
        let Some(settings) = &self.settings else { return error };
        if settings.is_anonymous() && failure::asked_by_nobody(&error) {
            return failure::no_credentials(settings);
        }
        let ended = self.credentials_expire().and_then(timestamp).filter(|at| *at < Timestamp::now());
        match ended {
            Some(at) if error.code == ErrorCode::Unauthenticated => ApiError {
                message: format!("your credentials for {} ended at {at:.0}", self.server),
                ..error
            },
            _ => error,
        }
    }

    /// Runs the credential plugin and reads the files that the user names.
    async fn prepare(&self) -> Result<Prepared, ApiError> {
        install_tls_provider();
        let Some(settings) = &self.settings else {
            return Err(failure::unreachable(self, "there are no settings to connect with"));
        };
        let mut config = settings.config.clone();
        let attended = settings.attended;
        // A credential plugin is a child process that is waited for.
        let prepared = tokio::task::spawn_blocking(move || -> Result<_, plugin::PluginError> {
            let expires = plugin::resolve(&mut config.auth_info, attended)?;
            let credentials = Credentials::of(&config.auth_info);
            Ok(credentials.map(|credentials| Prepared { config, credentials, expires }))
        });
        match prepared.await {
            Ok(Ok(Ok(prepared))) => Ok(prepared),
            Ok(Ok(Err(error))) => Err(failure::setup(error, self).await),
            Ok(Err(error)) => {
                let words = error.words(settings);
                *self.plugin_words.lock().unwrap_or_else(PoisonError::into_inner) = words;
                Err(failure::plugin(&error, settings))
            }
            Err(_) => Err(failure::unreachable(self, "the credentials could not be prepared")),
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
