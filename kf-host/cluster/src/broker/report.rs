//! What a run did: the calls for `--explain`, the changes for `--dry-run`, the server's warnings.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::diff::DiffLine;

/// One call that left the machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// RBAC's verb; `discover` for discovery.
    pub verb: String,
    /// The HTTP method.
    pub method: String,
    /// The plural with its group: `trainjobs.trainer.kubeflow.org`.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// Absent if there was no answer.
    pub status: Option<u16>,
    /// Until the whole answer was there; for a stream, until its head was.
    pub latency: Duration,
    /// The manifest's rule that allowed it, counted from 1; absent for what needs no grant
    /// (discovery, can-i, whoami) and for what the host asked for itself.
    pub rule: Option<usize>,
    /// How many objects came back.
    pub objects: Option<usize>,
}

/// What a write would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Change,
    Delete,
    /// The object is already as the write wants it.
    Nothing,
}

/// One write of a dry run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    pub action: Action,
    /// `trainjob`
    pub kind: String,
    pub namespace: Option<String>,
    pub name: String,
    pub lines: Vec<DiffLine>,
    /// Why the lines may not tell everything: the object that is there could not be read.
    pub note: Option<String>,
}

impl Change {
    /// `would create trainjob/mnist in team-a`
    pub fn headline(&self) -> String {
        let would = match self.action {
            Action::Create => "would create",
            Action::Change => "would change",
            Action::Delete => "would delete",
            Action::Nothing => "would leave as it is",
        };
        let place = self.namespace.as_ref().map(|n| format!(" in {n}")).unwrap_or_default();
        format!("{would} {}/{}{place}", self.kind, self.name)
    }
}

/// Collects while the run goes on; nothing in it is worth failing a call for.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    calls: Mutex<Vec<CallRecord>>,
    changes: Mutex<Vec<Change>>,
    warnings: Mutex<Vec<String>>,
}

fn locked<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    pub(super) fn call(&self, record: CallRecord) {
        locked(&self.calls).push(record);
    }

    pub(super) fn change(&self, change: Change) {
        locked(&self.changes).push(change);
    }

    /// Keeps the text of a `Warning` header, `299 - "text"`, once.
    pub(super) fn warning(&self, header: &str) {
        const MOST: usize = 50;
        let text =
            header.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(header, |(t, _)| t);
        let text = crate::connection::one_line(&text.replace("\\\"", "\""));
        let mut warnings = locked(&self.warnings);
        if !text.is_empty() && warnings.len() < MOST && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    pub(super) fn calls(&self) -> Vec<CallRecord> {
        locked(&self.calls).clone()
    }

    pub(super) fn changes(&self) -> Vec<Change> {
        locked(&self.changes).clone()
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        locked(&self.warnings).clone()
    }
}
