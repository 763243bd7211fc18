//! Container logs, byte for byte.
//!
//! # Following
//!
//! A followed log is resumed after its connection ends. It is the log of *one run* of a container: each of its lines is
//! emitted once and in order, however often the API server, a proxy or the kubelet drops the connection, and it ends
//! when the run does. For that the host requests timestamps, and removes them again.
//!
//! After a break the log is requested since a moment before the last line that was emitted. The server truncates that
//! time to a second, so known lines come again. And the response does not contain which run it is of: the kubelet serves
//! the next run's log as soon as it knows of that run, and updates the pod's status afterwards, which may take seconds.
//! So the last line is the proof: **lines of a new connection are held back until the last emitted line was found in
//! it.** If it is missing, it is searched in the log of the previous run. The kubelet starts to call a run the previous
//! one when it calls the next one current, so there is no gap between the two. If the last line is there, the container
//! was restarted, and what follows it is the rest of the run.
//!
//! Only if it is in neither log is the pod's status used, after it has been the same for longer than it can lag.
//! This is so when the last line was rotated away, and when there is no last line because the connection broke before
//! the first one. A run without lines is identified by its restart count, which is recorded after half a second of
//! silence.
//!
//! What is no longer available cannot be emitted:
//!
//! - lines that were rotated away while there was no connection. This goes unnoticed;
//! - the rest of a run after two restarts, or of a pod that is gone. The log then fails with the error of the broken
//!   connection, as it may be incomplete.
//!
//! A connection that ends cleanly is the end of the log if the pod's status then reports the run as over.
//!
//! # States
//!
//! [`Follower`] makes all decisions, and [`Log`] carries them out. In every state a request that fails temporarily is
//! retried, with growing pauses and up to ten times in a row. So is a request that is no longer permitted, as an API
//! server answers 403 after a restart until it has loaded its RBAC roles. Any other failure that is not in the table
//! fails the log.
//!
//! | state | action | event | next state |
//! |---|---|---|---|
//! | Reading | read the current log | lines | Reading: emit them, or hold them back until the last line is found |
//! | | | newer lines, a timeout or the end instead of the last line | OpeningPrevious |
//! | | | timeout before the first line ever | Identifying |
//! | | | end | Ended |
//! | | | break, or silence for five minutes | Reconnecting |
//! | Identifying | get the pod's status | any | Reading: record the restart count |
//! | Ended | get the pod's status | run in progress | Reconnecting |
//! | | | run over, pod gone, or not permitted | Done |
//! | | | temporary failure | Reconnecting |
//! | Reconnecting | open the current log | opened | Reading; OpeningPrevious if there is no last line |
//! | | | not available | OpeningPrevious |
//! | OpeningPrevious | open the previous log | opened | Searching; Deciding if there is no last line |
//! | | | not available | Deciding |
//! | Searching | read the previous log | last line | Draining |
//! | | | newer lines or the end instead | Deciding |
//! | | | break | OpeningPrevious |
//! | Deciding | get the pod's status | run is the current one | Deciding, until this is certain; then Reading: emit what was held back |
//! | | | run is the previous one | OpeningRest |
//! | | | run or pod is gone | Done |
//! | | | not permitted | Reading, or Done if the previous log has newer lines |
//! | OpeningRest | open the previous log | opened | Draining |
//! | | | not available | Done |
//! | Draining | read the previous log | lines of the run | Draining: emit them |
//! | | | end | Done |
//! | | | break | OpeningRest |
//!
//! The connection to the current log stays open, unread, while the previous one is searched and the status is read. So
//! what they show also holds for the earlier time at which that connection was made.

mod follower;
mod position;
mod removed;
mod run;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _};
use http::Method;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kf_core::api::{ApiError, ByteStream, ErrorCode, LogOptions};
use kf_core::grants::Verb;
use kf_core::names::ContainerName;
use kf_core::request::{Place, Reference, Request};
use kf_core::url::Query;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use self::follower::{Action, Event, Follower, Run};
use self::run::Status;
use super::Inner;
use crate::connection::broken_stream;

impl Inner {
    pub(super) async fn log(
        self: &Arc<Self>,
        namespace: Option<String>,
        pod: String,
        options: LogOptions,
    ) -> Result<ByteStream, ApiError> {
        let pod = self.place(Reference::pod(namespace.as_deref(), &pod)?).await?;
        let request = Request::log(&pod)?;
        query(&options)?;
        let rule = self.check(&request)?;
        let place = request.place;
        let permit = self.meter.stream()?;
        let resumes = options.follow && !options.previous && !options.timestamps;
        let mut log = Log {
            inner: Arc::clone(self),
            pod,
            place,
            rule,
            options: LogOptions { timestamps: resumes || options.timestamps, ..options },
            follower: Follower::new(resumes),
            current: None,
            previous: None,
            broken: None,
            refused: None,
            _permit: permit,
        };
        let (pod, options) = (log.pod.clone(), log.options.clone());
        log.current = match log.connect(&options).await {
            Err(error) => return Err(self.or_removed(&pod, options.container.as_deref(), error).await),
            connected => Some(connected?),
        };
        let action = log.follower.action();
        let chunks = stream::unfold(Some((log, action)), |state| async move {
            let (mut log, mut action) = state?;
            loop {
                let event = match action {
                    Action::Finish => return None,
                    Action::Fail => return Some((Err(log.error()), None)),
                    action => log.run(action).await,
                };
                let chunk;
                (chunk, action) = log.follower.on(event);
                if !chunk.is_empty() {
                    log.broken = None;
                    return Some((Ok(chunk), Some((log, action))));
                }
            }
        });
        let inner = Arc::clone(self);
        let is_removed =
            move |id: String| async move { inner.has_ended(&pod, options.container.as_deref(), &id).await };
        Ok(removed::checked(chunks.boxed(), is_removed))
    }

    /// Replaces the error if it is the kubelet's message about a removed container.
    async fn or_removed(&self, pod: &Place, container: Option<&str>, error: ApiError) -> ApiError {
        match removed::container_in(error.message.as_bytes()) {
            Some(id) if self.has_ended(pod, container, id).await => removed::error(),
            _ => error,
        }
    }

    /// Whether this run of the container has ended, according to the pod's status; false if it cannot be read.
    async fn has_ended(&self, pod: &Place, container: Option<&str>, id: &str) -> bool {
        self.read_pod(pod).await.is_ok_and(|pod| removed::has_ended(&pod, container, id))
    }

    /// Reads a pod as the host, not on behalf of the command.
    async fn read_pod(&self, pod: &Place) -> Result<Value, ApiError> {
        let (access, target) = (pod.access(Verb::Get), pod.object());
        let call = self.call(pod, access, None, Method::GET, &target, &Query::default())?;
        self.json(&call).await
    }
}

/// Carries out what the follower decides.
struct Log {
    inner: Arc<Inner>,
    pod: Place,
    place: Place,
    rule: usize,
    /// The options of the first request.
    options: LogOptions,
    follower: Follower,
    current: Option<Body>,
    previous: Option<Body>,
    /// The error of the last connection that broke, until the log is resumed.
    broken: Option<ApiError>,
    /// The error of the last request, if it failed.
    refused: Option<ApiError>,
    _permit: OwnedSemaphorePermit,
}

impl Log {
    async fn run(&mut self, action: Action) -> Event {
        let done = match action {
            Action::Read { run, timeout: limit } => {
                let read = self.read(run);
                match limit {
                    None => Ok(read.await),
                    Some(limit) => Ok(timeout(limit, read).await.unwrap_or(Event::TimedOut)),
                }
            }
            Action::Connect { run, since } => self.reconnect(run, since).await,
            Action::GetStatus => self.status().await,
            Action::Pause(pause) => {
                sleep(pause).await;
                Ok(Event::Resumed)
            }
            Action::Finish | Action::Fail => Ok(Event::Resumed),
        };
        match done {
            Ok(event) => {
                self.refused.take_if(|_| !matches!(event, Event::Resumed));
                event
            }
            Err(error) => Event::Refused(self.refused.insert(error).code),
        }
    }

    async fn read(&mut self, run: Run) -> Event {
        let connection = match run {
            Run::Current => &mut self.current,
            Run::Previous => &mut self.previous,
        };
        while let Some(body) = connection {
            match body.frame().await {
                None => *connection = None,
                Some(Err(error)) => {
                    *connection = None;
                    self.broken = Some(broken_stream(&error));
                    return Event::Broken;
                }
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Event::Data(data);
                    }
                }
            }
        }
        Event::Ended
    }

    async fn reconnect(&mut self, run: Run, since: Option<Timestamp>) -> Result<Event, ApiError> {
        let mut options = self.options.clone();
        if let Some(since) = since {
            options.since = u64::try_from(since.as_millisecond()).ok();
            options.tail_lines = None;
        }
        if run == Run::Previous {
            (options.follow, options.previous) = (false, true);
        }
        let body = Some(self.connect(&options).await?);
        match run {
            Run::Current => self.current = body,
            Run::Previous => self.previous = body,
        }
        Ok(Event::Connected)
    }

    async fn connect(&mut self, options: &LogOptions) -> Result<Body, ApiError> {
        let access = self.place.access(Verb::Get);
        let (target, query) = (self.place.object(), query(options)?);
        let call = self.inner.call(&self.place, access, Some(self.rule), Method::GET, &target, &query)?;
        Ok(self.inner.stream(&call).await?.into_body())
    }

    async fn status(&mut self) -> Result<Event, ApiError> {
        let pod = self.inner.read_pod(&self.pod).await?;
        Ok(Event::Status(Status::of(&pod, self.options.container.as_deref())))
    }

    /// The error of the broken connection takes precedence over those of later requests.
    fn error(&mut self) -> ApiError {
        let error = self.broken.take().or_else(|| self.refused.take());
        error.unwrap_or_else(|| {
            ApiError::new(ErrorCode::NotFound, "the rest of the log is no longer available")
        })
    }
}

fn query(options: &LogOptions) -> Result<Query, ApiError> {
    let mut query = Query::default();
    if let Some(container) = &options.container {
        query.set("container", ContainerName::parse(container.as_str())?);
    }
    for (key, set) in
        [("follow", options.follow), ("previous", options.previous), ("timestamps", options.timestamps)]
    {
        if set {
            query.set(key, true);
        }
    }
    if let Some(since) = options.since {
        let time = i64::try_from(since).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        let time = time.ok_or_else(|| ApiError::invalid(format!("invalid time: {since} ms since 1970")))?;
        query.set("sinceTime", time);
    }
    if let Some(lines) = options.tail_lines {
        query.set("tailLines", lines);
    }
    Ok(query)
}
