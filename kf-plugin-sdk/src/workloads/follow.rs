//! Staying with a workload until it ends, with its logs if wanted.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::container::{self, Run};
use super::failure::{Failures, LastWords};
use super::target::{Target, TargetKind};
use super::{Events, Outcome, PodState, Rank, Trouble, combine, outcome, pod_state, pod_trouble, rank_of};
use crate::border::{EventKind, Pollable};
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::logs::Forwarding;
use crate::objects::{Object, Watch};
use crate::ui::Progress;

/// How often events are read anew while nothing runs: they say why, and come without a change of
/// the pod.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// Logs copied at once. A run may hold 64 streams, and the watches need some.
const MOST_LOGS: usize = 48;

/// Which logs, and how much of them.
#[derive(Clone, Debug, Default)]
pub struct LogChoice {
    /// Stays until the end; else prints what is there.
    pub follow: bool,
    pub rank: Option<u32>,
    /// Of a training job: `node`, `launcher`, `dataset-initializer`, `model-initializer`.
    pub step: Option<String>,
    pub container: Option<String>,
    pub tail: Option<u32>,
    pub since: Option<Duration>,
    pub previous: bool,
    pub timestamps: bool,
}

/// Why following stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The workload ended.
    Ended(Outcome),
    /// Everything that was asked for has been printed; the workload may go on.
    Printed,
    /// Someone deleted the workload.
    Deleted,
}

/// Stays with a workload until it ends.
pub struct Follow<'a> {
    kf: &'a Kf,
    target: Target,
    logs: Option<LogChoice>,
    ranks: Option<i64>,
    pods: BTreeMap<String, Object>,
    events: Events,
    failures: Failures,
    /// Which run of which pod's container has been opened.
    opened: BTreeSet<(String, Run)>,
    open: Vec<(String, Forwarding)>,
    many: bool,
    deleted: bool,
    told_of_most: bool,
}

impl<'a> Follow<'a> {
    /// Stays with it, without logs.
    pub fn new(kf: &'a Kf, target: Target) -> Self {
        Self {
            kf,
            target,
            logs: None,
            ranks: None,
            pods: BTreeMap::new(),
            events: Events::default(),
            failures: Failures::default(),
            opened: BTreeSet::new(),
            open: Vec::new(),
            many: false,
            deleted: false,
            told_of_most: false,
        }
    }

    /// Copies logs to stdout meanwhile.
    #[must_use]
    pub fn with_logs(mut self, choice: LogChoice) -> Self {
        self.logs = Some(choice);
        self
    }

    /// Says how many ranks there will be, for who knows it; else the workload's job set is asked.
    #[must_use]
    pub fn with_ranks(mut self, ranks: i64) -> Self {
        self.ranks = Some(ranks);
        self
    }

    /// The workload as it was last seen.
    pub fn target(&self) -> &Target {
        &self.target
    }

    /// Its pods as they were last seen.
    pub fn pods(&self) -> impl Iterator<Item = &Object> {
        self.pods.values()
    }

    /// What the pod that failed first said last, if one failed.
    pub fn last_words(&self) -> Option<&LastWords> {
        self.failures.last_words()
    }

    /// Whether any log has been copied.
    pub fn has_printed(&self) -> bool {
        !self.opened.is_empty()
    }

    /// What is wrong with its pods.
    pub fn trouble(&self) -> Option<Trouble> {
        combine(self.pods.values().filter_map(|pod| pod_trouble(pod, &self.events)))
    }

    /// Blocks until the workload has ended and its logs have been copied.
    pub fn run(&mut self) -> Result<Stop> {
        let ranks = self.count_ranks();
        self.check_rank(ranks)?;
        let one = self.logs.as_ref().is_some_and(|logs| logs.rank.is_some());
        self.many = !one && ranks.unwrap_or(1) > 1;
        let mut target_watch = self.read_target()?;
        let mut pod_watch = self.read_pods()?;
        self.events = Events::read(self.kf)?;
        let mut progress: Option<Progress> = None;
        let mut look_again = self.kf.after(LOOK_AGAIN);
        loop {
            self.open_logs()?;
            if let Some(stop) = self.stop()? {
                return Ok(stop);
            }
            self.show_wait(&mut progress);

            let ends: Vec<Pollable> = self.open.iter().map(|(_, log)| log.subscribe()).collect();
            let (of_target, of_pods) = (target_watch.subscribe(), pod_watch.subscribe());
            let mut all = vec![&of_target, &of_pods, &look_again];
            all.extend(&ends);
            let ready = self.kf.wait(&all);
            if ready.is_empty() {
                return Err(Error::timed_out(format!("nothing more was heard of {}", self.target.name)));
            }
            // Logs first, from the back: taking one out moves those behind it.
            for index in ready.iter().rev().filter_map(|index| index.checked_sub(3)) {
                self.close(index)?;
            }
            if ready.contains(&0) && !self.take_target(&target_watch)? {
                target_watch = self.read_target()?;
            }
            if ready.contains(&1) && !self.take_pods(&pod_watch)? {
                pod_watch = self.read_pods()?;
            }
            if ready.contains(&2) {
                self.events = Events::read(self.kf)?;
                look_again = self.kf.after(LOOK_AGAIN);
            }
        }
    }

    /// Whether there is nothing left to wait for.
    fn stop(&mut self) -> Result<Option<Stop>> {
        if !self.open.is_empty() {
            return Ok(None);
        }
        if self.logs.as_ref().is_some_and(|logs| !logs.follow) && !self.opened.is_empty() {
            return Ok(Some(Stop::Printed));
        }
        if self.deleted {
            return Ok(Some(Stop::Deleted));
        }
        let Some(outcome) = outcome(&self.target.object) else { return Ok(None) };
        if self.logs.is_some() || !outcome.succeeded {
            // The end and the last pods' last changes come on two watches, in any order.
            self.pods = by_name(self.target.pods(self.kf).list()?);
            self.failures.note_all(self.kf, self.pods.values());
        }
        self.open_logs()?;
        if !self.open.is_empty() {
            return Ok(None);
        }
        Ok(Some(Stop::Ended(outcome)))
    }

    fn show_wait(&self, progress: &mut Option<Progress>) {
        if !self.open.is_empty() || (self.logs.is_none() && self.is_running()) {
            if self.logs.is_some() {
                *progress = None;
            } else {
                say(self.kf, progress, &format!("{} is running", self.target.name));
            }
            return;
        }
        let why = match self.trouble() {
            Some(trouble) => Some(trouble.text),
            None if self.pods.is_empty() => self.target.complaint(&self.events),
            None => None,
        };
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        say(self.kf, progress, &format!("waiting for pods of {}{why}", self.target.name));
    }

    fn is_running(&self) -> bool {
        self.pods.values().any(|pod| pod_state(pod) == PodState::Running)
    }

    // ---- logs ----

    /// Opens the log of every chosen container that has started and is not open yet.
    fn open_logs(&mut self) -> Result<()> {
        let Some(choice) = self.logs.clone() else { return Ok(()) };
        let mut chosen = self.chosen(&choice);
        self.many |= chosen.len() > 1;
        if !choice.follow {
            newest_of_each_rank(&mut chosen);
        }
        for (rank, pod) in chosen {
            let Some(container) = container::choose(&pod, self.target.kind, choice.container.as_deref())?
            else {
                continue;
            };
            let Some(run) = container::run(&pod, &container) else { continue };
            let key = (pod.uid().unwrap_or(pod.name()).to_owned(), run);
            if self.opened.contains(&key) {
                continue;
            }
            if self.open.len() >= MOST_LOGS {
                self.tell_of_most();
                return Ok(());
            }
            let again = self.opened.iter().any(|(uid, _)| *uid == key.0);
            if self.open_one(&choice, &rank, &pod, container, again)? {
                self.opened.insert(key);
            }
        }
        Ok(())
    }

    /// False if the container is not far enough yet.
    fn open_one(
        &mut self,
        choice: &LogChoice,
        rank: &Rank,
        pod: &Object,
        container: String,
        again: bool,
    ) -> Result<bool> {
        let label = rank.label();
        if again {
            let how = container::last_end(pod, &container).map(|how| format!(" ({how})")).unwrap_or_default();
            self.kf.note(format!("{label} restarted{how}; its new logs follow"));
        }
        let mut request = self
            .kf
            .log(pod.name())
            .container(container)
            .follow(choice.follow)
            .timestamps(choice.timestamps)
            .previous(choice.previous);
        if !again {
            request = request.tail(choice.tail).since(choice.since);
        }
        let ended = matches!(pod_state(pod), PodState::Complete | PodState::Failed);
        let log = match request.open() {
            Ok(log) => log,
            // Between the status and the log the container may still be on its way.
            Err(error) if choice.follow && !ended && is_too_early(&error) => return Ok(false),
            Err(error) => return Err(error.context(format!("the log of {}", pod.name()))),
        };
        let prefix = self.many.then(|| format!("[{label}] "));
        let forwarding = log.forward(prefix.as_deref())?;
        if choice.follow {
            self.open.push((label, forwarding));
        } else {
            // One after the other: what is there is read by rank, not by time.
            forwarding.finish()?;
        }
        Ok(true)
    }

    fn close(&mut self, index: usize) -> Result<()> {
        if index >= self.open.len() {
            return Ok(());
        }
        let (label, log) = self.open.remove(index);
        match log.finish() {
            Ok(_) => Ok(()),
            Err(error) if error.is(ErrorCode::Budget) || error.is(ErrorCode::Unauthenticated) => Err(error),
            // A node that goes away takes its log with it; the others go on.
            Err(error) => {
                self.kf.warn(format!("the log of {label} broke off: {error}"));
                Ok(())
            }
        }
    }

    fn chosen(&self, choice: &LogChoice) -> Vec<(Rank, Object)> {
        let all: Vec<_> = self.pods.values().map(|pod| (rank_of(pod), pod.clone())).collect();
        let trains = |rank: &Rank| matches!(rank.step.as_str(), "node" | "launcher");
        let some_train = all.iter().any(|(rank, _)| trains(rank));
        let mut chosen: Vec<_> = all
            .into_iter()
            .filter(|(rank, _)| match &choice.step {
                Some(step) => rank.step == *step,
                None => !some_train || trains(rank),
            })
            .filter(|(rank, _)| choice.rank.is_none() || rank.index == choice.rank)
            .collect();
        chosen.sort_by(|left, right| left.0.cmp(&right.0));
        chosen
    }

    fn tell_of_most(&mut self) {
        if !self.told_of_most {
            self.told_of_most = true;
            self.kf.warn(format!("only the first {MOST_LOGS} logs are shown; choose one with --rank"));
        }
    }

    /// How many ranks there will be, as far as that can be known before the pods.
    fn count_ranks(&self) -> Option<i64> {
        if self.ranks.is_some() {
            return self.ranks;
        }
        let object = &self.target.object;
        match self.target.kind {
            TargetKind::TrainJob => object.int("/spec/trainer/numNodes").or_else(|| self.nodes_of_job_set()),
            TargetKind::Job => object.int("/spec/parallelism"),
            TargetKind::JobSet | TargetKind::Pod => None,
        }
    }

    /// A rank beyond the last would be waited for in vain.
    fn check_rank(&self, ranks: Option<i64>) -> Result<()> {
        let Some(LogChoice { rank: Some(rank), step: None, .. }) = &self.logs else { return Ok(()) };
        match ranks {
            Some(ranks) if i64::from(*rank) >= ranks.max(1) => {
                let (name, last) = (&self.target.name, ranks.max(1) - 1);
                let which = if last == 0 { "only rank 0".to_owned() } else { format!("ranks 0 to {last}") };
                Err(Error::invalid(format!("{name} has no rank {rank}, it has {which}")))
            }
            _ => Ok(()),
        }
    }

    /// A training job without a number of nodes takes its runtime's; its job set has it.
    fn nodes_of_job_set(&self) -> Option<i64> {
        let job_set = self.kf.api(TargetKind::JobSet.kind()).get(&self.target.name).ok()?;
        let step = job_set
            .list("/spec/replicatedJobs")
            .iter()
            .find(|job| job.get("name").and_then(|name| name.as_str()) == Some("node"))?;
        let number = |pointer: &str| step.pointer(pointer).and_then(serde_json::Value::as_i64);
        Some(number("/replicas").unwrap_or(1) * number("/template/spec/parallelism").unwrap_or(1))
    }

    // ---- what the cluster says ----

    fn read_target(&mut self) -> Result<Watch> {
        let (objects, watch) = self.target.itself(self.kf).list_and_watch()?;
        match objects.into_iter().next() {
            Some(object) => self.target.object = object,
            None => self.deleted = true,
        }
        Ok(watch)
    }

    fn read_pods(&mut self) -> Result<Watch> {
        let (pods, watch) = self.target.pods(self.kf).list_and_watch()?;
        self.pods = by_name(pods);
        self.failures.note_all(self.kf, self.pods.values());
        Ok(watch)
    }

    /// False if the watch has ended.
    fn take_target(&mut self, watch: &Watch) -> Result<bool> {
        let Some(events) = unless_expired(watch.next())? else { return Ok(false) };
        let ended = events.is_empty();
        for event in events {
            self.deleted = event.kind == EventKind::Deleted;
            self.target.object = event.object;
        }
        Ok(!ended)
    }

    /// False if the watch has ended.
    fn take_pods(&mut self, watch: &Watch) -> Result<bool> {
        let Some(events) = unless_expired(watch.next())? else { return Ok(false) };
        let ended = events.is_empty();
        for event in events {
            let name = event.object.name().to_owned();
            match event.kind {
                EventKind::Deleted => self.pods.remove(&name),
                EventKind::Added | EventKind::Modified => {
                    self.failures.note(self.kf, &event.object);
                    self.pods.insert(name, event.object)
                }
            };
        }
        Ok(!ended)
    }
}

fn say(kf: &Kf, progress: &mut Option<Progress>, label: &str) {
    match progress {
        Some(progress) => progress.say(label),
        None => *progress = Some(kf.progress(label)),
    }
}

fn by_name(pods: Vec<Object>) -> BTreeMap<String, Object> {
    pods.into_iter().map(|pod| (pod.name().to_owned(), pod)).collect()
}

fn newest_of_each_rank(chosen: &mut Vec<(Rank, Object)>) {
    chosen.sort_by(|left, right| left.0.cmp(&right.0).then(right.1.created().cmp(&left.1.created())));
    chosen.dedup_by(|later, kept| later.0 == kept.0);
}

fn is_too_early(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Invalid | ErrorCode::NotFound | ErrorCode::Internal)
}

/// None for a watch that is too old to go on.
fn unless_expired<T>(events: Result<T>) -> Result<Option<T>> {
    match events {
        Err(error) if error.is(ErrorCode::Expired) => Ok(None),
        other => other.map(Some),
    }
}
