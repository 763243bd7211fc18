//! The logs that are being copied.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::{Chosen, LogChoice, Omitted};
use crate::abi::Pollable;
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::logs::Forwarding;
use crate::objects::Object;
use crate::workloads::container::{self, Run};
use crate::workloads::{Events, PodState, Workload, pod_state, pod_trouble, rank_of};

/// The maximum number of streams of a run.
const MAX_STREAMS: usize = 64;

/// The maximum number of logs copied at once. The watches need streams too.
const MAX_LOGS: usize = 48;

/// Opens logs as containers start, and closes them as they end.
pub(super) struct Streams {
    pub(super) choice: LogChoice,
    /// The maximum number of open logs.
    max_open: usize,
    /// The last opened run of each container.
    opened: BTreeMap<(String, String), Run>,
    /// The labels of all opened logs, to detect a new pod of the same rank.
    labels: BTreeSet<String>,
    open: Vec<Open>,
    prefixed: bool,
    /// The failed init containers that were reported, by pod and name.
    failed_inits: BTreeSet<(String, String)>,
    /// The runs whose logs are no longer available.
    unavailable: BTreeSet<((String, String), Run)>,
    /// The messages about them.
    lost: Vec<String>,
    warned_of_limit: bool,
    noted_omitted: bool,
}

/// A log that is being copied.
struct Open {
    /// The pod and its container.
    key: (String, String),
    label: String,
    log: Forwarding,
    /// Whether the run had ended when its log was opened.
    has_ended: bool,
    /// Why its pod ended.
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
            unavailable: BTreeSet::new(),
            lost: Vec::new(),
            warned_of_limit: false,
            noted_omitted: false,
        }
    }

    /// Limits the open logs so that several workloads share the streams. Each needs two watches, and one log of a failed
    /// pod is read besides.
    pub(super) fn among(self, components: usize) -> Self {
        let room = MAX_STREAMS.saturating_sub(2 * components + 1);
        Self { max_open: MAX_LOGS.min(room) / components.max(1), ..self }
    }

    /// Returns whether any log has been copied.
    pub(super) fn has_printed(&self) -> bool {
        self.opened.iter().any(|(key, run)| !self.unavailable.contains(&(key.clone(), *run)))
    }

    /// Returns messages about logs that are no longer available.
    pub(super) fn lost(&self) -> &[String] {
        &self.lost
    }

    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Returns a source for each open log, ready at its end.
    pub(super) fn ends(&self) -> Vec<Pollable> {
        self.open.iter().map(|open| open.log.subscribe()).collect()
    }

    /// Opens the log of every chosen container that has started and is not open yet.
    pub(super) fn open_due(
        &mut self,
        kf: &Kf,
        component: &Workload,
        pods: &BTreeMap<String, Object>,
        ranks: Option<i64>,
    ) -> Result<()> {
        let (chosen, omitted) = self.choice.of(component, pods.values(), ranks);
        self.note_omitted(kf, component, omitted);
        let several = omitted == Omitted::None && self.choice.rank.is_none() && ranks.unwrap_or(1) > 1;
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
                self.note_failed_init(kf, pod, container, &label);
                if !self.open_container(kf, pod, container, label)? {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Opens the log of a container, if it is due. Returns false if the limit of open logs is reached.
    fn open_container(&mut self, kf: &Kf, pod: &Object, container: &str, label: String) -> Result<bool> {
        let Some(run) = container::run(pod, container) else { return Ok(true) };
        if self.choice.previous && !container::has_previous(pod, container) {
            return Ok(true);
        }
        let key = (pod.uid().unwrap_or(pod.name()).to_owned(), container.to_owned());
        if self.unavailable.contains(&(key.clone(), run)) {
            return Ok(true);
        }
        let before = self.opened.get(&key).copied();
        // The log of a run must end before that of the next one is opened.
        if before == Some(run) || self.open.iter().any(|open| open.key == key) {
            return Ok(true);
        }
        let max_open = self.max_open;
        if self.open.len() >= max_open {
            if !self.warned_of_limit {
                self.warned_of_limit = true;
                kf.warn(format!("showing {max_open} logs at once; the next ones follow as these end"));
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
            // A run that started and ended in between.
            self.copy(kf, pod, &key, &label, Part { again, previous: true })?;
        }
        let part = Part { again, previous: self.choice.previous };
        match self.copy(kf, pod, &key, &label, part)? {
            Copied::Begun => {
                self.opened.insert(key, run);
                self.labels.insert(label);
            }
            Copied::NotYet => {}
            Copied::Gone(why) => self.mark_lost(&label, &why, key, run),
        }
        Ok(true)
    }

    fn mark_lost(&mut self, label: &str, why: &str, key: (String, String), run: Run) {
        self.lost.push(format!("log of {label} is no longer available: {why}"));
        self.unavailable.insert((key, run));
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
        // The logs of consecutive attempts are printed one after the other.
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
            // The log of a missed run may already be gone.
            Err(error) if missed && !is_fatal(&error) => return Ok(Copied::NotYet),
            // An evicted pod, or one that its node has cleaned up, has no log.
            Err(error) if (has_ended && error.is(ErrorCode::NotFound)) || (ended && is_too_early(&error)) => {
                return Ok(Copied::Gone(trouble(pod).unwrap_or(error.message)));
            }
            // The container may not have started yet, despite its status.
            Err(error) if follow && !ended && is_too_early(&error) => return Ok(Copied::NotYet),
            Err(error) if follow && is_unreachable(&error) => return Ok(Copied::NotYet),
            Err(error) => return Err(error.context(format!("the log of {}", pod.name()))),
        };
        let prefix = self.prefixed.then(|| format!("[{label}] "));
        let forwarding = log.forward(prefix.as_deref())?;
        if follow {
            let (key, label, trouble) = (key.clone(), label.to_owned(), trouble(pod));
            self.open.push(Open { key, label, log: forwarding, has_ended, trouble });
            return Ok(Copied::Begun);
        }
        // Without follow, logs are printed one after the other.
        match forwarding.finish() {
            // The node no longer has the log.
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
                self.mark_lost(&label, &trouble.unwrap_or(error.message), key, run);
                Ok(())
            }
            Err(error) if is_fatal(&error) => Err(error),
            // The log of a lost node ends; the others continue.
            Err(error) => {
                kf.warn(format!("log of {label} interrupted: {error}"));
                Ok(())
            }
        }
    }

    /// Prints a note if the log of a failed init container is shown instead.
    fn note_failed_init(&mut self, kf: &Kf, pod: &Object, container: &str, label: &str) {
        let is_chosen = self.choice.container.is_some() || self.choice.all;
        if is_chosen || !container::is_init(pod, container) {
            return;
        }
        let key = (pod.uid().unwrap_or(pod.name()).to_owned(), container.to_owned());
        if self.failed_inits.insert(key) {
            let how =
                container::failed_end(pod, container).map(|how| format!(" ({how})")).unwrap_or_default();
            kf.note(format!("init container {container} of {label} failed{how}; showing its log"));
        }
    }

    fn note_omitted(&mut self, kf: &Kf, component: &Workload, omitted: Omitted) {
        if self.noted_omitted {
            return;
        }
        let name = &component.name;
        match omitted {
            Omitted::None => return,
            Omitted::OtherRanks(ranks) => kf.note(format!(
                "showing rank 0 of {ranks} ranks of {name}; --all shows all, --rank N another"
            )),
            Omitted::OtherPods(pods) => {
                kf.note(format!("showing the newest of {pods} pods of {name}; --all shows all"));
            }
        }
        self.noted_omitted = true;
    }
}

/// The result of copying a log.
enum Copied {
    Begun,
    /// The log is not available yet.
    NotYet,
    /// The log is no longer available.
    Gone(String),
}

/// Which part of the log of a container to copy.
#[derive(Clone, Copy)]
struct Part {
    /// Not the first log of its rank, so it is shown from the start.
    again: bool,
    previous: bool,
}

/// Returns why a pod has ended.
fn trouble(pod: &Object) -> Option<String> {
    let ended = matches!(pod_state(pod), PodState::Complete | PodState::Failed);
    ended.then(|| pod_trouble(pod, &Events::default()))?.map(|trouble| trouble.text)
}

fn is_fatal(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Budget | ErrorCode::Unauthenticated | ErrorCode::Forbidden)
}

/// Returns whether the API server, not the node, is unreachable, which the watches report.
fn is_unreachable(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Unreachable | ErrorCode::TimedOut)
}

fn is_too_early(error: &Error) -> bool {
    matches!(error.code, ErrorCode::Invalid | ErrorCode::NotFound | ErrorCode::Internal)
}
