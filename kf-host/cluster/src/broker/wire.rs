//! Sends one request: budget, audit log, headers, retries, record.

use std::time::Instant;

use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT, WARNING};
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kf_core::api::{ApiError, ErrorCode};
use kf_core::grants::{Access, Layer, Verb};
use kf_core::json::{JsonError, List, ListLimits};
use kf_core::names::Group;
use kf_core::request::Place;
use kf_core::text::truncated;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::SemaphorePermit;
use tracing::{Instrument as _, Span};

use super::Inner;
use super::body::Received;
use super::budget::{LARGE_BYTES, MAX_DOCUMENT_BYTES, MAX_ERROR_BYTES, Meter};
use super::report::CallRecord;
use crate::audit::{self, Detail, Entry, Stage};
use crate::connection::{Channels, ErrorDetail, Retries, broken_stream, into_api_error, status_message};
use crate::discovery::{DiscoveryPath, Fetch};

/// A request that has been authorized.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub(super) about: About,
    /// What the API server authorizes; absent for calls that every user is allowed.
    pub(super) access: Option<Access>,
    pub(super) rule: Option<usize>,
    pub(super) method: Method,
    pub(super) path_and_query: String,
    pub(super) content_type: Option<&'static str>,
    pub(super) body: Vec<u8>,
    /// The display name: `trainjob mnist in team-a`.
    pub(super) object: String,
    /// The object that errors are about; absent for calls without one.
    pub(super) place: Option<Place>,
}

/// What a call is about, for the audit log and `--explain`.
#[derive(Clone, Debug)]
pub(super) struct About {
    pub(super) verb: &'static str,
    pub(super) group: String,
    pub(super) resource: String,
    pub(super) namespace: Option<String>,
    pub(super) name: Option<String>,
    /// A server-side dry run.
    pub(super) dry_run: bool,
    pub(super) detail: Option<Detail>,
}

impl About {
    pub(super) fn access(access: &Access) -> Self {
        Self {
            verb: access.verb.as_str(),
            group: access.group.to_string(),
            resource: access.resource.to_string(),
            namespace: access.namespace.as_ref().map(ToString::to_string),
            name: access.name.as_ref().map(ToString::to_string),
            dry_run: false,
            detail: None,
        }
    }

    fn full_resource(&self) -> String {
        match self.resource.split_once('/') {
            _ if self.group.is_empty() => self.resource.clone(),
            None => format!("{}.{}", self.resource, self.group),
            Some((plural, sub)) => format!("{plural}.{}/{sub}", self.group),
        }
    }
}

/// The head of a response, and when its request was sent.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    sent: Instant,
}

impl Inner {
    /// Sends a call and parses the response as one document.
    pub(super) async fn json(&self, call: &Call) -> Result<Value, ApiError> {
        self.document(call, Received::object).await
    }

    /// Like [`Self::json`], with another parser.
    pub(super) async fn document(
        &self,
        call: &Call,
        read: impl FnOnce(Received) -> Result<Value, JsonError>,
    ) -> Result<Value, ApiError> {
        let limit = self.meter.limits().response.min(MAX_DOCUMENT_BYTES);
        self.answer(call, limit, read, |_| 1).await
    }

    /// Sends a call and parses the response as a page of at most `items` objects, each of which is passed to `prepare`.
    pub(super) async fn page(
        &self,
        call: &Call,
        items: usize,
        prepare: impl FnMut(&mut Value),
    ) -> Result<List, ApiError> {
        let bytes = self.meter.limits().response;
        let read = |received: Received| received.list(ListLimits { items, bytes }, prepare);
        self.answer(call, bytes, read, |list| list.items.len()).await
    }

    async fn answer<T>(
        &self,
        call: &Call,
        limit: usize,
        read: impl FnOnce(Received) -> Result<T, JsonError>,
        count: impl FnOnce(&T) -> usize,
    ) -> Result<T, ApiError> {
        let exchange = async {
            let answer = self.open(call).await?;
            let status = answer.response.status();
            let mut large = None;
            let body = self.read_body(answer.response, &call.object, limit, &mut large).await;
            let read =
                body.and_then(|received| read(received).map_err(|error| parse_error(&error, &call.object)));
            drop(large);
            self.record(call, Some(status), answer.sent, read.as_ref().ok().map(count))?;
            read
        };
        exchange.instrument(self.span(call)).await
    }

    /// Sends a call and returns with the head of a successful response.
    pub(super) async fn stream(&self, call: &Call) -> Result<Response<Body>, ApiError> {
        let exchange = async {
            let answer = self.open(call).await?;
            self.record(call, Some(answer.response.status()), answer.sent, None)?;
            Ok(answer.response)
        };
        exchange.instrument(self.span(call)).await
    }

    /// Sends a call that becomes a WebSocket. The caller counts it against the budget; `listed` records it for
    /// `--explain`.
    pub(super) async fn upgrade(
        &self,
        call: &Call,
        channels: Channels,
        listed: bool,
    ) -> Result<kube::client::Connection, ApiError> {
        self.open_websocket(call, channels, listed).instrument(self.span(call)).await
    }

    async fn open_websocket(
        &self,
        call: &Call,
        channels: Channels,
        listed: bool,
    ) -> Result<kube::client::Connection, ApiError> {
        self.audit(call, Stage::Request, None)?;
        let sent = Instant::now();
        // Without `Accept`: the API server refuses a session that accepts only JSON.
        let request = self.head(call).body(Vec::new()).map_err(invalid_request)?;
        let (status, answer) = match self.connection.upgrade(request, channels).await {
            Ok(Ok(connection)) => (Some(StatusCode::SWITCHING_PROTOCOLS), Ok(connection)),
            Ok(Err(status)) => {
                let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
                let access = call.access.as_ref().map(|access| denied_access(access, &status.message));
                // kube returns a response that is not a `Status` with this reason. It is not repeated.
                let page = status.reason == "Failed to parse error data";
                // An old server returns an empty response for an unsupported protocol.
                if page
                    && status.message.is_empty()
                    && code.is_client_error()
                    && channels == Channels::WithClose
                {
                    self.record(call, Some(code), sent, None)?;
                    return Err(cannot_close_stdin());
                }
                let body = if page { Vec::new() } else { serde_json::to_vec(&status).unwrap_or_default() };
                let detail = self.withhold(call, &body);
                let error = into_api_error(code, &body, access.as_ref(), &call.object, detail);
                (Some(code), Err(self.connection.explain_credentials(with_truncated_message(error))))
            }
            Err(error) => (None, Err(error)),
        };
        if listed || answer.is_err() {
            self.record(call, status, sent, None)?;
        } else {
            self.audit(call, Stage::Response, status.map(|s| s.as_u16()))?;
        }
        answer
    }

    /// Sends the request, after budget and audit log.
    async fn open(&self, call: &Call) -> Result<Answer, ApiError> {
        self.meter.call()?;
        self.audit(call, Stage::Request, None)?;
        let sent = Instant::now();
        let response = match self.send_with_retries(call).await {
            Ok(response) => response,
            Err(error) => {
                self.record(call, None, sent, None)?;
                return Err(error);
            }
        };
        for warning in response.headers().get_all(WARNING) {
            self.recorder.warning(&String::from_utf8_lossy(warning.as_bytes()));
        }
        let status = response.status();
        if status.is_success() {
            return Ok(Answer { response, sent });
        }
        let body = self.read_error_body(response).await;
        self.record(call, Some(status), sent, None)?;
        let body = body?;
        let detail = self.withhold(call, &body);
        let (access, object) = (call.access.as_ref(), &call.object);
        let error = into_api_error(status, &body, access, object, detail);
        Err(self.connection.explain_credentials(with_truncated_message(error)))
    }

    /// Decides how much of an error the command gets, and records the rest for the user. A message that may contain data
    /// of a secret is not recorded.
    fn withhold(&self, call: &Call, body: &[u8]) -> ErrorDetail {
        let detail = call.place.as_ref().map_or(ErrorDetail::All, |place| self.error_detail(place));
        if detail == ErrorDetail::Fields
            && let Some(text) = status_message(body)
        {
            self.recorder.withheld(&format!("the API server about {}", call.object), text);
        }
        detail
    }

    /// Sends a request, with retries if the API server is busy.
    async fn send_with_retries(&self, call: &Call) -> Result<Response<Body>, ApiError> {
        let mut retries = Retries::default();
        loop {
            let response = self.connection.send(self.request(call)?).await?;
            let Some(wait) = self.connection.retry_delay(&response, &mut retries) else {
                return Ok(response);
            };
            self.meter.call()?;
            tokio::time::sleep(wait).await;
        }
    }

    fn request(&self, call: &Call) -> Result<Request<Body>, ApiError> {
        let head = self.head(call).header(ACCEPT, "application/json");
        head.body(Body::from(call.body.clone())).map_err(invalid_request)
    }

    /// The only place that sets headers, except those of the upgrade to a WebSocket.
    fn head(&self, call: &Call) -> http::request::Builder {
        let request = Request::builder()
            .method(call.method.clone())
            .uri(&call.path_and_query)
            .header(USER_AGENT, self.user_agent.clone());
        match call.content_type {
            Some(content_type) => request.header(CONTENT_TYPE, content_type),
            None => request,
        }
    }

    /// Reads the body of a response, within the budget and the time limit. For a large one, it acquires the permit `large`,
    /// which the caller holds until the body is parsed.
    async fn read_body<'m>(
        &'m self,
        response: Response<Body>,
        object: &str,
        limit: usize,
        large: &mut Option<SemaphorePermit<'m>>,
    ) -> Result<Received, ApiError> {
        let read = async {
            let mut body = response.into_body();
            let mut received = Received::default();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|error| broken_stream(&error))?;
                let Ok(data) = frame.into_data() else { continue };
                self.meter.bytes(data.len())?;
                if received.len().saturating_add(data.len()) > limit {
                    return Err(Meter::too_large(limit, &format!("the response for {object}")));
                }
                if large.is_none() && received.len().saturating_add(data.len()) > LARGE_BYTES {
                    *large = Some(self.meter.large().await?);
                }
                received.push(&data);
            }
            Ok(received)
        };
        match tokio::time::timeout(self.connection.timeouts().answer, read).await {
            Ok(read) => read,
            Err(_) => Err(self.incomplete_response()),
        }
    }

    /// Reads the body of an error response. It is truncated at a limit that no `Status` reaches.
    async fn read_error_body(&self, response: Response<Body>) -> Result<Vec<u8>, ApiError> {
        let read = async {
            let mut body = response.into_body();
            let mut bytes = Vec::new();
            while bytes.len() <= MAX_ERROR_BYTES
                && let Some(frame) = body.frame().await
            {
                let frame = frame.map_err(|error| broken_stream(&error))?;
                let Ok(data) = frame.into_data() else { continue };
                self.meter.bytes(data.len())?;
                bytes.extend_from_slice(&data);
            }
            bytes.truncate(MAX_ERROR_BYTES);
            Ok(bytes)
        };
        match tokio::time::timeout(self.connection.timeouts().answer, read).await {
            Ok(read) => read,
            Err(_) => Err(self.incomplete_response()),
        }
    }

    fn incomplete_response(&self) -> ApiError {
        ApiError::new(
            ErrorCode::TimedOut,
            format!("the API server {} did not complete its response", self.connection.server()),
        )
    }

    fn record(
        &self,
        call: &Call,
        status: Option<StatusCode>,
        sent: Instant,
        objects: Option<usize>,
    ) -> Result<(), ApiError> {
        let status = status.map(|s| s.as_u16());
        self.recorder.call(CallRecord {
            verb: call.about.verb.to_owned(),
            method: call.method.to_string(),
            resource: call.about.full_resource(),
            namespace: call.about.namespace.clone(),
            name: call.about.name.clone(),
            status,
            latency: sent.elapsed(),
            rule: call.rule,
            objects,
        });
        self.audit(call, Stage::Response, status)
    }

    fn audit(&self, call: &Call, stage: Stage, status: Option<u16>) -> Result<(), ApiError> {
        if let Some(status) = status {
            Span::current().record("status", status);
        }
        self.append(&self.entry(&call.about, stage, "allowed", call.rule, None, status))
    }

    /// Logs a refusal, within the budget of the run.
    pub(super) fn audit_refusal(
        &self,
        access: &Access,
        layer: Option<Layer>,
        detail: Option<&Detail>,
    ) -> Result<(), ApiError> {
        let is_last = self.meter.refusal()?;
        let about = About { detail: detail.cloned(), ..About::access(access) };
        let mut entry = self.entry(&about, Stage::Refused, "refused", None, layer, None);
        entry.note = is_last.then_some("further refusals of this run are not logged");
        entry.span().in_scope(|| self.append(&entry))
    }

    /// The span of a call. Its fields are only collected if it is recorded.
    fn span(&self, call: &Call) -> Span {
        if !audit::is_traced() {
            return Span::none();
        }
        self.entry(&call.about, Stage::Request, "allowed", call.rule, None, None).span()
    }

    fn entry<'a>(
        &'a self,
        about: &'a About,
        stage: Stage,
        decision: &'static str,
        rule: Option<usize>,
        layer: Option<Layer>,
        status: Option<u16>,
    ) -> Entry<'a> {
        Entry {
            format: audit::FORMAT,
            time: Timestamp::now().to_string(),
            stage,
            command: &self.command.name,
            version: &self.command.version,
            digest: &self.command.digest,
            server: self.connection.server(),
            verb: about.verb,
            group: &about.group,
            resource: &about.resource,
            namespace: about.namespace.as_deref(),
            name: about.name.as_deref(),
            detail: about.detail.as_ref().filter(|_| stage != Stage::Response),
            dry_run: about.dry_run,
            decision,
            rule,
            layer,
            status,
            note: None,
        }
    }

    fn append(&self, entry: &Entry<'_>) -> Result<(), ApiError> {
        let Some(log) = &self.audit else { return Ok(()) };
        log.write(entry).map_err(|why| {
            ApiError::new(
                ErrorCode::Failed,
                format!("cannot write the audit log {}: {why}", log.path().display()),
            )
            .hint("free disk space, or set KF_AUDIT_LOG to another file")
        })
    }
}

fn invalid_request(error: http::Error) -> ApiError {
    ApiError::invalid(format!("invalid request: {error}"))
}

/// A WebSocket requires two verbs; the server's message names the missing one.
fn denied_access(access: &Access, message: &str) -> Access {
    let get = message.contains("cannot get resource");
    Access { verb: if get { Verb::Get } else { access.verb }, ..access.clone() }
}

/// The server is too old to close the stdin of a session.
pub(super) fn cannot_close_stdin() -> ApiError {
    ApiError::new(
        ErrorCode::Unsupported,
        "this cluster does not support closing stdin, which requires Kubernetes 1.30",
    )
}

/// Limits the length of an error, as a run may keep many of them.
fn with_truncated_message(error: ApiError) -> ApiError {
    const MAX_BYTES: usize = 16 << 10;
    ApiError { message: truncated(error.message, MAX_BYTES), ..error }
}

/// The error about a successful response that cannot be parsed.
fn parse_error(error: &JsonError, object: &str) -> ApiError {
    match error {
        JsonError::Syntax(_) => ApiError::new(ErrorCode::Internal, "the API server's response is not JSON"),
        _ => ApiError::new(ErrorCode::Budget, format!("the API server's response for {object} {error}")),
    }
}

impl Fetch for Inner {
    async fn document(&self, path: DiscoveryPath) -> Result<Option<Value>, ApiError> {
        let group = match &path {
            DiscoveryPath::Group(group) | DiscoveryPath::GroupVersion(group, _) => group,
        };
        let call = Call {
            about: About {
                verb: "discover",
                group: group.to_string(),
                resource: String::new(),
                namespace: None,
                name: None,
                dry_run: false,
                detail: None,
            },
            access: None,
            rule: None,
            method: Method::GET,
            path_and_query: path.path(),
            content_type: None,
            body: Vec::new(),
            object: discovered(group),
            place: None,
        };
        match self.json(&call).await {
            Ok(document) => Ok(Some(document)),
            Err(error) if error.code == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

fn discovered(group: &Group) -> String {
    if group.is_core() { "core API".to_owned() } else { format!("API {group}") }
}
