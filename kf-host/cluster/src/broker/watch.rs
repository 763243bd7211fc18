//! Watches that are resumed when the server ends them.
//!
//! The API server ends every watch after some minutes. The broker then resumes from the last resource version it saw,
//! including bookmarks, so a guest sees one stream without gaps. If the server no longer has that version, the stream
//! fails with `expired`, and the guest has to list again.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf as _, Bytes, BytesMut};
use futures_util::stream::{self, StreamExt as _};
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use kf_core::api::{ApiError, ErrorCode, Event, EventKind, EventStream, Selection};
use kf_core::grants::{Access, Verb};
use kf_core::json;
use kf_core::names::ResourceVersion;
use kf_core::request::{Place, Request};
use kf_core::url::Query;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::Inner;
use super::budget::{MAX_EVENT_BYTES, Meter};
use super::calls::prepare_item;
use super::redact::Visibility;
use crate::connection::{broken_stream, into_api_error};

/// How long the server is asked to keep one watch open.
const SERVER_TIMEOUT: Duration = Duration::from_secs(290);

/// After this time without data a connection counts as lost; the server should have ended it before.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(320);

/// The number of consecutive failures after which the stream fails. With the pauses that is half a minute, enough to
/// restart an API server.
const MAX_FAILURES: u32 = 10;

/// The maximum pause between two of them.
const MAX_PAUSE: Duration = Duration::from_secs(4);

pub(super) async fn open(
    inner: &Arc<Inner>,
    what: Selection,
    resource_version: String,
) -> Result<EventStream, ApiError> {
    let version = ResourceVersion::parse(resource_version)?;
    let (request, query) = inner.selection(&what, Verb::Watch).await?;
    let rule = inner.check(&request)?;
    let permit = inner.meter.stream()?;
    let Request { place, access, .. } = request;
    let visibility = inner.visibility(&place, &access);
    let watch =
        Watch { rule: Some(rule), _permit: Some(permit), ..Watch::new(inner, place, access, version) };
    events(Watch { query, visibility, ..watch }).await
}

/// Watches one object as the host, not on behalf of the command.
pub(super) async fn watch_object(
    inner: &Arc<Inner>,
    place: &Place,
    version: ResourceVersion,
) -> Result<EventStream, ApiError> {
    let access = place.access(Verb::Watch);
    let mut query = Query::default();
    if let Some(name) = &place.name {
        query.set("fieldSelector", format!("metadata.name={name}"));
    }
    events(Watch { query, ..Watch::new(inner, place.clone(), access, version) }).await
}

async fn events(mut watch: Watch) -> Result<EventStream, ApiError> {
    watch.connect().await?;
    let events = stream::unfold(Some(watch), |watch| async move {
        let mut watch = watch?;
        match watch.next().await {
            Ok(event) => Some((Ok(event), Some(watch))),
            Err(error) => Some((Err(error), None)),
        }
    });
    Ok(events.boxed())
}

struct Watch {
    inner: Arc<Inner>,
    place: Place,
    access: Access,
    /// The manifest's rule; absent for the host's own watches.
    rule: Option<usize>,
    query: Query,
    visibility: Visibility,
    version: ResourceVersion,
    lines: Lines,
    body: Option<Body>,
    opened: Instant,
    failures: u32,
    partial: Partial,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Watch {
    fn new(inner: &Arc<Inner>, place: Place, access: Access, version: ResourceVersion) -> Self {
        Self {
            inner: Arc::clone(inner),
            place,
            access,
            rule: None,
            query: Query::default(),
            visibility: Visibility::WithoutData,
            version,
            lines: Lines::default(),
            body: None,
            opened: Instant::now(),
            failures: 0,
            partial: Partial { inner: Arc::clone(inner), bytes: 0 },
            _permit: None,
        }
    }

    async fn connect(&mut self) -> Result<(), ApiError> {
        let mut query = self.query.clone();
        query.set("watch", true);
        query.set("allowWatchBookmarks", true);
        query.set("resourceVersion", &self.version);
        query.set("timeoutSeconds", SERVER_TIMEOUT.as_secs());
        let target = self.place.collection();
        let access = self.access.clone();
        let call = self.inner.call(&self.place, access, self.rule, Method::GET, &target, &query)?;
        self.body = Some(self.inner.stream(&call).await?.into_body());
        self.lines = Lines::default();
        self.partial.set(0)?;
        self.opened = Instant::now();
        Ok(())
    }

    async fn next(&mut self) -> Result<Event, ApiError> {
        loop {
            // One event at a time, as parsed events are larger than the raw data.
            while let Some(line) = self.lines.next() {
                self.failures = 0;
                if let Some(event) = self.event(&line)? {
                    self.partial.set(self.lines.partial_len())?;
                    return Ok(event);
                }
            }
            self.partial.set(self.lines.partial_len())?;
            match self.read().await {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(error),
                None => self.reconnect().await?,
            }
        }
    }

    /// Reads the next chunk of the connection; `None` at its end.
    async fn read(&mut self) -> Option<Result<(), ApiError>> {
        let body = self.body.as_mut()?;
        let Ok(Some(Ok(frame))) = timeout(SILENCE_TIMEOUT, body.frame()).await else {
            // Ended, broken or silent: resume from the last version in each case.
            self.body = None;
            return None;
        };
        let Ok(data) = frame.into_data() else { return Some(Ok(())) };
        Some(self.push(data))
    }

    fn push(&mut self, data: Bytes) -> Result<(), ApiError> {
        self.inner.meter.bytes(data.len())?;
        let limit = self.inner.meter.limits().response.min(MAX_EVENT_BYTES);
        if self.lines.partial_len().saturating_add(data.len()) > limit && !data.contains(&b'\n') {
            return Err(Meter::too_large(limit, &format!("one event of {}", self.place.words())));
        }
        self.lines.push(data);
        Ok(())
    }

    /// Parses an event; `None` for a bookmark.
    fn event(&mut self, line: &[u8]) -> Result<Option<Event>, ApiError> {
        let mut event = match json::parse_event(line) {
            Ok(event) => event,
            Err(json::JsonError::Syntax(_)) => return Err(broken_stream(&"an event is not JSON")),
            Err(error) => {
                let message = format!("an event of {} {error}", self.place.words());
                return Err(ApiError::new(ErrorCode::Budget, message));
            }
        };
        let mut object = event.get_mut("object").map(Value::take).unwrap_or_default();
        let kind = match event.get("type").and_then(Value::as_str) {
            Some("ADDED") => EventKind::Added,
            Some("MODIFIED") => EventKind::Modified,
            Some("DELETED") => EventKind::Deleted,
            Some("BOOKMARK") => {
                self.advance(&object);
                return Ok(None);
            }
            _ => {
                let code = object.get("code").and_then(Value::as_u64).and_then(|c| u16::try_from(c).ok());
                let code = code.and_then(|c| StatusCode::from_u16(c).ok());
                return Err(into_api_error(
                    code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    object.to_string().as_bytes(),
                    Some(&self.access),
                    &self.place.words(),
                    self.inner.error_detail(&self.place),
                ));
            }
        };
        self.advance(&object);
        prepare_item(&mut object, &self.place.served, self.visibility);
        Ok(Some(Event { kind, object }))
    }

    fn advance(&mut self, object: &Value) {
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        if let Some(version) = version.and_then(|text| ResourceVersion::parse(text).ok()) {
            self.version = version;
        }
    }

    /// Resumes from the last version, with growing pauses between failures.
    async fn reconnect(&mut self) -> Result<(), ApiError> {
        loop {
            if self.opened.elapsed() < Duration::from_secs(1) || self.failures > 0 {
                let pause = Duration::from_millis(250 << self.failures.min(MAX_FAILURES));
                sleep(pause.min(MAX_PAUSE)).await;
            }
            self.failures = self.failures.saturating_add(1);
            match self.connect().await {
                Ok(()) => return Ok(()),
                Err(error) if self.failures < MAX_FAILURES && is_retryable(error.code) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// The bytes of incomplete events in a watch, counted across all watches of the run.
struct Partial {
    inner: Arc<Inner>,
    bytes: usize,
}

impl Partial {
    fn set(&mut self, bytes: usize) -> Result<(), ApiError> {
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.inner.meter.partial(before, bytes)
    }
}

impl Drop for Partial {
    fn drop(&mut self) {
        let _released = self.set(0);
    }
}

/// Whether to retry a watch that was open before. After a restart, an API server answers 403 until it has loaded its
/// RBAC roles, and 404 until it has loaded its custom resource definitions.
fn is_retryable(code: ErrorCode) -> bool {
    code.is_transient() || matches!(code, ErrorCode::Forbidden | ErrorCode::NotFound)
}

/// Splits chunks into lines. Lines within a chunk are not copied.
#[derive(Default)]
struct Lines {
    /// The start of an incomplete line.
    partial: BytesMut,
    /// The rest of the last chunk.
    chunk: Bytes,
}

impl Lines {
    /// Adds the next chunk, once [`next`](Self::next) has returned all lines of the last one.
    fn push(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    fn partial_len(&self) -> usize {
        self.partial.len()
    }

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.chunk) else {
                self.partial.extend_from_slice(&std::mem::take(&mut self.chunk));
                return None;
            };
            let mut line = self.chunk.split_to(end);
            self.chunk.advance(1);
            if !self.partial.is_empty() {
                self.partial.extend_from_slice(&line);
                line = std::mem::take(&mut self.partial).freeze();
            }
            if !line.is_empty() {
                return Some(line);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn lines_do_not_depend_on_chunks(
            text in prop::collection::vec("[a-c]{0,4}", 0..6),
            cuts in prop::collection::vec(1..5usize, 0..30),
        ) {
            let whole = text.iter().map(|line| format!("{line}\n")).collect::<String>().into_bytes();
            let mut lines = Lines::default();
            let mut rest = whole.as_slice();
            let mut found = Vec::new();
            for cut in cuts.into_iter().chain([usize::MAX]) {
                let (now, later) = rest.split_at(cut.min(rest.len()));
                lines.push(Bytes::copy_from_slice(now));
                rest = later;
                while let Some(line) = lines.next() {
                    found.push(String::from_utf8(line.to_vec()).unwrap());
                }
            }
            let expected: Vec<String> = text.into_iter().filter(|line| !line.is_empty()).collect();
            prop_assert_eq!(found, expected);
        }
    }
}
