//! The follower against a model of a node.
//!
//! The model has the runs of a container with their lines, a kubelet that notices starts and ends late, a pod status
//! that lags the kubelet, rotated files, and connections that break, end, stall and are refused. Its clock advances
//! only with what the follower waits for, so a failure repeats exactly.

use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use kf_core::api::ErrorCode;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::follower::{Action, Event, Follower, Run};
use super::run::{Ended, RunId, State, Status};

/// Nanoseconds since 1970.
type Time = i64;

const MS: Time = 1_000_000;
const SECOND: Time = 1000 * MS;
const ROUND_TRIP: Time = 5 * MS;

/// The most that a pod's status may lag the kubelet.
const MAX_LAG: Time = 15 * SECOND;

fn timestamp(time: Time) -> Timestamp {
    Timestamp::from_nanosecond(i128::from(time)).unwrap()
}

/// With the precision of a pod's status.
fn second(time: Time) -> Timestamp {
    timestamp(time / SECOND * SECOND)
}

#[derive(Clone, Debug)]
struct Line {
    written: Time,
    /// Not always in the order of the file.
    stamp: Time,
    text: String,
}

#[derive(Clone, Debug)]
struct Container {
    started: Time,
    /// When the kubelet notices the start.
    known: Time,
    lines: Vec<Line>,
    ended: Time,
    /// When the kubelet notices the end.
    known_ended: Time,
    /// When the file was rotated.
    rotated: Vec<Time>,
}

impl Container {
    fn text(&self) -> String {
        self.lines.iter().map(|line| format!("{}\n", line.text)).collect()
    }

    /// The first line in the newest file.
    fn first_line(&self, now: Time) -> usize {
        let rotated = self.rotated.iter().copied().filter(|at| *at <= now).max().unwrap_or(0);
        self.lines.iter().filter(|line| line.written < rotated).count()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    ApiServer,
    Kubelet,
    Both,
}

#[derive(Clone, Copy, Debug)]
struct Outage {
    who: Who,
    from: Time,
    to: Time,
}

/// The faults of one connection, in addition to outages.
#[derive(Clone, Copy, Debug)]
struct Faults {
    /// It breaks after this many bytes.
    bytes: Option<usize>,
    /// It stalls for this time at first.
    slow: Time,
}

#[derive(Debug)]
struct Connection {
    container: usize,
    follows: bool,
    since: Time,
    opened: Time,
    next: usize,
    pending: Vec<u8>,
    faults: Faults,
}

#[derive(Clone, Debug)]
struct Plan {
    containers: Vec<Container>,
    /// The run that is followed.
    first: usize,
    opened: Time,
    outages: Vec<Outage>,
    faults: Vec<Faults>,
    /// Whether each of the requests fails.
    failures: Vec<bool>,
    lags: Vec<Time>,
    /// A run that ended is reported as waiting for a restart.
    backs_off: bool,
    chunk: usize,
}

impl Plan {
    fn id(&self, container: usize) -> RunId {
        RunId { pod: "pod".into(), restarts: i64::try_from(container).unwrap() }
    }
}

struct Node<'p> {
    plan: &'p Plan,
    now: Time,
    faults: usize,
    requests: usize,
    lags: usize,
    /// The time of the last status, which never goes back.
    reported: Time,
    current: Option<Connection>,
    previous: Option<Connection>,
}

impl<'p> Node<'p> {
    fn new(plan: &'p Plan) -> Self {
        let mut node = Self {
            plan,
            now: plan.opened,
            faults: 0,
            requests: 0,
            lags: 0,
            reported: 0,
            current: None,
            previous: None,
        };
        node.current = Some(node.connection(plan.first, true, 0));
        node
    }

    fn outage(&self) -> Option<&Outage> {
        self.plan.outages.iter().find(|outage| (outage.from..outage.to).contains(&self.now))
    }

    /// Whether the next request fails.
    fn fails(&mut self) -> bool {
        self.requests += 1;
        self.plan.failures.get(self.requests - 1).copied().unwrap_or(false)
    }

    /// The current run in the kubelet's view, and whether it has ended.
    fn known(&self, time: Time) -> (usize, bool) {
        let frozen = self
            .plan
            .outages
            .iter()
            .find(|outage| outage.who != Who::ApiServer && (outage.from..outage.to).contains(&time));
        let time = frozen.map_or(time, |outage| outage.from);
        let containers = &self.plan.containers;
        let current = containers.iter().rposition(|container| container.known <= time).unwrap_or(0);
        (current, containers[current].known_ended <= time)
    }

    /// While a container waits to be restarted, its last run is both the current and the previous one.
    fn previous_of(&self, current: usize, ended: bool) -> Option<usize> {
        if ended && self.plan.backs_off { Some(current) } else { current.checked_sub(1) }
    }

    /// Whether the log that is followed is available.
    fn serves_log(&self) -> bool {
        let (current, ended) = self.known(self.now);
        current == self.plan.first || self.previous_of(current, ended) == Some(self.plan.first)
    }

    fn connection(&mut self, container: usize, follows: bool, since: Time) -> Connection {
        let faults = self.plan.faults.get(self.faults).copied();
        self.faults += 1;
        Connection {
            container,
            follows,
            since,
            opened: self.now,
            next: self.plan.containers[container].first_line(self.now),
            pending: Vec::new(),
            faults: faults.unwrap_or(Faults { bytes: None, slow: 0 }),
        }
    }

    fn act(&mut self, action: Action) -> Event {
        match action {
            Action::Connect { run, since } => self.connect(run, since),
            Action::Read { run, timeout } => self.read(run, timeout),
            Action::GetStatus => self.status(),
            Action::Pause(pause) => {
                self.now += nanoseconds(pause);
                Event::Resumed
            }
            Action::Finish | Action::Fail => unreachable!(),
        }
    }

    fn connect(&mut self, run: Run, since: Option<Timestamp>) -> Event {
        self.now += ROUND_TRIP;
        if self.fails() || self.outage().is_some() {
            // An API server answers 403 after a restart.
            let codes = [ErrorCode::Internal, ErrorCode::Forbidden];
            return Event::Refused(codes[usize::from(self.now % 2 == 1)]);
        }
        let since = since.map_or(0, |since| since.as_second() * SECOND);
        let (current, ended) = self.known(self.now);
        match (run, self.previous_of(current, ended)) {
            (Run::Current, _) => self.current = Some(self.connection(current, true, since)),
            (Run::Previous, None) => return Event::Refused(ErrorCode::Invalid),
            (Run::Previous, Some(previous)) => {
                self.previous = Some(self.connection(previous, false, since));
            }
        }
        Event::Connected
    }

    fn status(&mut self) -> Event {
        self.now += ROUND_TRIP;
        if self.fails() || self.outage().is_some_and(|outage| outage.who != Who::Kubelet) {
            return Event::Refused(ErrorCode::Unreachable);
        }
        let lag = self.plan.lags.get(self.lags).copied().unwrap_or(0);
        self.lags += 1;
        self.reported = self.reported.max(self.now - lag);
        let (current, ended) = self.known(self.reported);
        // The client saw the run in the status before it requested the log.
        let (current, ended) =
            if current < self.plan.first { (self.plan.first, false) } else { (current, ended) };
        let container = &self.plan.containers[current];
        let end = |container: &Container| Ended {
            started: Some(second(container.started)),
            finished: Some(second(container.ended)),
        };
        let waits = ended && self.plan.backs_off;
        let before = current.checked_sub(1).map(|before| end(&self.plan.containers[before]));
        Event::Status(Some(Status {
            id: self.plan.id(current),
            state: match () {
                () if waits => State::Waiting,
                () if ended => State::Terminated,
                () => State::Running,
            },
            started: (!waits).then(|| second(container.started)),
            last: if waits { Some(end(container)) } else { before },
        }))
    }

    fn read(&mut self, run: Run, timeout: Option<Duration>) -> Event {
        let connection = match run {
            Run::Current => &mut self.current,
            Run::Previous => &mut self.previous,
        };
        let Some(open) = connection else { return Event::Ended };
        let event = open.read(self.plan, &mut self.now, timeout);
        if matches!(event, Event::Ended | Event::Broken) {
            *connection = None;
        }
        event
    }
}

impl Connection {
    fn read(&mut self, plan: &Plan, now: &mut Time, timeout: Option<Duration>) -> Event {
        let deadline = timeout.map_or(Time::MAX, |timeout| *now + nanoseconds(timeout));
        let container = &plan.containers[self.container];
        let outage = plan.outages.iter().find(|outage| outage.from > self.opened);
        let limit = outage.map_or(Time::MAX, |outage| outage.from);
        let called = *now;
        loop {
            if self.faults.bytes == Some(0) {
                return Event::Broken;
            }
            let ready = self.opened + self.faults.slow;
            if *now >= ready {
                self.fill(container, (*now).min(limit));
                if !self.pending.is_empty() {
                    let max = self.faults.bytes.unwrap_or(usize::MAX);
                    let count = plan.chunk.min(max).min(self.pending.len());
                    self.faults.bytes = self.faults.bytes.map(|bytes| bytes - count);
                    return Event::Data(Bytes::from(self.pending.drain(..count).collect::<Vec<_>>()));
                }
                if container.ended <= (*now).min(limit) || !self.follows {
                    return Event::Ended;
                }
            }
            if *now >= limit {
                // If the kubelet becomes unavailable, the API server ends the response cleanly.
                let ends = outage.is_some_and(|outage| outage.who != Who::ApiServer) && called <= limit;
                return if ends && *now >= ready { Event::Ended } else { Event::Broken };
            }
            let next_line = container.lines.get(self.next).map(|line| line.written);
            let times = [Some(ready), next_line, Some(container.ended), Some(limit)];
            let next = times.into_iter().flatten().filter(|time| time > now).min().unwrap_or(Time::MAX);
            if next >= deadline {
                *now = deadline;
                return Event::TimedOut;
            }
            *now = next;
        }
    }

    /// Takes what the kubelet has sent by now.
    fn fill(&mut self, container: &Container, now: Time) {
        while let Some(line) = container.lines.get(self.next).filter(|line| line.written <= now) {
            self.next += 1;
            if line.stamp >= self.since {
                self.pending.extend(format!("{:.9} {}\n", timestamp(line.stamp), line.text).into_bytes());
            }
        }
    }
}

fn nanoseconds(duration: Duration) -> Time {
    Time::try_from(duration.as_nanos()).unwrap()
}

struct Outcome {
    text: String,
    complete: bool,
    /// The connection ended before the first line and before the run was identified.
    unknown: bool,
    /// The log was still available at the end, and fewer requests failed than the follower's limit.
    served: bool,
    trace: String,
}

fn follow(plan: &Plan) -> Outcome {
    use std::fmt::Write as _;

    let mut node = Node::new(plan);
    let mut follower = Follower::new(true);
    let mut out = Vec::new();
    let mut action = follower.action();
    let (mut unknown, mut has_status, mut trace) = (false, false, String::new());
    let mut failures = 0;
    for _ in 0..20_000 {
        let done = matches!(action, Action::Finish | Action::Fail);
        if done {
            let text = String::from_utf8(out).unwrap();
            let served = node.serves_log() && failures < super::follower::MAX_FAILURES;
            return Outcome { text, complete: action == Action::Finish, unknown, served, trace };
        }
        let event = node.act(action);
        match (&event, action) {
            (Event::Refused(_) | Event::Broken, _) => failures += 1,
            (Event::Connected, Action::Connect { run: Run::Current, .. }) => failures = 0,
            _ => {}
        }
        unknown |= match &event {
            Event::Ended | Event::Broken => !has_status && out.is_empty(),
            // The next run started before this one was identified.
            Event::Status(Some(status)) => !has_status && out.is_empty() && status.id != plan.id(plan.first),
            _ => false,
        };
        has_status |= matches!(event, Event::Status(_));
        let _ = writeln!(trace, "{} {action:?} -> {event:?}", timestamp(node.now));
        let chunk;
        (chunk, action) = follower.on(event);
        out.extend(chunk);
    }
    panic!("not done after 20000 steps: {plan:#?}\n{trace}");
}

/// A line: the time since the line before it, how far its timestamp goes back, and its length.
type RawLine = (Time, Time, usize);

#[derive(Clone, Debug)]
struct RawContainer {
    pause: Time,
    known: Time,
    lines: Vec<RawLine>,
    end: Time,
    known_ended: Time,
    rotated: Vec<usize>,
}

fn raw_container(rotates: bool) -> impl Strategy<Value = RawContainer> {
    let line = (
        select(vec![0, 0, 1, MS, 50 * MS, 200 * MS, 200 * MS, SECOND, 7 * SECOND]),
        prop_oneof![4 => Just(0), 1 => 1..2 * MS],
        select(vec![0, 0, 5, 30, 300]),
    );
    let delays = || select(vec![0, 0, 300 * MS, SECOND, 2 * SECOND]);
    let lines = prop_oneof![1 => vec(line.clone(), 0..3), 3 => vec(line, 0..25)];
    let rotated = if rotates { vec(0..25_usize, 0..3).boxed() } else { Just(Vec::new()).boxed() };
    let pauses = select(vec![10 * MS, 300 * MS, 1100 * MS]);
    let ends = select(vec![0, 0, 50 * MS, 900 * MS, 3 * SECOND]);
    (pauses, delays(), lines, ends, delays(), rotated).prop_map(
        |(pause, known, lines, end, known_ended, rotated)| RawContainer {
            pause,
            known,
            lines,
            end,
            known_ended,
            rotated,
        },
    )
}

/// Consecutive runs, with the kubelet's back-off of ten seconds before the second restart. If `spread`, none starts in
/// the second in which the previous one ended.
fn containers(raw: &[RawContainer], begin: Time, spread: bool) -> Vec<Container> {
    let mut all: Vec<Container> = Vec::new();
    for (number, raw) in raw.iter().enumerate() {
        let back_off = if number < 2 { 0 } else { 10 * SECOND };
        let before = all.last().map_or((begin, begin), |last| (last.ended, last.known_ended));
        let mut started = before.0 + raw.pause + back_off;
        if spread && started / SECOND == before.0 / SECOND {
            started = (started / SECOND + 1) * SECOND;
        }
        let mut written = started;
        let mut lines: Vec<Line> = Vec::new();
        for (index, (gap, back, length)) in raw.lines.iter().enumerate() {
            written += gap;
            let mut stamp = (written - back).max(started);
            // Lines of the same nanosecond are adjacent.
            let others = lines.len().saturating_sub(1);
            while lines[..others].iter().any(|line| line.stamp == stamp) {
                stamp += 1;
            }
            written = written.max(stamp);
            let text = match length {
                0 if !index.is_multiple_of(3) => String::new(),
                length => format!("run {number} line {index} {}", "x".repeat(*length)),
            };
            lines.push(Line { written, stamp, text });
        }
        let ended = written + raw.end;
        let known = before.1.max(started + raw.known);
        // Not between lines of the same nanosecond, which could not be distinguished afterwards.
        let rotates = |at: &Time| {
            let line = lines.partition_point(|line| line.written < *at);
            lines.get(line).is_none_or(|next| next.stamp != lines[line - 1].stamp)
        };
        let rotated = raw.rotated.iter().filter_map(|line| Some(lines.get(*line)?.written + 1));
        let rotated = rotated.filter(rotates).collect();
        let known_ended = (ended + raw.known_ended).max(known + MS);
        all.push(Container { started, known, lines, ended, known_ended, rotated });
    }
    all
}

prop_compose! {
    fn plan(rotates: bool)(
        raw in vec(raw_container(rotates), 1..5),
        first in prop_oneof![2 => Just(0_usize), 1 => 0..4_usize],
        begin in 0..SECOND,
        opened in select(vec![0, 0, 10, 50, 95]),
        outages in vec((-4 * SECOND..8 * SECOND, 20 * MS..8 * SECOND, select(vec![Who::ApiServer, Who::Kubelet, Who::Both])), 0..4),
        faults in vec((
            prop_oneof![Just(None), (0..400_usize).prop_map(Some)],
            prop_oneof![3 => Just(0), 1 => 0..12 * SECOND],
        ), 0..8),
        failures in vec(prop::bool::weighted(0.15), 0..20),
        crowded in any::<bool>(),
        lags in vec(prop_oneof![2 => Just(0), 2 => 0..3 * SECOND, 1 => 0..MAX_LAG], 0..30),
        backs_off in any::<bool>(),
        chunk in select(vec![1, 7, 64, 4096]),
    ) -> Plan {
        let first = first.min(raw.len() - 1);
        // Without a known line, the lines of a run are distinguished from those of the next by their second.
        let crowded = crowded && !rotates && !raw[first].lines.is_empty();
        let containers = containers(&raw, 1_700_000_000 * SECOND + begin, !crowded);
        let followed = &containers[first];
        let span = (followed.ended - followed.known).max(0);
        let mut free = followed.known;
        let mut outages: Vec<_> = outages;
        outages.sort_unstable_by_key(|(offset, ..)| *offset);
        let outages = outages.into_iter().map(|(offset, length, who)| {
            let from = (followed.ended + offset).max(free + MS);
            free = from + length + 30 * MS;
            Outage { who, from, to: from + length }
        });
        let outages: Vec<_> = outages.collect();
        let requested = followed.known + span * opened / 100;
        let is_free = outages.iter().all(|outage| !(outage.from..outage.to).contains(&requested));
        let mut opened = if is_free { requested } else { followed.known };
        let mut faults: Vec<_> = faults.into_iter().map(|(bytes, slow)| Faults { bytes, slow }).collect();
        if crowded {
            opened = opened.max(followed.lines[0].written);
            let first = Faults { bytes: faults.first().and_then(|faults| faults.bytes).map(|bytes| bytes + 40), slow: 0 };
            faults.iter_mut().take(1).for_each(|faults| *faults = first);
        }
        Plan { containers, first, opened, outages, faults, failures, lags, backs_off, chunk }
    }
}

/// Set `PROPTEST_CASES` for more.
fn config() -> ProptestConfig {
    let default = ProptestConfig::default();
    ProptestConfig {
        cases: default.cases.max(1000),
        failure_persistence: None,
        max_shrink_iters: 20_000,
        ..default
    }
}

proptest! {
    #![proptest_config(config())]

    /// Each line once and in order, none of another run, and all of them, unless the log is no longer available: then it
    /// fails.
    #[test]
    fn log_across_breaks_and_restarts_has_each_line_once_and_in_order(plan in plan(false)) {
        let outcome = follow(&plan);
        let runs = || plan.containers[plan.first..].iter().map(Container::text);
        let expected = match outcome.unknown {
            false => runs().next(),
            true => runs().find(|text| text.starts_with(&outcome.text)),
        };
        let expected = expected.unwrap_or_default();
        prop_assert!(
            expected.starts_with(&outcome.text),
            "{:?} is not of {expected:?}:\n{}", outcome.text, outcome.trace
        );
        let is_complete = outcome.text == expected;
        prop_assert!(
            match (outcome.unknown, outcome.served) {
                (true, _) => true,
                // It cannot be proved that a run wrote nothing.
                (_, true) => is_complete && (outcome.complete || expected.is_empty()),
                (_, false) => !outcome.complete || is_complete || outcome.text.is_empty(),
            },
            "{:?} of {expected:?}, complete: {}, served: {}\n{}",
            outcome.text, outcome.complete, outcome.served, outcome.trace
        );
    }

    /// With rotation, lines may be missing that were rotated away while there was no connection.
    #[test]
    fn rotated_log_across_breaks_and_restarts_has_no_line_twice(plan in plan(true)) {
        let outcome = follow(&plan);
        if outcome.unknown {
            return Ok(());
        }
        let mut expected = plan.containers[plan.first].lines.iter();
        for line in outcome.text.lines() {
            let is_next = expected.any(|next| next.text.starts_with(line));
            prop_assert!(is_next, "{line:?} in {:?}\n{}", outcome.text, outcome.trace);
        }
    }
}
