//! The logs that are being copied.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::{Chosen, LeftOut, LogChoice};
use crate::border::Pollable;
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::logs::Forwarding;
use crate::objects::Object;
use crate::workloads::container::{self, Run};
use crate::workloads::{Component, Events, PodState, pod_state, pod_trouble, rank_of};

/// Watches and logs that a run may hold.
const MAX_STREAMS: usize = 64;

/// Logs copied at once. The watches need some streams too.
const MAX_LOGS: usize = 48;

/// Opens logs as containers start, and closes them as they end.
pub(super) struct Streams {
    pub(super) choice: LogChoice,
    /// How many may be open at once.
    max_open: usize,
    /// The last run that was opened of each pod's container.
    opened: BTreeMap<(String, String), Run>,
    /// What they were called: a rank may get another pod.
    labels: BTreeSet<String>,
    open: Vec<Open>,
    prefixed: bool,
    /// Failed init containers that were told of, by pod and name.
    failed_inits: BTreeSet<(String, String)>,
    /// Runs whose logs cannot be had any more, and what was said of it.
    gone: BTreeSet<((String, String), Run)>,
    lost: Vec<String>,
    told_of_most: bool,
    told_of_left_out: bool,
}

/// A log that is being copied.
struct Open {
    /// The pod and its container.
    key: (String, String),
    label: String,
    log: Forwarding,
    /// Whether the run had ended when its log was opened, and what is wrong with its pod.
    has_ended: bool,
    trouble: Option<String>,
}

impl Streams {
    pub(super) fn new(choice: LogChoice) -> Self {
        Self {
            choice,
            max_open: MAX_LOGS,
            opened: BTreeMap::new(),
            labels: BTreeSet::new(),
            open: Vec::new(),
            prefixed: false,
            failed_inits: BTreeSet::new(),
            gone: BTreeSet::new(),
            lost: Vec::new(),
            told_of_most: false,
            told_of_left_out: false,
        }
    }

    /// Leaves room for those of so many components in all. Each has two watches, and the log of a pod that failed is
    /// read beside them.
    pub(super) fn among(self, components: usize) -> Self {
        let room = MAX_STREAMS.saturating_sub(2 * components + 1);
        Self { max_open: MAX_LOGS.min(room) / components.max(1), ..self }
    }

    /// Whether any log has been copied.
    pub(super) fn has_printed(&self) -> bool {
        self.opened.iter().any(|(key, run)| !self.gone.contains(&(key.clone(), *run)))
    }

    /// Logs that cannot be had any more.
    pub(super) fn lost(&self) -> &[String] {
        &self.lost
    }

    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// One for each open log, ready at its end.
    pub(super) fn ends(&self) -> Vec<Pollable> {
        self.open.iter().map(|open| open.log.subscribe()).collect()
    }

    /// Opens the log of every chosen container that has started and is not open yet.
    pub(super) fn open_due(
        &mut self,
        kf: &Kf,
        component: &Component,
        pods: &BTreeMap<String, Object>,
        ranks: Option<i64>,
    ) -> Result<()> {
        let (chosen, left_out) = self.choice.of(component, pods.values(), ranks);
        self.tell_left_out(kf, component, left_out);
        let several = left_out == LeftOut::Nothing && self.choice.rank.is_none() && ranks.unwrap_or(1) > 1;
        self.prefixed |= several || chosen.len() > 1 || self.choice.with_name;
        for Chosen { rank, pod } in chosen {
            let containers = self.choice.containers(component, pod)?;
            self.prefixed |= containers.len() > 1;
            for container in &containers {
                let label = match containers.len() {
                    1 => rank.label(),
                    _ => format!("{}/{container}", rank.label()),
                };
                let label = match (self.choice.with_name, component.is_pod()) {
                    (false, _) => label,
                    (true, false) => format!("{}/{label}", component.name),
                    (true, true) if containers.len() > 1 => format!("{}/{container}", component.name),
                    (true, true) => component.name.clone(),
                };
                self.tell_failed_init(kf, pod, container, &label);
                if !self.open_container(kf, pod, container, label)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// False if no more can be opened now.
    fn open_container(&mut self, kf: &Kf, pod: &Object, container: &str, label: String) -> Result<bool> {
        let Some(run) = container::run(pod, container) else { return Ok(true) };
        if self.choice.previous && !container::has_previous(pod, container) {
            return Ok(true);
        }
        let key = (pod.uid().unwrap_or(pod.name()).to_owned(), container.to_owned());
        if self.gone.contains(&(key.clone(), run)) {
            return Ok(true);
        }
        let before = self.opened.get(&key).copied();
        // The lines of a run precede those of the next one.
        if before == Some(run) || self.open.iter().any(|open| open.key == key) {
            return Ok(true);
        }
        let max_open = self.max_open;
        if self.open.len() >= max_open {
            if !self.told_of_most {
                self.told_of_most = true;
                kf.warn(format!("{max_open} logs are shown at once; the next ones follow as these end"));
            }
            return Ok(false);
        }
        let again = before.is_some() || self.labels.contains(&label);
        if again {
            let how = container::last_end(pod, container).filter(|_| before.is_some());
            let how = how.map(|how| format!(" ({how})")).unwrap_or_default();
            let what = if before.is_some() { "restarted" } else { "has a new pod" };
            kf.note(format!("{label} {what}{how}; its new logs follow"));
        }
        if before.is_some_and(|before| before.saturating_add(1) < run) {
            // A run that began and ended in between.
            self.copy(kf, pod, &key, &label, Part { again, previous: true })?;
        }
        let part = Part { again, previous: self.choice.previous };
        match self.copy(kf, pod, &key, &label, part)? {
            Copied::Begun => {
                self.opened.insert(key, run);
                self.labels.insert(label);
            }
            Copied::NotYet => {}
            Copied::Gone(why) => self.lose(&label, &why, key, run),
        }
        Ok(true)
    }

    fn lose(&mut self, label: &str, why: &str, key: (String, String), run: Run) {
        self.lost.push(format!("the log of {label} is gone: {why}"));
        self.gone.insert((key, run));
    }

    fn copy(
        &mut self,
        kf: &Kf,
        pod: &Object,
        key: &(String, String),
        label: &str,
        part: Part,
    ) -> Result<Copied> {
        let missed = part.previous && !self.choice.previous;
        let ended = matches!(pod_state(pod), PodState::Complete | PodState::Failed);
        let has_ended = ended || part.previous || container::has_ended(pod, &key.1);
        // Attempts run one after the other, and so they are shown.
        let is_past_attempt = ended && rank_of(pod).is_unnumbered();
        let follow = self.choice.follow && !part.previous && !is_past_attempt;
        let mut request = kf
            .log(pod.name())
            .container(key.1.as_str())
            .follow(follow)
            .timestamps(self.choice.timestamps)
            .previous(part.previous);
        if !part.again {
            request = request.tail(self.choice.tail).since(self.choice.since);
        }
        let log = match request.open() {
            Ok(log) => log,
            // What was missed may be gone by now.
            Err(error) if missed && !is_fatal(&error) => return Ok(Copied::NotYet),
            // Of a pod that was evicted, or whose node has cleaned up, nothing is left.
            Err(error) if (has_ended && error.is(ErrorCode::NotFound)) || (ended && is_too_early(&error)) => {
                return Ok(Copied::Gone(trouble(pod).unwrap_or(error.message)));
            }
            // Between the status and the log the container may still be on its way.
            Err(error) if follow && !ended && is_too_early(&error) => return Ok(Copied::NotYet),
            Err(error) if follow && is_away(&error) => return Ok(Copied::NotYet),
            Err(error) => return Err(error.context(format!("the log of {}", pod.name()))),
        };
        let prefix = self.prefixed.then(|| format!("[{label}] "));
        let forwarding = log.forward(prefix.as_deref())?;
        if follow {
            let (key, label, trouble) = (key.clone(), label.to_owned(), trouble(pod));
            self.open.push(Open { key, label, log: forwarding, has_ended, trouble });
            return Ok(Copied::Begun);
        }
        // One after the other: what is there is read by rank, not by time.
        match forwarding.finish() {
            // The node has nothing of it any more.
            Err(error) if has_ended && error.is(ErrorCode::NotFound) => {
                Ok(Copied::Gone(trouble(pod).unwrap_or(error.message)))
            }
            finished => finished.map(|_| Copied::Begun),
        }
    }

    pub(super) fn close(&mut self, kf: &Kf, index: usize) -> Result<()> {
        if index >= self.open.len() {
            return Ok(());
        }
        let Open { key, label, log, has_ended, trouble } = self.open.remove(index);
        match log.finish() {
            Ok(_) => Ok(()),
            Err(error) if has_ended && error.is(ErrorCode::NotFound) => {
                let run = self.opened.get(&key).copied().unwrap_or_default();
                self.lose(&label, &trouble.unwrap_or(error.message), key, run);
                Ok(())
            }
            Err(error) if is_fatal(&error) => Err(error),
            // A node that goes away takes its log with it; the others go on.
            Err(error) => {
                kf.warn(format!("the log of {label} broke off: {error}"));
                Ok(())
            }
        }
    }

    /// Says why it is not the container that was to be expected.
    fn tell_failed_init(&mut self, kf: &Kf, pod: &Object, container: &str, label: &str) {
        let is_chosen = self.choice.container.is_some() || self.choice.all;
        if is_chosen || !container::is_init(pod, container) {
            return;
        }
        let key = (pod.uid().unwrap_or(pod.name()).to_owned(), container.to_owned());
        if self.failed_inits.insert(key) {
            let how =
                container::failed_end(pod, container).map(|how| format!(" ({how})")).unwrap_or_default();
            kf.note(format!("init container {container} of {label} failed{how}; its log is shown"));
        }
    }

    fn tell_left_out(&mut self, kf: &Kf, component: &Component, left_out: LeftOut) {
        if self.told_of_left_out {
            return;
        }
        let name = &component.name;
        match left_out {
            LeftOut::Nothing => return,
            LeftOut::OtherRanks(ranks) => kf.note(format!(
                "{name} has {ranks} ranks and rank 0 is shown; --all shows them all, --rank N another"
            )),
            LeftOut::OtherPods(pods) => {
                kf.note(format!("{name} has {pods} pods and the newest is shown; --all shows them all"));
            }
        }
        self.told_of_left_out = true;
    }
}

/// What became of a log.
enum Copied {
    Begun,
    /// The container is not far enough.
    NotYet,
    /// It cannot be had any more.
    Gone(String),
}

/// Which part of a container's log.
#[derive(Clone, Copy)]
struct Part {
    /// Not the first of its rank: it is shown from its start.
    again: bool,
    previous: bool,
}

/// Why a pod has ended.
fn trouble(pod: &Object) -> Option<String> {
    let ended = matches!(pod_state(pod), PodState::Complete | PodState::Failed);
    ended.then(|| pod_trouble(pod, &Events::default()))?.map(|trouble| trouble.text)
}

fn is_fatal(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Budget | ErrorCode::Unauthenticated | ErrorCode::Forbidden)
}

/// The API server, not the node: of that the watches tell.
fn is_away(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Unreachable | ErrorCode::TimedOut)
}

fn is_too_early(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Invalid | ErrorCode::NotFound | ErrorCode::Internal)
}
