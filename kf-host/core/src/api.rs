//! The cluster as commands see it: typed verbs and plain data.
//!
//! The sandbox calls [`KubeApi`], and the broker in `kf-cluster` implements it; neither depends on the other.
//! It mirrors the `kube`, `logs`, `sessions` and `pod-http` interfaces of the ABI's latest version.

use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::Stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::json::Document;
use crate::url;

/// Why a call was refused or failed; the same list as the ABI's `error-code`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ErrorCode {
    Invalid,
    Unauthenticated,
    Forbidden,
    NotFound,
    TimedOut,
    Unreachable,
    Conflict,
    Expired,
    Budget,
    Unsupported,
    Failed,
    Internal,
}

impl ErrorCode {
    /// Whether a retry may succeed: the API server is unreachable, slow or failing.
    pub fn is_transient(self) -> bool {
        matches!(self, Self::Unreachable | Self::TimedOut | Self::Internal)
    }
}

/// What failed, which value, and the next command to type.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    pub code: ErrorCode,
    /// One line, lower case, no period.
    pub message: String,
    pub hint: Option<String>,
    /// Set if a layer of the grant or the cluster's RBAC refused. It never enters the guest: the host
    /// keeps it to explain the refusal.
    pub refusal: Option<Box<crate::grants::Refusal>>,
}

impl ApiError {
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, refusal: None }
    }

    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    /// The next command to type, complete and correct.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

/// A kind of object; `version` is the cluster's preferred one if absent.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Kind {
    pub group: String,
    pub version: Option<String>,
    pub kind: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    pub kind: Kind,
    /// The namespace of the run if absent.
    pub namespace: Option<String>,
    pub name: String,
    /// A subresource that is a JSON document; for `get` and `patch`.
    pub subresource: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    Namespaced,
    AllNamespaces,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    pub kind: Kind,
    pub reach: Reach,
    pub namespace: Option<String>,
    pub label_selector: Option<String>,
    pub field_selector: Option<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Page {
    /// The objects as text: there may be many.
    pub items: Vec<Document>,
    pub continue_token: Option<String>,
    pub resource_version: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WriteOptions {
    pub dry_run: bool,
    pub force: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PatchKind {
    Merge,
    Json,
    Strategic,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Propagation {
    Background,
    Foreground,
    Orphan,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeleteOptions {
    pub dry_run: bool,
    pub propagation: Propagation,
    pub grace_period_seconds: Option<u32>,
    pub uid: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EventKind {
    Added,
    Modified,
    Deleted,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub kind: EventKind,
    pub object: Value,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessQuestion {
    pub verb: String,
    pub group: String,
    /// The plural, with the subresource after a slash: `pods/log`.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    pub allowed: bool,
    pub reason: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Identity {
    pub username: String,
    pub uid: Option<String>,
    pub groups: Vec<String>,
    /// Expiry of the presented token or certificate in milliseconds since 1970, if known.
    pub expires: Option<u64>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    pub group: String,
    pub version: String,
    pub kind: String,
    pub plural: String,
    pub namespaced: bool,
    pub verbs: Vec<String>,
    /// Such as `tj`.
    pub short_names: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogOptions {
    pub container: Option<String>,
    pub follow: bool,
    pub previous: bool,
    pub timestamps: bool,
    /// Milliseconds since 1970.
    pub since: Option<u64>,
    pub tail_lines: Option<u32>,
}

/// The changes of a selection. It resumes when the server ends a watch, as it does every few minutes,
/// and ends only with an error; [`ErrorCode::Expired`] means that the caller has to list again.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Event, ApiError>> + Send>>;

/// The bytes of a log, in chunks as they arrive.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Vec<u8>, ApiError>> + Send>>;

/// A pod, in the namespace of the run if none is named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    pub namespace: Option<String>,
    pub name: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SessionOptions {
    /// The only container if absent.
    pub container: Option<String>,
    pub stdin: bool,
    /// The process has a terminal: stderr is merged into stdout.
    pub tty: bool,
}

/// A session in a container. Dropping `output` ends it.
pub struct Session {
    pub output: SessionStream,
    pub input: Arc<dyn SessionWriter>,
}

/// The input of a session. Dropping the last clone ends it as [`SessionInput::End`] does.
#[async_trait]
pub trait SessionWriter: Send + Sync {
    /// Waits while the container does not read.
    async fn send(&self, input: SessionInput) -> Result<(), SessionEnded>;
}

/// The session ended before its input did; its output has the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the session is over")]
pub struct SessionEnded;

/// The output of a session; [`SessionOutput::Exited`] is the last item.
pub type SessionStream = Pin<Box<dyn Stream<Item = Result<SessionOutput, ApiError>> + Send>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionOutput {
    Stdout(Bytes),
    Stderr(Bytes),
    /// The exit code.
    Exited(i32),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SessionInput {
    Data(Bytes),
    /// The end of stdin.
    End,
    /// The new size of the terminal.
    Resize(TerminalSize),
}

/// In characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TerminalSize {
    pub columns: u16,
    pub rows: u16,
}

/// A local port and the port of the pod it is forwarded to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortPair {
    /// 0 for any free port.
    pub local: u16,
    pub remote: u16,
}

impl PortPair {
    /// The URL of a page on the port; `path` begins with `/` and can have a query.
    pub fn page(&self, path: &str) -> Result<String, ApiError> {
        let path = url::page_path(path)?;
        Ok(format!("http://localhost:{}{path}", self.local))
    }
}

/// Ports of a pod, forwarded from the loopback address. Dropping `troubles` closes them.
pub struct PortForward {
    /// The pairs with the local ports bound.
    pub ports: Vec<PortPair>,
    pub troubles: TroubleStream,
}

/// The problems of a port-forward. It ends when the forward does.
pub type TroubleStream = Pin<Box<dyn Stream<Item = Trouble> + Send>>;

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// One connection failed; the others continue.
    Connection(ApiError),
    /// The pod is gone, and the ports were closed.
    End(ApiError),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HttpMethod {
    Get,
    Head,
    Post,
    Put,
    Patch,
    Delete,
}

/// A token of a service account, requested and sent by the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    pub service_account: String,
    pub audience: String,
}

/// One HTTP request to a port of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRequest {
    pub pod: PodRef,
    pub port: u16,
    pub method: HttpMethod,
    /// Begins with `/`; can have a query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
    pub bearer: Option<Bearer>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodResponse {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Bytes,
}

/// Typed verbs on one cluster, for one run of one command.
///
/// Futures and streams of the broker need a tokio runtime. Strings are as the guest gave them: the
/// implementation first parses each into its name type.
#[async_trait]
pub trait KubeApi: Send + Sync {
    async fn get(&self, object: ObjectRef) -> Result<Value, ApiError>;

    /// `limit` is lowered to the run's page budget.
    async fn list(
        &self,
        what: Selection,
        limit: Option<u32>,
        continue_token: Option<String>,
    ) -> Result<Page, ApiError>;

    async fn create(&self, object: ObjectRef, body: Value, options: WriteOptions) -> Result<Value, ApiError>;

    async fn apply(&self, object: ObjectRef, body: Value, options: WriteOptions) -> Result<Value, ApiError>;

    async fn patch(
        &self,
        object: ObjectRef,
        kind: PatchKind,
        body: Value,
        options: WriteOptions,
    ) -> Result<Value, ApiError>;

    async fn delete(&self, object: ObjectRef, options: DeleteOptions) -> Result<(), ApiError>;

    async fn watch(&self, what: Selection, resource_version: String) -> Result<EventStream, ApiError>;

    async fn can_i(&self, questions: Vec<AccessQuestion>) -> Result<Vec<Verdict>, ApiError>;

    async fn whoami(&self) -> Result<Identity, ApiError>;

    async fn discover(&self, group: String) -> Result<Vec<ServedKind>, ApiError>;

    async fn log(
        &self,
        namespace: Option<String>,
        pod: String,
        options: LogOptions,
    ) -> Result<ByteStream, ApiError>;

    /// Runs a command in a container.
    async fn exec(
        &self,
        pod: PodRef,
        command: Vec<String>,
        options: SessionOptions,
    ) -> Result<Session, ApiError>;

    /// Joins a container's first process. The exit code is known once the container has ended; 0 if the
    /// process continues after the session.
    async fn attach(&self, pod: PodRef, options: SessionOptions) -> Result<Session, ApiError>;

    /// Binds the ports on the loopback address before it returns.
    async fn port_forward(&self, pod: PodRef, ports: Vec<PortPair>) -> Result<PortForward, ApiError>;

    async fn pod_http(&self, request: PodRequest) -> Result<PodResponse, ApiError>;
}

impl From<crate::names::NameError> for ApiError {
    fn from(error: crate::names::NameError) -> Self {
        Self::invalid(error.to_string())
    }
}

impl From<url::PathMismatch> for ApiError {
    fn from(error: url::PathMismatch) -> Self {
        Self::invalid(error.to_string())
    }
}
