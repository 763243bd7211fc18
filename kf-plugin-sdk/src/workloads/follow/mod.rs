//! Staying with a component until it ends, with its logs if wanted.

mod choice;
mod streams;
mod together;

pub use choice::LogChoice;
pub use together::{MAX_TOGETHER, follow_together};

use std::collections::BTreeMap;
use std::time::Duration;

use streams::Streams;

use super::failure::{Failures, LastWords};
use super::katib::is_suggestion;
use super::refused::is_final;
use super::verdict::{NO_PODS, refusal};
use super::{
    Component, ComponentKind, Events, Outcome, PodState, State, Verdict, outcome, own_experiments, pod_state,
};
use crate::border::Pollable;
use crate::clock::Timestamp;
use crate::error::{Error, Result};
use crate::kf::Kf;
use crate::objects::{Change, Object, Reflector};
use crate::ui::Progress;

/// How often events are read anew while nothing runs: they say why, and come without a change of
/// the pod.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Why following stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The component ended.
    Ended(Outcome),
    /// It stays, but someone stopped it: it has no pods, and will have none.
    Stopped,
    /// Everything that was asked for has been printed; the component may go on.
    Printed,
    /// There is nothing to print yet, and it was not asked to stay; see [`Follow::why`].
    NotStarted,
    /// Someone deleted it.
    Deleted,
}

/// Stays with a component until it ends.
pub struct Follow<'a> {
    kf: &'a Kf,
    component: Component,
    streams: Option<Streams>,
    ranks: Option<i64>,
    pods: BTreeMap<String, Object>,
    /// The trials of an experiment that `kf tune` runs itself; it has no object of its own.
    trials: BTreeMap<String, Object>,
    events: Events,
    /// Kueue's workloads, while the component waits for one.
    queue: Vec<Object>,
    failures: Failures,
    deleted: bool,
    /// What was last said to be waited for where no progress is shown.
    told: String,
}

impl<'a> Follow<'a> {
    /// Stays with it, without logs.
    pub fn new(kf: &'a Kf, component: Component) -> Self {
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
            told: String::new(),
        }
    }

    /// Copies logs to stdout meanwhile.
    #[must_use]
    pub fn with_logs(mut self, choice: LogChoice) -> Self {
        self.streams = Some(Streams::new(choice));
        self
    }

    /// Says how many ranks there will be, for who knows it; else the component's spec or its job set is
    /// asked.
    #[must_use]
    pub fn with_ranks(mut self, ranks: i64) -> Self {
        self.ranks = Some(ranks);
        self
    }

    /// The component as it was last seen.
    pub fn component(&self) -> &Component {
        &self.component
    }

    /// Its pods as they were last seen.
    pub fn pods(&self) -> impl Iterator<Item = &Object> {
        self.pods.values().filter(|pod| !is_suggestion(pod))
    }

    /// What the pod that failed first said last, if one failed.
    pub fn last_words(&self) -> Option<&LastWords> {
        self.failures.last_words()
    }

    /// Whether any log has been copied.
    pub fn has_printed(&self) -> bool {
        self.streams.as_ref().is_some_and(Streams::has_printed)
    }

    /// Logs of pods that have ended that cannot be had any more, and why.
    pub fn lost_logs(&self) -> &[String] {
        self.streams.as_ref().map(Streams::lost).unwrap_or_default()
    }

    /// Why it is not running, as far as can be found out. Costs a call or a few.
    pub fn why(&self) -> Option<String> {
        let mut verdict = self.verdict();
        verdict.investigate(self.kf, &self.events);
        verdict.why
    }

    /// How it is doing, as far as it was last seen.
    pub fn verdict(&self) -> Verdict {
        let pods: Vec<_> = self.pods.values().cloned().collect();
        self.component.judge_queued(&pods, &self.queue, &self.events)
    }

    /// Blocks until the component has ended and its logs have been copied.
    pub fn run(&mut self) -> Result<Stop> {
        let mut watches = self.begin()?;
        loop {
            if let Some(stop) = self.look(&mut watches)? {
                return Ok(stop);
            }
            let changes = self.changes(&watches);
            let ready = self.kf.wait(&changes.iter().collect::<Vec<_>>());
            if ready.is_empty() {
                return Err(self.lost());
            }
            self.take(&mut watches, &ready)?;
        }
    }

    /// Reads the component and its pods, and watches both from there.
    fn begin(&mut self) -> Result<Watches> {
        self.ranks = self.count_ranks();
        if let Some(streams) = &self.streams {
            streams.choice.check_rank(&self.component, self.ranks)?;
        }
        let (itself, component) = Reflector::open(self.kf, self.component.itself(self.kf))?;
        self.take_component(vec![Change::All(itself)]);
        let (found, pods) = Reflector::open(self.kf, self.component.pod_selection(self.kf))?;
        self.take_pods(vec![Change::All(found)]);
        self.events = Events::read(self.kf)?;
        self.look_at_queue()?;
        let look_again = self.kf.now().plus(LOOK_AGAIN);
        Ok(Watches { component, pods, look_again, progress: None, waits: None })
    }

    /// Opens the logs that are due, and answers why to stop, if there is a reason; says what is waited for if not.
    fn look(&mut self, watches: &mut Watches) -> Result<Option<Stop>> {
        self.open_logs()?;
        if let Some(stop) = self.stop()? {
            return Ok(Some(stop));
        }
        watches.waits = match watches.lost() {
            Some(error) => Some(format!("{error}; trying again")),
            None => self.waits(),
        };
        match &watches.waits {
            Some(waits) => say(self.kf, &mut watches.progress, waits),
            None => watches.progress = None,
        }
        Ok(None)
    }

    /// What [`Follow::take`] takes: the watches, the timer and the ends of logs.
    fn changes(&self, watches: &Watches) -> Vec<Pollable> {
        let ends = self.streams.as_ref().map(Streams::ends).unwrap_or_default();
        let look_again = self.kf.after(watches.look_again.since(self.kf.now()));
        let first = [watches.component.subscribe(), watches.pods.subscribe(), look_again];
        first.into_iter().chain(ends).collect()
    }

    /// Takes what is ready, by its position in [`Follow::changes`].
    fn take(&mut self, watches: &mut Watches, ready: &[usize]) -> Result<()> {
        // Logs first, from the back: taking one out moves those behind it.
        for index in ready.iter().rev().filter_map(|index| index.checked_sub(3)) {
            if let Some(streams) = &mut self.streams {
                streams.close(self.kf, index)?;
            }
        }
        if ready.contains(&0) {
            self.take_component(watches.component.changes()?);
        }
        if ready.contains(&1) {
            self.take_pods(watches.pods.changes()?);
        }
        if ready.contains(&2) {
            // A server that is away is waited for by the watches.
            if watches.pods.lost().is_none() && !self.is_running() {
                self.look_again()?;
            }
            watches.look_again = self.kf.now().plus(LOOK_AGAIN);
            self.tell(watches.waits.take());
        }
        Ok(())
    }

    fn lost(&self) -> Error {
        Error::timed_out(format!("nothing more was heard of {}", self.component.name))
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

    /// Whether there is nothing left to wait for.
    fn stop(&mut self) -> Result<Option<Stop>> {
        if self.logs_are_open() {
            return Ok(None);
        }
        let printed = self.streams.as_ref().is_some_and(|streams| {
            // An earlier run is there now or never.
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
            if let Some(refused) = self.refused() {
                return Ok(Some(Stop::Ended(refused)));
            }
            let stays = self.streams.as_ref().is_none_or(|streams| streams.choice.follow);
            return Ok((!stays).then_some(Stop::NotStarted));
        };
        if self.streams.is_some() || !outcome.succeeded {
            // The end and the last pods' last changes come on two watches, in any order.
            match self.component.pods(self.kf) {
                Ok(pods) => self.take_pods(vec![Change::All(pods)]),
                Err(error) if error.may_pass() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        self.open_logs()?;
        Ok((!self.logs_are_open()).then_some(Stop::Ended(outcome)))
    }

    /// The end of a component whose pods can never be made. Its controller keeps retrying, and no condition says so.
    fn refused(&self) -> Option<Outcome> {
        if !self.pods.is_empty() || !self.component.kind.ends() || self.component.is_held() {
            return None;
        }
        let of_jobs = || {
            let below = format!("{}-", self.component.name);
            self.events.warning_like("Job", &below, self.component.object.created())
        };
        let (reason, message) = self.events.warning(&self.component.object).or_else(of_jobs)?;
        is_final(message).then(|| Outcome {
            succeeded: false,
            reason: reason.to_owned(),
            message: refusal(message),
            took: None,
        })
    }

    /// What is waited for; none while logs come.
    fn waits(&self) -> Option<String> {
        if self.logs_are_open() {
            return None;
        }
        let name = &self.component.name;
        let why = self.verdict().why.filter(|why| why != NO_PODS);
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        if self.streams.is_none() && self.is_running() {
            // How far it is and how long it will take, where its runtime tells.
            return Some(format!("{name} is running{why}"));
        }
        Some(format!("waiting for pods of {name}{why}"))
    }

    /// Says what is waited for where no progress is shown, each time it is something else.
    fn tell(&mut self, waits: Option<String>) {
        // How far a job is changes all the time, and between two runs of a container there may be nothing to say.
        let is_running = self.streams.is_none() && self.is_running();
        let says_nothing = |waits: &String| self.has_printed() && !waits.contains(": ");
        let news = waits.filter(|waits| !is_running && !says_nothing(waits) && *waits != self.told);
        let Some(waits) = news else { return };
        if !self.kf.context().interactive {
            self.kf.note(&waits);
            self.told = waits;
        }
    }

    fn is_running(&self) -> bool {
        self.pods.values().any(|pod| pod_state(pod) == PodState::Running && !is_suggestion(pod))
    }

    /// How many ranks there will be, as far as that can be known before the pods.
    fn count_ranks(&self) -> Option<i64> {
        self.ranks.or_else(|| self.component.ranks()).or_else(|| match self.component.kind {
            ComponentKind::TrainJob => self.nodes_of_job_set(),
            _ => None,
        })
    }

    /// A training job without a number of nodes takes its runtime's; its job set has it.
    fn nodes_of_job_set(&self) -> Option<i64> {
        let job_set = self.kf.api(ComponentKind::JobSet.kind()).get(&self.component.name).ok()?;
        let step = job_set
            .list("/spec/replicatedJobs")
            .iter()
            .find(|job| job.get("name").and_then(|name| name.as_str()) == Some("node"))?;
        let number = |pointer: &str| step.pointer(pointer).and_then(serde_json::Value::as_i64);
        let nodes = number("/template/spec/parallelism").unwrap_or(1);
        Some(number("/replicas").unwrap_or(1).saturating_mul(nodes))
    }

    // ---- what the cluster says ----

    fn look_at_queue(&mut self) -> Result<()> {
        let waits = self.pods.is_empty() && self.component.kind.ends() && self.component.is_held();
        self.queue = if waits { self.component.workloads(self.kf)? } else { Vec::new() };
        Ok(())
    }

    /// A server that goes away just now is waited for by the watches.
    fn look_again(&mut self) -> Result<()> {
        self.events.renew(self.kf)?;
        self.look_at_queue()
    }

    fn take_component(&mut self, changes: Vec<Change>) {
        if self.component.is_own_experiment() {
            return self.take_trials(changes);
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

    fn take_trials(&mut self, changes: Vec<Change>) {
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

    fn take_pods(&mut self, changes: Vec<Change>) {
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
    /// When to read again what no watch reports.
    look_again: Timestamp,
    progress: Option<Progress>,
    /// What was waited for at the last look.
    waits: Option<String>,
}

impl Watches {
    fn lost(&self) -> Option<&Error> {
        self.pods.lost().or(self.component.lost())
    }
}

fn say(kf: &Kf, progress: &mut Option<Progress>, label: &str) {
    match progress {
        Some(progress) => progress.say(label),
        None => *progress = Some(kf.progress(label)),
    }
}
