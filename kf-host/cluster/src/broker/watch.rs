//! Watches that outlive the server's patience.
//!
//! The API server ends every watch after some minutes. The broker then asks again from the last
//! resource version it saw, bookmarks included, so a guest sees one stream without gaps. Only
//! when the server has forgotten that version does the stream fail, with `expired`: the guest has
//! to list again.

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
use super::calls::typed;
use super::redact::Sight;
use crate::connection::{answered, broken_stream};

/// How long the server is asked to keep one watch open.
const SERVER_TIMEOUT: Duration = Duration::from_secs(290);

/// Silence after which a connection counts as lost; the server should have ended it by then.
const SILENCE: Duration = Duration::from_secs(320);

/// Connections in a row that may fail before the stream does: half a minute, in which an API server
/// can be started again.
const MAX_FAILURES: u32 = 10;

/// The longest pause between two of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

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
    let sight = inner.sight(&place, &access);
    let watch =
        Watch { rule: Some(rule), _permit: Some(permit), ..Watch::new(inner, place, access, version) };
    events(Watch { query, sight, ..watch }).await
}

/// The host's own watch of one object.
pub(super) async fn one(
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
    /// The manifest's; absent for the host's own.
    rule: Option<usize>,
    query: Query,
    sight: Sight,
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
            sight: Sight::WithoutData,
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
            // One event after the other: parsed they are larger than what has arrived.
            while let Some(line) = self.lines.next() {
                self.failures = 0;
                if let Some(event) = self.event(&line)? {
                    self.partial.set(self.lines.begun())?;
                    return Ok(event);
                }
            }
            self.partial.set(self.lines.begun())?;
            match self.read().await {
                Some(Ok(())) => {}
                Some(Err(error)) => return Err(error),
                None => self.reconnect().await?,
            }
        }
    }

    /// Takes in what the connection has next; `None` once it is over.
    async fn read(&mut self) -> Option<Result<(), ApiError>> {
        let body = self.body.as_mut()?;
        let Ok(Some(Ok(frame))) = timeout(SILENCE, body.frame()).await else {
            // Ended, broken or silent: all mean to ask again from the last version.
            self.body = None;
            return None;
        };
        let Ok(data) = frame.into_data() else { return Some(Ok(())) };
        Some(self.take_in(data))
    }

    fn take_in(&mut self, data: Bytes) -> Result<(), ApiError> {
        self.inner.meter.bytes(data.len())?;
        let limit = self.inner.meter.limits().response.min(MAX_EVENT_BYTES);
        if self.lines.begun().saturating_add(data.len()) > limit && !data.contains(&b'\n') {
            return Err(Meter::too_large(limit, &format!("one event of {}", self.place.words())));
        }
        self.lines.push(data);
        Ok(())
    }

    /// None for what only says how far the watch is.
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
                return Err(answered(
                    code.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
                    object.to_string().as_bytes(),
                    Some(&self.access),
                    &self.place.words(),
                    self.inner.words(&self.place),
                ));
            }
        };
        self.advance(&object);
        typed(&mut object, &self.place.served, self.sight);
        Ok(Some(Event { kind, object }))
    }

    fn advance(&mut self, object: &Value) {
        let version = object.pointer("/metadata/resourceVersion").and_then(Value::as_str);
        if let Some(version) = version.and_then(|text| ResourceVersion::parse(text).ok()) {
            self.version = version;
        }
    }

    /// Asks again from the last version, slower each time it does not help.
    async fn reconnect(&mut self) -> Result<(), ApiError> {
        loop {
            if self.opened.elapsed() < Duration::from_secs(1) || self.failures > 0 {
                let pause = Duration::from_millis(250 << self.failures.min(MAX_FAILURES));
                sleep(pause.min(LONGEST_PAUSE)).await;
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

/// What a watch holds of events that have not ended, counted among all watches of the run.
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
        let _given_back = self.set(0);
    }
}

/// Whether to retry a watch that was open before. Right after a restart, an API server answers 403 until it has
/// loaded its RBAC roles, and 404 until it has loaded its custom resource definitions.
fn is_retryable(code: ErrorCode) -> bool {
    code.may_pass() || matches!(code, ErrorCode::Forbidden | ErrorCode::NotFound)
}

/// Whole lines out of chunks. Lines within a chunk are not copied.
#[derive(Default)]
struct Lines {
    /// The beginning of a line whose end has not come.
    begun: BytesMut,
    /// What is left of the last chunk.
    chunk: Bytes,
}

impl Lines {
    /// Takes the next chunk, once [`next`](Self::next) has none of the last.
    fn push(&mut self, chunk: Bytes) {
        self.chunk = chunk;
    }

    fn begun(&self) -> usize {
        self.begun.len()
    }

    fn next(&mut self) -> Option<Bytes> {
        loop {
            let Some(end) = memchr::memchr(b'\n', &self.chunk) else {
                self.begun.extend_from_slice(&std::mem::take(&mut self.chunk));
                return None;
            };
            let mut line = self.chunk.split_to(end);
            self.chunk.advance(1);
            if !self.begun.is_empty() {
                self.begun.extend_from_slice(&line);
                line = std::mem::take(&mut self.begun).freeze();
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
        fn lines_are_the_same_however_they_arrive(
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
