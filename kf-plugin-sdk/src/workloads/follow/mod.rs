//! Following a workload until it ends, optionally with its logs.

mod all;
mod choice;
mod streams;

pub use all::{MAX_FOLLOWED, follow_all};
pub use choice::LogChoice;

use std::collections::BTreeMap;
use std::time::Duration;

use streams::Streams;

use super::failure::{FailureLog, Failures};
use super::katib::is_suggestion;
use super::permanent::is_permanent;
use super::verdict::{NO_PODS, refusal};
use super::{
    Events, Outcome, PodState, State, Verdict, Workload, WorkloadKind, outcome, own_experiments, pod_state,
};
use crate::abi::Pollable;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::objects::{Change, Object, Reflector};
use crate::ui::Progress;

/// The interval at which events are refreshed while no pod is running, as they arrive without a change of the pod.
const REFRESH_INTERVAL: Duration = Duration::from_secs(5);

/// Why following stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The workload ended.
    Ended(Outcome),
    /// The workload is stopped, so it will not have any pods.
    Stopped,
    /// All requested logs have been printed; the workload may still be running.
    Printed,
    /// There are no logs yet, and they are not followed; see [`Follow::why`].
    NotStarted,
    /// The workload was deleted.
    Deleted,
}

/// Follows a workload until it ends.
pub struct Follow<'a> {
    kf: &'a Kf,
    component: Workload,
    streams: Option<Streams>,
    ranks: Option<i64>,
    pods: BTreeMap<String, Object>,
    /// The trials of an experiment that `kf tune` runs itself, which has no object on the server.
    trials: BTreeMap<String, Object>,
    events: Events,
    /// The Kueue workloads, while the workload is queued.
    queue: Vec<Object>,
    failures: Failures,
    deleted: bool,
    /// The last note about what is waited for, printed if no progress is shown.
    last_note: String,
}

impl<'a> Follow<'a> {
    /// Follows a workload without logs.
    pub fn new(kf: &'a Kf, component: Workload) -> Self {
        Self {
            kf,
            component,
            streams: None,
            ranks: None,
            pods: BTreeMap::new(),
            trials: BTreeMap::new(),
            events: Events::default(),
            queue: Vec::new(),
            failures: Failures::default(),
            deleted: false,
            last_note: String::new(),
        }
    }

    /// Also copies logs to stdout.
    #[must_use]
    pub fn with_logs(mut self, choice: LogChoice) -> Self {
        self.streams = Some(Streams::new(choice));
        self
    }

    /// Sets the expected number of ranks. By default it is read from the spec of the workload or its job set.
    #[must_use]
    pub fn with_ranks(mut self, ranks: i64) -> Self {
        self.ranks = Some(ranks);
        self
    }

    /// Returns the workload as it was last seen.
    pub fn component(&self) -> &Workload {
        &self.component
    }

    /// Iterates over its pods as they were last seen.
    pub fn pods(&self) -> impl Iterator<Item = &Object> {
        self.pods.values().filter(|pod| !is_suggestion(pod))
    }

    /// Returns the end of the log of the pod that failed first, if one failed.
    pub fn failure_log(&self) -> Option<&FailureLog> {
        self.failures.failure_log()
    }

    /// Returns whether any log has been copied.
    pub fn has_printed(&self) -> bool {
        self.streams.as_ref().is_some_and(Streams::has_printed)
    }

    /// Returns messages about logs of ended pods that are no longer available.
    pub fn lost_logs(&self) -> &[String] {
        self.streams.as_ref().map(Streams::lost).unwrap_or_default()
    }

    /// Returns why it is not running, if that can be determined. Needs one or a few calls.
    pub fn why(&self) -> Option<String> {
        let mut verdict = self.verdict();
        verdict.investigate(self.kf, &self.events);
        verdict.why
    }

    /// Returns its state as it was last seen.
    pub fn verdict(&self) -> Verdict {
        let pods: Vec<_> = self.pods.values().cloned().collect();
        self.component.judge_queued(&pods, &self.queue, &self.events)
    }

    /// Blocks until the workload has ended and its logs have been copied.
    pub fn run(&mut self) -> Result<Stop> {
        let mut watches = self.begin()?;
        loop {
            if let Some(stop) = self.poll(&mut watches)? {
                return Ok(stop);
            }
            let changes = self.changes(&watches);
            let ready = self.kf.wait(&changes.iter().collect::<Vec<_>>());
            if ready.is_empty() {
                return Err(self.timed_out());
            }
            self.handle(&mut watches, &ready)?;
        }
    }

    /// Lists the workload and its pods, and starts watching them.
    fn begin(&mut self) -> Result<Watches> {
        self.ranks = self.count_ranks();
        if let Some(streams) = &self.streams {
            streams.choice.check_rank(&self.component, self.ranks)?;
        }
        let (itself, component) = Reflector::open(self.kf, self.component.selection(self.kf))?;
        self.apply_component(vec![Change::All(itself)]);
        let (found, pods) = Reflector::open(self.kf, self.component.pod_selection(self.kf))?;
        self.apply_pods(vec![Change::All(found)]);
        self.events = Events::read(self.kf)?;
        self.refresh_queue()?;
        let refresh_at = self.kf.now().plus(REFRESH_INTERVAL);
        Ok(Watches { component, pods, refresh_at, progress: None, waits: None })
    }

    /// Opens the logs that are due and returns the reason to stop, if there is one. Otherwise updates the progress.
    fn poll(&mut self, watches: &mut Watches) -> Result<Option<Stop>> {
        self.open_logs()?;
        if let Some(stop) = self.stop()? {
            return Ok(Some(stop));
        }
        watches.waits = match watches.lost() {
            Some(error) => Some(format!("{error}; retrying")),
            None => self.waits(),
        };
        match &watches.waits {
            Some(waits) => show_progress(self.kf, &mut watches.progress, waits),
            None => watches.progress = None,
        }
        Ok(None)
    }

    /// Returns the sources that [`Follow::handle`] handles: the watches, the timer and the ends of logs.
    fn changes(&self, watches: &Watches) -> Vec<Pollable> {
        let ends = self.streams.as_ref().map(Streams::ends).unwrap_or_default();
        let refresh = self.kf.after(watches.refresh_at.since(self.kf.now()));
        let first = [watches.component.subscribe(), watches.pods.subscribe(), refresh];
        first.into_iter().chain(ends).collect()
    }

    /// Handles the sources that are ready, by their positions in [`Follow::changes`].
    fn handle(&mut self, watches: &mut Watches, ready: &[usize]) -> Result<()> {
        // In reverse order, because closing a log moves those after it.
        for index in ready.iter().rev().filter_map(|index| index.checked_sub(3)) {
            if let Some(streams) = &mut self.streams {
                streams.close(self.kf, index)?;
            }
        }
        if ready.contains(&0) {
            self.apply_component(watches.component.changes()?);
        }
        if ready.contains(&1) {
            self.apply_pods(watches.pods.changes()?);
        }
        if ready.contains(&2) {
            // The watches already wait for an unavailable server.
            if watches.pods.lost().is_none() && !self.is_running() {
                self.refresh()?;
            }
            watches.refresh_at = self.kf.now().plus(REFRESH_INTERVAL);
            self.note_wait(watches.waits.take());
        }
        Ok(())
    }

    fn timed_out(&self) -> Error {
        Error::timed_out(format!("timed out waiting for {}", self.component.name))
    }

    fn open_logs(&mut self) -> Result<()> {
        match &mut self.streams {
            Some(streams) => streams.open_due(self.kf, &self.component, &self.pods, self.ranks),
            None => Ok(()),
        }
    }

    fn logs_are_open(&self) -> bool {
        self.streams.as_ref().is_some_and(Streams::are_open)
    }

    /// Returns the reason to stop, if there is one.
    fn stop(&mut self) -> Result<Option<Stop>> {
        if self.logs_are_open() {
            return Ok(None);
        }
        let printed = self.streams.as_ref().is_some_and(|streams| {
            // The log of a previous run is available now or never.
            let choice = &streams.choice;
            !choice.follow && (streams.has_printed() || (choice.previous && !self.pods.is_empty()))
        });
        if printed {
            return Ok(Some(Stop::Printed));
        }
        if self.deleted {
            return Ok(Some(Stop::Deleted));
        }
        if self.pods.is_empty() && !self.component.kind.ends() && self.verdict().state == State::Stopped {
            return Ok(Some(Stop::Stopped));
        }
        let Some(outcome) = outcome(&self.component.object) else {
            if let Some(failure) = self.creation_failure() {
                return Ok(Some(Stop::Ended(failure)));
            }
            let stays = self.streams.as_ref().is_none_or(|streams| streams.choice.follow);
            return Ok((!stays).then_some(Stop::NotStarted));
        };
        if self.streams.is_some() || !outcome.succeeded {
            // The end of the workload and the last changes of its pods arrive on two watches, in any order.
            match self.component.pods(self.kf) {
                Ok(pods) => self.apply_pods(vec![Change::All(pods)]),
                Err(error) if error.is_transient() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.open_logs()?;
        Ok((!self.logs_are_open()).then_some(Stop::Ended(outcome)))
    }

    /// Returns an outcome if the pods can never be created. The controller keeps retrying, and no condition says so.
    fn creation_failure(&self) -> Option<Outcome> {
        if !self.pods.is_empty() || !self.component.kind.ends() || self.component.is_held() {
            return None;
        }
        let of_jobs = || {
            let below = format!("{}-", self.component.name);
            self.events.warning_like("Job", &below, self.component.object.created())
        };
        let (reason, message) = self.events.warning(&self.component.object).or_else(of_jobs)?;
        is_permanent(message).then(|| Outcome {
            succeeded: false,
            reason: reason.to_owned(),
            message: refusal(message),
            took: None,
        })
    }

    /// Returns what is waited for; `None` while logs are open.
    fn waits(&self) -> Option<String> {
        if self.logs_are_open() {
            return None;
        }
        let name = &self.component.name;
        let why = self.verdict().why.filter(|why| why != NO_PODS);
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        if self.streams.is_none() && self.is_running() {
            // With progress and remaining time, if the runtime reports them.
            return Some(format!("{name} is running{why}"));
        }
        Some(format!("waiting for pods of {name}{why}"))
    }

    /// Prints a note about what is waited for if no progress is shown and it has changed.
    fn note_wait(&mut self, waits: Option<String>) {
        // The progress of a job changes all the time, and between two runs of a container there may be no reason.
        let is_running = self.streams.is_none() && self.is_running();
        let has_no_reason = |waits: &String| self.has_printed() && !waits.contains(": ");
        let news = waits.filter(|waits| !is_running && !has_no_reason(waits) && *waits != self.last_note);
        let Some(waits) = news else { return };
        if !self.kf.context().interactive {
            self.kf.note(&waits);
            self.last_note = waits;
        }
    }

    fn is_running(&self) -> bool {
        self.pods.values().any(|pod| pod_state(pod) == PodState::Running && !is_suggestion(pod))
    }

    /// Returns the expected number of ranks, if it is known before the pods exist.
    fn count_ranks(&self) -> Option<i64> {
        self.ranks.or_else(|| self.component.ranks()).or_else(|| match self.component.kind {
            WorkloadKind::TrainJob => self.nodes_of_job_set(),
            _ => None,
        })
    }

    /// Reads the number of nodes from the job set, for a training job that gets it from its runtime.
    fn nodes_of_job_set(&self) -> Option<i64> {
        let job_set = self.kf.api(WorkloadKind::JobSet.kind()).get(&self.component.name).ok()?;
        let step = job_set
            .list("/spec/replicatedJobs")
            .iter()
            .find(|job| job.get("name").and_then(|name| name.as_str()) == Some("node"))?;
        let number = |pointer: &str| step.pointer(pointer).and_then(serde_json::Value::as_i64);
        let nodes = number("/template/spec/parallelism").unwrap_or(1);
        Some(number("/replicas").unwrap_or(1).saturating_mul(nodes))
    }

    // ---- changes ----

    fn refresh_queue(&mut self) -> Result<()> {
        let waits = self.pods.is_empty() && self.component.kind.ends() && self.component.is_held();
        self.queue = if waits { self.component.workloads(self.kf)? } else { Vec::new() };
        Ok(())
    }

    /// Refreshes what is not watched.
    fn refresh(&mut self) -> Result<()> {
        self.events.refresh(self.kf)?;
        self.refresh_queue()
    }

    fn apply_component(&mut self, changes: Vec<Change>) {
        if self.component.is_own_experiment() {
            return self.apply_trials(changes);
        }
        for change in changes {
            match change {
                Change::All(objects) => match objects.into_iter().next() {
                    Some(object) => (self.deleted, self.component.object) = (false, object),
                    None => self.deleted = true,
                },
                Change::Put(object) => (self.deleted, self.component.object) = (false, object),
                Change::Deleted(object) => (self.deleted, self.component.object) = (true, object),
            }
        }
    }

    fn apply_trials(&mut self, changes: Vec<Change>) {
        let named = |trial: Object| (trial.name().to_owned(), trial);
        for change in changes {
            match change {
                Change::All(trials) => self.trials = trials.into_iter().map(named).collect(),
                Change::Put(trial) => self.trials.extend([named(trial)]),
                Change::Deleted(trial) => drop(self.trials.remove(trial.name())),
            }
        }
        match own_experiments(self.trials.values()).pop() {
            Some(object) => (self.deleted, self.component.object) = (false, object),
            None => self.deleted = true,
        }
    }

    fn apply_pods(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::All(mut pods) => {
                    pods.retain(|pod| self.component.owns(pod));
                    self.pods = pods.into_iter().map(|pod| (pod.name().to_owned(), pod)).collect();
                    self.failures.note_all(self.kf, &self.component, self.pods.values());
                }
                Change::Put(pod) if self.component.owns(&pod) => {
                    self.failures.note(self.kf, &self.component, &pod);
                    self.pods.insert(pod.name().to_owned(), pod);
                }
                Change::Put(_) => {}
                Change::Deleted(pod) => {
                    self.pods.remove(pod.name());
                }
            }
        }
    }
}

/// What keeps a [`Follow`] up to date.
struct Watches {
    component: Reflector,
    pods: Reflector,
    /// When to refresh what is not watched.
    refresh_at: Timestamp,
    progress: Option<Progress>,
    /// What was waited for at the last poll.
    waits: Option<String>,
}

impl Watches {
    fn lost(&self) -> Option<&Error> {
        self.pods.lost().or(self.component.lost())
    }
}

fn show_progress(kf: &Kf, progress: &mut Option<Progress>, label: &str) {
    match progress {
        Some(progress) => progress.say(label),
        None => *progress = Some(kf.progress(label)),
    }
}
