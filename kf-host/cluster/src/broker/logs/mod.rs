//! Logs, as the bytes they are.
//!
//! A log that is followed outlives its connection. The host asks for the time of every line and
//! takes it off again; when the API server, a proxy or the kubelet breaks off, it asks from the
//! last line on, and a reader sees every line once. It ends when the container's run does: the log
//! of the next run is another log.

mod stamps;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use http::Method;
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use kf_core::api::{ApiError, ByteStream, ErrorCode, Kind, LogOptions, Reach};
use kf_core::grants::Verb;
use kf_core::names::{ContainerName, ObjectName, Subresource};
use kf_core::url::Query;
use kube::client::Body;
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{sleep, timeout};

use self::stamps::Stamps;
use super::Inner;
use super::calls::Place;
use crate::connection::broken_stream;

/// Connections in a row that may fail before the log does: half a minute, in which an API server can
/// be started again.
const MOST_FAILURES: u32 = 10;

/// The longest pause between two of them.
const LONGEST_PAUSE: Duration = Duration::from_secs(4);

/// Silence after which a connection may be dead without anybody saying so.
const SILENCE: Duration = Duration::from_secs(300);

/// How long lines are held back that may have been passed on before.
const HOLD: Duration = Duration::from_secs(2);

/// A pod's status tells of a restart a second or so after the kubelet has the new log, on a busy node more: how
/// often it is looked at before lines that do not go on from the last one count as the same run's, and how far
/// apart.
const LOOKS: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(500);

impl Inner {
    pub(super) async fn log(
        self: &Arc<Self>,
        namespace: Option<String>,
        pod: String,
        options: LogOptions,
    ) -> Result<ByteStream, ApiError> {
        let name = ObjectName::parse(pod)?;
        let pods = Kind { group: String::new(), version: None, kind: "Pod".into() };
        let pod = self.place(&pods, namespace.as_deref(), Reach::Namespaced, None).await?;
        let pod = Place { name: Some(name), ..pod };
        let place = Place { subresource: Some(Subresource::parse("log")?), ..pod.clone() };
        query(&options)?;
        let rule = self.check(&place.access(self, Verb::Get))?;
        let permit = self.meter.stream()?;
        let stamps = (options.follow && !options.previous && !options.timestamps).then(Stamps::default);
        let mut log = Log {
            inner: Arc::clone(self),
            pod,
            place,
            rule,
            options,
            stamps,
            body: None,
            ready: VecDeque::new(),
            heard: false,
            run: Run::GoesOn,
            _permit: permit,
        };
        log.connect(None, Run::GoesOn).await?;
        let chunks = stream::unfold(Some(log), |log| async move {
            let mut log = log?;
            match log.next().await {
                Ok(Some(chunk)) => Some((Ok(chunk), Some(log))),
                Ok(None) => None,
                Err(error) => Some((Err(error), None)),
            }
        });
        Ok(chunks.boxed())
    }
}

struct Log {
    inner: Arc<Inner>,
    pod: Place,
    place: Place,
    rule: usize,
    options: LogOptions,
    /// Present where the log can be gone on with.
    stamps: Option<Stamps>,
    body: Option<Body>,
    ready: VecDeque<Vec<u8>>,
    /// The connection has brought something.
    heard: bool,
    /// What became of the run when the connection was made. Of one that does not go on comes what is left.
    run: Run,
    _permit: OwnedSemaphorePermit,
}

/// What a connection came to.
enum Read {
    Data(Vec<u8>),
    /// Lines, and then silence, where the last line of the connection before should have been.
    Lost,
    /// By itself, as far as HTTP can tell.
    Ended,
    Broke(ApiError),
}

impl Log {
    /// Asks for the log of a run that goes on, or for what is left of one that does not.
    async fn connect(&mut self, since: Option<Timestamp>, run: Run) -> Result<(), ApiError> {
        self.run = run;
        let mut options = self.options.clone();
        options.follow &= run == Run::GoesOn;
        options.previous |= run == Run::Restarted;
        if self.stamps.is_some() {
            options.timestamps = true;
        }
        if let Some(since) = since {
            options.since = u64::try_from(since.as_millisecond()).ok();
            options.tail_lines = None;
        }
        let access = self.place.access(&self.inner, Verb::Get);
        let (target, query) = (self.place.object(), query(&options)?);
        let call = self.inner.call(&self.place, access, Some(self.rule), Method::GET, &target, &query)?;
        self.body = Some(self.inner.stream(&call).await?.into_body());
        self.heard = false;
        Ok(())
    }

    async fn next(&mut self) -> Result<Option<Vec<u8>>, ApiError> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Ok(Some(chunk));
            }
            if self.body.is_none() {
                return Ok(None);
            }
            match self.read().await {
                Read::Data(data) => {
                    self.take(&data);
                    if self.stamps.as_ref().is_some_and(Stamps::is_lost) {
                        self.find().await?;
                    }
                }
                Read::Lost => self.find().await?,
                Read::Ended if self.is_over() && self.stamps.as_ref().is_some_and(Stamps::holds) => {
                    self.find().await?;
                }
                Read::Ended if !self.can_go_on() || self.is_over() => self.end(),
                Read::Ended => self.go_on(None).await?,
                Read::Broke(error) if !self.can_go_on() => return Err(error),
                Read::Broke(error) => self.go_on(Some(error)).await?,
            }
        }
    }

    fn is_over(&self) -> bool {
        self.run != Run::GoesOn
    }

    fn can_go_on(&self) -> bool {
        self.stamps.as_ref().is_some_and(Stamps::are_there)
    }

    fn take(&mut self, data: &[u8]) {
        self.heard = true;
        let chunk = match &mut self.stamps {
            Some(stamps) => stamps.take(data),
            None => data.to_vec(),
        };
        if !chunk.is_empty() {
            self.ready.push_back(chunk);
        }
    }

    fn end(&mut self) {
        self.body = None;
        if let Some(stamps) = &mut self.stamps {
            let left = [stamps.give_up(), stamps.rest()].concat();
            if !left.is_empty() {
                self.ready.push_back(left);
            }
        }
    }

    async fn read(&mut self) -> Read {
        loop {
            let Some(body) = &mut self.body else { return Read::Ended };
            let holds = self.stamps.as_ref().is_some_and(Stamps::holds);
            let frame = match &self.stamps {
                None => body.frame().await,
                Some(_) => match timeout(if holds { HOLD } else { SILENCE }, body.frame()).await {
                    Ok(frame) => frame,
                    Err(_) if holds => return Read::Lost,
                    Err(_) => return Read::Broke(broken_stream(&"nothing was heard for five minutes")),
                },
            };
            match frame {
                None => return Read::Ended,
                Some(Err(error)) => return Read::Broke(broken_stream(&error)),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Read::Data(data.to_vec());
                    }
                }
            }
        }
    }

    /// The connection is over. The log goes on if the container's run does.
    async fn go_on(&mut self, broken: Option<ApiError>) -> Result<(), ApiError> {
        let mut failures = 0;
        loop {
            // A run that goes on is not asked about too often, and one that has just begun may not
            // have said anything yet.
            if failures > 0 || !self.heard {
                sleep(Duration::from_millis(250 << failures).min(LONGEST_PAUSE)).await;
            }
            failures += 1;
            match self.try_to_go_on(broken.is_some()).await {
                Ok(()) => return Ok(()),
                Err(error) if failures < MOST_FAILURES && error.code.may_pass() => {}
                // That it broke is the news; that it cannot be mended is not.
                Err(error) => return Err(broken.unwrap_or(error)),
            }
        }
    }

    async fn try_to_go_on(&mut self, broken: bool) -> Result<(), ApiError> {
        let run = match self.look().await {
            Ok(run) => run,
            // Who may not see the pod has only the connection's word.
            Err(error) if error.code == ErrorCode::Forbidden && broken => Run::GoesOn,
            Err(error) if error.code == ErrorCode::Forbidden => Run::Ended,
            Err(error) if error.code == ErrorCode::NotFound && !broken => Run::Ended,
            Err(error) => return Err(error),
        };
        if run == Run::Gone || (!broken && run != Run::GoesOn) {
            self.end();
            return Ok(());
        }
        let Some(since) = self.stamps.as_mut().and_then(Stamps::resume) else {
            return Err(broken_stream(&"this log has no times to go on from"));
        };
        self.connect_to_run(since, run).await
    }

    /// What is left of a run that has ended may be gone by now.
    async fn connect_to_run(&mut self, since: Option<Timestamp>, run: Run) -> Result<(), ApiError> {
        match self.connect(since, run).await {
            Err(error) if self.is_over() && !error.code.may_pass() => {
                self.end();
                Ok(())
            }
            connected => connected,
        }
    }

    /// The last line is not there any more. Either it was rotated away, and what came is new; or the pod's
    /// status was behind when the connection was made, and this is the next run's log.
    async fn find(&mut self) -> Result<(), ApiError> {
        for look in 1..=LOOKS {
            match self.look().await {
                Ok(Run::Restarted) if self.run != Run::Restarted => {
                    let since = self.stamps.as_mut().and_then(Stamps::resume).flatten();
                    return self.connect_to_run(since, Run::Restarted).await;
                }
                Ok(Run::Gone) => {
                    self.stamps.as_mut().and_then(Stamps::resume);
                    self.end();
                    return Ok(());
                }
                Ok(Run::GoesOn | Run::Ended) if look < LOOKS => sleep(LOOK_PAUSE).await,
                _ => break,
            }
        }
        if let Some(stamps) = &mut self.stamps {
            self.ready.push_back(stamps.give_up());
        }
        Ok(())
    }

    /// The host's own look at the pod: what became of the run.
    async fn look(&mut self) -> Result<Run, ApiError> {
        let access = self.pod.access(&self.inner, Verb::Get);
        let target = self.pod.object();
        let call = self.inner.call(&self.pod, access, None, Method::GET, &target, &Query::default())?;
        let pod = self.inner.json(&call).await?;
        let first = self.stamps.as_ref().and_then(Stamps::first);
        let last = self.stamps.as_ref().and_then(Stamps::last);
        Ok(run_of(&pod, self.options.container.as_deref(), first, last))
    }
}

/// What became of the run whose log was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Run {
    GoesOn,
    Ended,
    /// Another one has begun; its log is another.
    Restarted,
    /// Another one has begun and ended, and what the last one said is not kept any longer.
    Gone,
}

/// `first` and `last` are when the lines were written that have been read. A pod tells its times in whole
/// seconds, and the last line may have come in the very second of a restart; but the run before it has
/// ended before the first line of the one that goes on.
fn run_of(pod: &Value, container: Option<&str>, first: Option<Timestamp>, last: Option<Timestamp>) -> Run {
    let lists = ["containerStatuses", "initContainerStatuses", "ephemeralContainerStatuses"];
    let mut statuses =
        lists.iter().filter_map(|list| pod.pointer(&format!("/status/{list}"))?.as_array()).flatten().filter(
            |status| container.is_none_or(|name| status.get("name").is_some_and(|have| have == name)),
        );
    let Some(status) = statuses.next() else { return Run::Ended };
    let time = |pointer: &str| status.pointer(pointer)?.as_str()?.parse::<Timestamp>().ok();
    let is_after = |time: Option<Timestamp>, line: Option<Timestamp>| {
        time.zip(line).is_some_and(|(time, line)| time.as_second() > line.as_second())
    };
    let is = |state: &str| status.pointer(&format!("/state/{state}")).is_some();
    if !is("running") && !is("terminated") {
        let began_before = time("/lastState/terminated/startedAt");
        return if is_after(began_before, last) { Run::Gone } else { Run::Ended };
    }
    let began = time("/state/running/startedAt").or_else(|| time("/state/terminated/startedAt"));
    let ended_before = time("/lastState/terminated/finishedAt");
    if is_after(began, last) || is_after(ended_before, first) {
        Run::Restarted
    } else if is("running") {
        Run::GoesOn
    } else {
        Run::Ended
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
        let time = time.ok_or_else(|| ApiError::invalid(format!("{since} ms is no time of ours")))?;
        query.set("sinceTime", time);
    }
    if let Some(lines) = options.tail_lines {
        query.set("tailLines", lines);
    }
    Ok(query)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_is_told_from_the_next_by_when_they_began_and_ended() {
        let pod = |status: Value| {
            let mut status = status;
            status["name"] = json!("main");
            json!({"status": {"containerStatuses": [status]}})
        };
        let at = |time: &str| format!("2026-01-01T12:00:{time}Z").parse::<Timestamp>().ok();
        let running = |began: &str, ended_before: Option<&str>| {
            let mut status =
                json!({"state": {"running": {"startedAt": format!("2026-01-01T12:00:{began}Z")}}});
            if let Some(ended) = ended_before {
                status["lastState"] =
                    json!({"terminated": {"finishedAt": format!("2026-01-01T12:00:{ended}Z")}});
            }
            pod(status)
        };
        let run = |pod: &Value, first, last| run_of(pod, Some("main"), first, last);
        assert_eq!(run(&running("00", None), at("00.1"), at("05.5")), Run::GoesOn);
        // The first line may be written before the runtime has noted the begin.
        assert_eq!(run(&running("01", None), at("00.9"), at("05.5")), Run::GoesOn);
        assert_eq!(run(&running("06", Some("05")), at("00.1"), at("05.5")), Run::Restarted);
        // Within a second of its last line the run ended and the next one began.
        assert_eq!(run(&running("05", Some("05")), at("00.1"), at("05.5")), Run::Restarted);
        assert_eq!(run(&running("05", Some("05")), at("05.6"), at("09.5")), Run::GoesOn);
        assert_eq!(run_of(&running("06", Some("05")), None, None, None), Run::GoesOn);
        let crashed = json!({"terminated": {"startedAt": "2026-01-01T12:00:06Z"}});
        assert_eq!(run(&pod(json!({"state": crashed.clone()})), at("00.1"), at("05.5")), Run::Restarted);
        let again = json!({"state": {"waiting": {}}, "lastState": crashed});
        assert_eq!(run(&pod(again), at("00.1"), at("05.5")), Run::Gone);
        for over in [json!({"terminated": {}}), json!({"waiting": {}}), json!({})] {
            assert_eq!(run(&pod(json!({"state": over})), at("00.1"), at("05.5")), Run::Ended);
        }
        assert_eq!(run_of(&running("00", None), Some("other"), at("00.1"), at("05.5")), Run::Ended);
    }
}
