//! The logs that are being copied.

use std::collections::{BTreeMap, BTreeSet};

use super::choice::{Chosen, LeftOut, LogChoice};
use crate::border::Pollable;
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;
use crate::logs::Forwarding;
use crate::objects::Object;
use crate::workloads::container::{self, Run};
use crate::workloads::{Component, PodState, pod_state};

/// Logs copied at once. A run may hold 64 streams, and the watches need some.
const MOST_LOGS: usize = 48;

/// Opens logs as containers start, and closes them as they end.
pub(super) struct Streams {
    pub(super) choice: LogChoice,
    /// The last run that was opened of each pod's container.
    opened: BTreeMap<(String, String), Run>,
    /// What they were called: a rank may get another pod.
    labels: BTreeSet<String>,
    open: Vec<Open>,
    prefixed: bool,
    told_of_most: bool,
    told_of_left_out: bool,
}

/// A log that is being copied.
struct Open {
    /// The pod and its container.
    key: (String, String),
    label: String,
    log: Forwarding,
}

impl Streams {
    pub(super) fn new(choice: LogChoice) -> Self {
        Self {
            choice,
            opened: BTreeMap::new(),
            labels: BTreeSet::new(),
            open: Vec::new(),
            prefixed: false,
            told_of_most: false,
            told_of_left_out: false,
        }
    }

    /// Whether any log has been copied.
    pub(super) fn has_printed(&self) -> bool {
        !self.opened.is_empty()
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
        let (chosen, left_out) = self.choice.of(pods.values(), ranks);
        self.tell_left_out(kf, component, left_out);
        let several = left_out == LeftOut::Nothing && self.choice.rank.is_none() && ranks.unwrap_or(1) > 1;
        self.prefixed |= several || chosen.len() > 1;
        for Chosen { rank, pod } in chosen {
            let containers = self.choice.containers(component, pod)?;
            self.prefixed |= containers.len() > 1;
            for container in &containers {
                let label = match containers.len() {
                    1 => rank.label(),
                    _ => format!("{}/{container}", rank.label()),
                };
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
        let before = self.opened.get(&key).copied();
        // The lines of a run precede those of the next one.
        if before == Some(run) || self.open.iter().any(|open| open.key == key) {
            return Ok(true);
        }
        if self.open.len() >= MOST_LOGS {
            if !self.told_of_most {
                self.told_of_most = true;
                kf.warn(format!("{MOST_LOGS} logs are shown at once; the next ones follow as these end"));
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
        if self.copy(kf, pod, &key, &label, part)? {
            self.opened.insert(key, run);
            self.labels.insert(label);
        }
        Ok(true)
    }

    /// False if the container is not far enough yet.
    fn copy(
        &mut self,
        kf: &Kf,
        pod: &Object,
        key: &(String, String),
        label: &str,
        part: Part,
    ) -> Result<bool> {
        let missed = part.previous && !self.choice.previous;
        let follow = self.choice.follow && !part.previous;
        let mut request = kf
            .log(pod.name())
            .container(key.1.as_str())
            .follow(follow)
            .timestamps(self.choice.timestamps)
            .previous(part.previous);
        if !part.again {
            request = request.tail(self.choice.tail).since(self.choice.since);
        }
        let ended = matches!(pod_state(pod), PodState::Complete | PodState::Failed);
        let log = match request.open() {
            Ok(log) => log,
            // What was missed may be gone by now.
            Err(error) if missed && !is_fatal(&error) => return Ok(false),
            // Between the status and the log the container may still be on its way.
            Err(error) if follow && !ended && is_too_early(&error) => return Ok(false),
            Err(error) if follow && is_away(&error) => return Ok(false),
            Err(error) => return Err(error.context(format!("the log of {}", pod.name()))),
        };
        let prefix = self.prefixed.then(|| format!("[{label}] "));
        let forwarding = log.forward(prefix.as_deref())?;
        if follow {
            self.open.push(Open { key: key.clone(), label: label.to_owned(), log: forwarding });
        } else {
            // One after the other: what is there is read by rank, not by time.
            forwarding.finish()?;
        }
        Ok(true)
    }

    pub(super) fn close(&mut self, kf: &Kf, index: usize) -> Result<()> {
        if index >= self.open.len() {
            return Ok(());
        }
        let Open { label, log, .. } = self.open.remove(index);
        match log.finish() {
            Ok(_) => Ok(()),
            Err(error) if is_fatal(&error) => Err(error),
            // A node that goes away takes its log with it; the others go on.
            Err(error) => {
                kf.warn(format!("the log of {label} broke off: {error}"));
                Ok(())
            }
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

/// Which part of a container's log.
#[derive(Clone, Copy)]
struct Part {
    /// Not the first of its rank: it is shown from its start.
    again: bool,
    previous: bool,
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
