//! The decisions of following a log: where to resume it, which run a connection belongs to, when it is complete.
//!
//! A pure state machine: it takes [`Event`]s and returns bytes to emit and the next [`Action`]. It does no I/O and
//! reads no clock. The state table is in the documentation of the [parent module](super).

use std::time::Duration;

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use kf_core::api::ErrorCode;

use super::position::{Lines, LogPosition};
use super::run::{Ended, RunId, State, Status, Verdict, verdict_by_lines, verdict_by_restarts};

/// Failures in a row before the log fails. With the pauses that is half a minute: enough to restart an API server.
pub(super) const MAX_FAILURES: u32 = 10;

/// The pause before the first retry. It doubles up to the maximum.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const MAX_PAUSE: Duration = Duration::from_secs(4);

/// After this time without a first line, the restart count is recorded to identify the run by.
const FIRST_LINE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long to wait for the last line in a log that contains it.
const LAST_LINE_TIMEOUT: Duration = Duration::from_secs(5);

/// After this time without data, a connection may be dead without either end knowing.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(300);

/// A pod's status lags the kubelet by the two requests of an update; if one fails, the kubelet retries after ten
/// seconds. This many reads, with the pauses between them, take longer than that.
const STATUS_READS: u32 = 7;

#[derive(Debug)]
pub(super) enum Event {
    /// The requested log was opened.
    Connected,
    /// The connection delivered this.
    Data(Bytes),
    /// It delivered nothing in the time given.
    TimedOut,
    /// It ended cleanly, as far as HTTP can tell.
    Ended,
    Broken,
    /// The status of the container, if the pod has one.
    Status(Option<Status>),
    /// A request failed.
    Refused(ErrorCode),
    /// A pause is over.
    Resumed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// Open the log of this run, since this time, or else with the caller's own options.
    Connect {
        run: Run,
        since: Option<Timestamp>,
    },
    /// Read from the connection to this run's log.
    Read {
        run: Run,
        timeout: Option<Duration>,
    },
    GetStatus,
    Pause(Duration),
    /// The log is complete.
    Finish,
    /// Lines may be missing: fail with the error of the connection that broke, or else with the last one.
    Fail,
}

/// A run as the kubelet names it. One connection to each can be open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Run {
    /// The run in progress, or the last one. It is followed.
    Current,
    /// The run before it.
    Previous,
}

/// Follows the log of one run of a container.
#[derive(Debug)]
pub(super) struct Follower {
    phase: Phase,
    /// Whether the log is resumed after its connection ends.
    resumes: bool,
    position: LogPosition,
    /// The connection to the current run's log.
    current: Option<Lines>,
    /// The connection to the previous run's log.
    previous: Option<Lines>,
    /// The run, identified while it has not written a line.
    silent: Option<RunId>,
    /// Whether identifying it was tried.
    identified: bool,
    /// Lines may be missing: a connection broke and the log has not been resumed since.
    broken: bool,
    /// Failures in a row.
    failures: u32,
    /// Connections in a row that delivered nothing new.
    idle: u32,
    /// Whether the current connection delivered something new.
    progressed: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Reading,
    Identifying,
    Ended,
    Reconnecting,
    OpeningPrevious,
    Searching,
    Deciding { previous: Previous, reads: u32 },
    OpeningRest(Rest),
    Draining(Rest),
    Done { complete: bool },
}

/// What is in the previous run's log, which lacks the last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Previous {
    /// There is no previous run.
    None,
    /// Nothing newer than the last line.
    Older,
    /// Newer lines, so the current log is not that of the run that is followed.
    Newer,
}

/// What to emit of the previous run's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// What follows the last line.
    AfterLast,
    /// All lines of these seconds.
    Whole(Option<Timestamp>, Option<Timestamp>),
    /// The lines of these seconds that are newer than the last line, which was rotated away.
    Newer(Option<Timestamp>, Option<Timestamp>),
}

impl Follower {
    /// For a log that has just been opened, with timestamps if it `resumes`.
    pub(super) fn new(resumes: bool) -> Self {
        Self {
            phase: Phase::Reading,
            resumes,
            position: LogPosition::default(),
            current: Some(Lines::new()),
            previous: None,
            silent: None,
            identified: false,
            broken: false,
            failures: 0,
            idle: 0,
            progressed: false,
        }
    }

    /// What to do now.
    pub(super) fn action(&self) -> Action {
        let since = self.position.resume_at();
        match self.phase {
            Phase::Reading => Action::Read { run: Run::Current, timeout: self.timeout() },
            Phase::Identifying | Phase::Ended | Phase::Deciding { .. } => Action::GetStatus,
            Phase::Reconnecting => Action::Connect { run: Run::Current, since },
            Phase::OpeningPrevious | Phase::OpeningRest(_) => Action::Connect { run: Run::Previous, since },
            Phase::Searching | Phase::Draining(_) => {
                Action::Read { run: Run::Previous, timeout: Some(SILENCE_TIMEOUT) }
            }
            Phase::Done { complete: true } => Action::Finish,
            Phase::Done { complete: false } => Action::Fail,
        }
    }

    /// Bytes to emit, and what to do next.
    pub(super) fn on(&mut self, event: Event) -> (Vec<u8>, Action) {
        let mut out = Vec::new();
        let pause = match (self.phase, event) {
            (Phase::Done { .. }, _) | (_, Event::Resumed) => None,
            (Phase::Reading, event) => self.read(event, &mut out),
            (Phase::Identifying, event) => self.identify(event),
            (Phase::Ended, event) => self.after_end(event),
            (Phase::Reconnecting, event) => self.reconnecting(&event),
            (Phase::OpeningPrevious, event) => self.opening_previous(&event),
            (Phase::Searching, event) => self.search(event, &mut out),
            (Phase::Deciding { previous, reads }, event) => self.decide(event, previous, reads, &mut out),
            (Phase::OpeningRest(rest), event) => self.opening_rest(&event, rest),
            (Phase::Draining(rest), event) => self.drain(event, rest, &mut out),
        };
        (out, pause.unwrap_or_else(|| self.action()))
    }

    fn timeout(&self) -> Option<Duration> {
        let current = self.current.as_ref()?;
        if !self.resumes || current.is_unstamped() {
            return None;
        }
        let seeks = current.is_seeking() && (current.has_newer() || !current.is_accepting());
        Some(match () {
            () if seeks => LAST_LINE_TIMEOUT,
            () if self.position.is_start() && !self.identified => FIRST_LINE_TIMEOUT,
            () => SILENCE_TIMEOUT,
        })
    }

    // ---- the current run's log ----

    fn read(&mut self, event: Event, out: &mut Vec<u8>) -> Option<Action> {
        let Some(current) = &mut self.current else { return self.reconnect() };
        if !self.resumes {
            match event {
                Event::Data(data) => out.extend_from_slice(&data),
                Event::Ended => self.phase = Phase::Done { complete: true },
                Event::Broken => self.phase = Phase::Done { complete: false },
                _ => {}
            }
            return None;
        }
        match event {
            Event::Data(data) => {
                *out = current.take(&data, &mut self.position);
                self.progressed |= !out.is_empty();
                self.broken &= current.is_seeking();
                if current.is_missing() { self.open_previous() } else { None }
            }
            Event::TimedOut if current.is_accepting() && current.has_newer() => {
                *out = current.release(&mut self.position);
                self.progressed = true;
                None
            }
            Event::TimedOut | Event::Ended if current.is_seeking() && !current.is_accepting() => {
                self.open_previous()
            }
            Event::TimedOut if self.position.is_start() && !self.identified => {
                self.phase = Phase::Identifying;
                None
            }
            Event::Ended => {
                *out = [current.release(&mut self.position), current.rest()].concat();
                self.progressed |= !out.is_empty();
                // A log without timestamps cannot be resumed.
                let is_unstamped = current.is_unstamped() || (self.position.is_start() && !out.is_empty());
                self.phase = if is_unstamped { Phase::Done { complete: true } } else { Phase::Ended };
                None
            }
            Event::Broken if current.is_unstamped() => {
                self.phase = Phase::Done { complete: false };
                None
            }
            Event::TimedOut | Event::Broken => {
                self.broken = true;
                self.reconnect()
            }
            _ => None,
        }
    }

    fn identify(&mut self, event: Event) -> Option<Action> {
        if let Event::Status(Some(status)) = event {
            self.silent = Some(status.id);
        }
        self.identified = true;
        self.phase = Phase::Reading;
        None
    }

    fn after_end(&mut self, event: Event) -> Option<Action> {
        match event {
            Event::Status(status) => match self.verdict(status) {
                Verdict::Current { running: true } => {
                    // A silent container that crashes over and over is common, and no reason for an error.
                    self.broken |= !self.position.is_start();
                    self.reconnect()
                }
                _ => self.finish(),
            },
            // Without the pod's status, a clean end of the connection is the end of the log.
            Event::Refused(ErrorCode::Forbidden | ErrorCode::NotFound) => self.finish(),
            // The connection may have ended because the API server did.
            Event::Refused(code) if code.is_transient() => {
                self.broken = true;
                self.phase = Phase::Reconnecting;
                self.back_off()
            }
            Event::Refused(_) => self.fail(),
            _ => None,
        }
    }

    fn reconnect(&mut self) -> Option<Action> {
        self.idle = if self.progressed { 0 } else { self.idle.saturating_add(1) };
        self.progressed = false;
        self.current = None;
        self.phase = Phase::Reconnecting;
        (self.idle > 0).then(|| pause(self.idle))
    }

    fn reconnecting(&mut self, event: &Event) -> Option<Action> {
        match event {
            Event::Connected => {
                self.failures = 0;
                self.current = Some(Lines::resumed(&self.position));
                self.phase = Phase::Reading;
                // Without a last line, nothing in the log identifies the run.
                if self.position.is_start() { self.open_previous() } else { None }
            }
            // The kubelet has just started, or the pod is gone or another one of the same name.
            Event::Refused(ErrorCode::NotFound | ErrorCode::Invalid) => {
                self.failures += 1;
                if self.failures >= MAX_FAILURES { self.fail() } else { self.open_previous() }
            }
            Event::Refused(code) => self.retry(*code),
            _ => None,
        }
    }

    // ---- which run is this? ----

    fn open_previous(&mut self) -> Option<Action> {
        self.previous = None;
        self.phase = Phase::OpeningPrevious;
        None
    }

    fn opening_previous(&mut self, event: &Event) -> Option<Action> {
        match event {
            Event::Connected if self.position.is_start() => self.start_deciding(Previous::Older),
            Event::Connected => {
                self.previous = Some(Lines::resumed(&self.position));
                self.phase = Phase::Searching;
                None
            }
            Event::Refused(ErrorCode::NotFound | ErrorCode::Invalid) => self.start_deciding(Previous::None),
            Event::Refused(code) => self.retry(*code),
            _ => None,
        }
    }

    fn search(&mut self, event: Event, out: &mut Vec<u8>) -> Option<Action> {
        let Some(previous) = &mut self.previous else { return self.open_previous() };
        let newer = if previous.has_newer() { Previous::Newer } else { Previous::Older };
        match event {
            Event::Data(data) => {
                *out = previous.take(&data, &mut self.position);
                if !previous.is_seeking() {
                    (self.failures, self.broken, self.current) = (0, false, None);
                    self.phase = Phase::Draining(Rest::AfterLast);
                    None
                } else if previous.is_missing() {
                    self.start_deciding(Previous::Newer)
                } else {
                    None
                }
            }
            Event::Ended => self.start_deciding(newer),
            Event::TimedOut | Event::Broken => {
                self.phase = Phase::OpeningPrevious;
                self.back_off()
            }
            _ => None,
        }
    }

    fn start_deciding(&mut self, previous: Previous) -> Option<Action> {
        self.identified = true;
        self.phase = Phase::Deciding { previous, reads: 0 };
        None
    }

    fn decide(&mut self, event: Event, previous: Previous, reads: u32, out: &mut Vec<u8>) -> Option<Action> {
        match event {
            Event::Status(status) => {
                let reads = reads + 1;
                // A run that was never identified is whichever run is current.
                let is_identified = !self.position.is_start() || self.silent.is_some();
                match self.verdict(status) {
                    Verdict::Current { .. }
                        if is_identified && previous != Previous::None && reads < STATUS_READS =>
                    {
                        self.phase = Phase::Deciding { previous, reads };
                        Some(pause(reads))
                    }
                    Verdict::Current { running } if previous != Previous::Newer => self.accept(running, out),
                    Verdict::Current { .. } | Verdict::Gone => self.finish(),
                    Verdict::Previous(ended) => self.open_rest(self.rest_of(ended)),
                    Verdict::MaybePrevious => self.open_rest(Rest::AfterLast),
                }
            }
            Event::Refused(ErrorCode::Forbidden) if previous != Previous::Newer => self.accept(true, out),
            Event::Refused(ErrorCode::Forbidden | ErrorCode::NotFound) => self.finish(),
            Event::Refused(code) => self.retry(code),
            _ => None,
        }
    }

    fn rest_of(&self, ended: Ended) -> Rest {
        if self.position.is_start() {
            return Rest::Whole(ended.started, ended.finished);
        }
        // The next run may have started in the second in which this one ended, and be the previous one by now.
        let before_end = |end: Timestamp| end.checked_sub(SignedDuration::from_secs(1)).ok();
        Rest::Newer(ended.started, ended.finished.and_then(before_end))
    }

    fn verdict(&mut self, status: Option<Status>) -> Verdict {
        if !self.position.is_start() {
            return verdict_by_lines(status.as_ref(), &self.position);
        }
        match (&self.silent, status) {
            (Some(run), status) => verdict_by_restarts(status.as_ref(), run),
            (None, None) => Verdict::Current { running: false },
            (None, Some(status)) => {
                let running = status.state == State::Running;
                self.silent = Some(status.id);
                Verdict::Current { running }
            }
        }
    }

    /// The current log is that of the run: its last line was rotated away, or is late.
    fn accept(&mut self, running: bool, out: &mut Vec<u8>) -> Option<Action> {
        match &mut self.current {
            Some(current) => {
                *out = current.accept(&mut self.position);
                self.progressed |= !out.is_empty();
                self.broken = false;
                self.phase = Phase::Reading;
                None
            }
            None if running => self.reconnect(),
            None => self.finish(),
        }
    }

    // ---- the rest of the run, from the previous log ----

    fn open_rest(&mut self, rest: Rest) -> Option<Action> {
        self.current = None;
        self.progressed = false;
        self.phase = Phase::OpeningRest(rest);
        None
    }

    fn opening_rest(&mut self, event: &Event, rest: Rest) -> Option<Action> {
        match event {
            Event::Connected => {
                let lines = Lines::resumed(&self.position);
                self.previous = Some(match rest {
                    Rest::AfterLast => lines,
                    Rest::Whole(first, last) | Rest::Newer(first, last) => lines.between(first, last),
                });
                self.phase = Phase::Draining(rest);
                None
            }
            Event::Refused(ErrorCode::NotFound | ErrorCode::Invalid) => self.finish(),
            Event::Refused(code) => self.retry(*code),
            _ => None,
        }
    }

    fn drain(&mut self, event: Event, rest: Rest, out: &mut Vec<u8>) -> Option<Action> {
        let Some(previous) = &mut self.previous else { return self.finish() };
        match event {
            Event::Data(data) => {
                *out = previous.take(&data, &mut self.position);
                self.verify_rest(rest, !out.is_empty());
                None
            }
            Event::Ended => {
                if previous.is_accepting() {
                    *out = previous.release(&mut self.position);
                }
                self.verify_rest(rest, !out.is_empty());
                self.finish()
            }
            Event::TimedOut | Event::Broken => {
                self.broken = true;
                self.phase = Phase::OpeningRest(if self.progressed { Rest::AfterLast } else { rest });
                self.back_off()
            }
            _ => None,
        }
    }

    /// Nothing is missing once a known line of the run was read, or its first one.
    fn verify_rest(&mut self, rest: Rest, progressed: bool) {
        if progressed {
            (self.failures, self.progressed) = (0, true);
        }
        let is_verified = self.previous.as_ref().is_some_and(|lines| match rest {
            Rest::Whole(..) => !lines.is_seeking() && !self.position.is_start(),
            Rest::AfterLast | Rest::Newer(..) => lines.has_found(),
        });
        self.broken &= !is_verified;
    }

    // ---- failures and ends ----

    /// Retries if the failure is temporary. This includes 403, which an API server returns after a restart until it has
    /// loaded its RBAC roles.
    fn retry(&mut self, code: ErrorCode) -> Option<Action> {
        if code.is_transient() || code == ErrorCode::Forbidden { self.back_off() } else { self.fail() }
    }

    fn back_off(&mut self) -> Option<Action> {
        self.failures += 1;
        if self.failures >= MAX_FAILURES { self.fail() } else { Some(pause(self.failures)) }
    }

    fn fail(&mut self) -> Option<Action> {
        self.phase = Phase::Done { complete: false };
        None
    }

    fn finish(&mut self) -> Option<Action> {
        self.phase = Phase::Done { complete: !self.broken };
        None
    }
}

fn pause(number: u32) -> Action {
    let doublings = number.saturating_sub(1).min(8);
    Action::Pause((FIRST_PAUSE * (1 << doublings)).min(MAX_PAUSE))
}
