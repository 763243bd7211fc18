//! Records a run: the calls for `--explain`, the changes for `--dry-run`, the server's warnings.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kf_core::grants::RuleSet;
use kf_core::text::counted;

use super::diff::{DiffLine, Mark};

/// One call that was sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallRecord {
    /// The RBAC verb; `discover` for discovery.
    pub verb: String,
    /// The HTTP method.
    pub method: String,
    /// The plural with its group: `trainjobs.trainer.kubeflow.org`.
    pub resource: String,
    pub namespace: Option<String>,
    pub name: Option<String>,
    /// Absent without a response.
    pub status: Option<u16>,
    /// Until the response was complete; for a stream, until its head was received.
    pub latency: Duration,
    /// The manifest's rule that allowed it, counted from 1; absent for calls that need no grant (discovery, can-i,
    /// whoami) and for the host's own.
    pub rule: Option<usize>,
    /// The number of objects in the response.
    pub objects: Option<usize>,
}

/// What a write would do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Create,
    Change,
    Delete,
    /// The object is already up to date.
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
    /// The resulting object as JSON, without metadata that the server maintains; for a delete, only its identity. Empty
    /// if it is too large to be kept.
    pub document: String,
    /// Why the lines may be incomplete, such as an object that could not be read.
    pub note: Option<String>,
}

impl Change {
    /// `would create trainjob/mnist in team-a`
    pub fn headline(&self) -> String {
        let would = match self.action {
            Action::Create => "would create",
            Action::Change => "would change",
            Action::Delete => "would delete",
            Action::Nothing => "would not change",
        };
        let place = self.namespace.as_ref().map(|n| format!(" in {n}")).unwrap_or_default();
        format!("{would} {}/{}{place}", self.kind, self.name)
    }
}

impl Change {
    /// The memory size of the lines and the document.
    fn bytes(&self) -> usize {
        let lines = self.lines.iter().map(|line| size_of::<DiffLine>() + line.text.len());
        self.document.len() + lines.sum::<usize>()
    }

    /// The lines as text with a leading sign, and a column that marks what the server set.
    pub fn rendered(&self) -> Vec<(Mark, String)> {
        const MAX_WIDTH: usize = 72;
        let width = self.lines.iter().filter(|l| l.by_server).map(|l| l.text.chars().count()).max();
        let width = width.unwrap_or(0).min(MAX_WIDTH);
        let lines = self.lines.iter().map(|line| {
            let pad = " ".repeat(width.saturating_sub(line.text.chars().count()));
            let by_server = if line.by_server { format!("{pad}   set by the server") } else { String::new() };
            (line.mark, format!("{} {}{by_server}", line.sign(), line.text))
        });
        lines.collect()
    }
}

/// The calls as printed by `--explain`: a summary, then one line per call.
///
/// `manifest` is the set that the rule numbers refer to.
pub fn render_calls(calls: &[CallRecord], manifest: &RuleSet) -> Vec<String> {
    let total: Duration = calls.iter().map(|call| call.latency).sum();
    let rules: BTreeSet<usize> = calls.iter().filter_map(|call| call.rule).collect();
    let named: Vec<String> = rules.iter().map(|number| named_rule(*number, manifest)).collect();
    let mut summary = format!("{}, {} ms", counted(calls.len(), "call"), total.as_millis());
    if !named.is_empty() {
        summary.push_str(", allowed by ");
        summary.push_str(&named.join(" or "));
    }
    let rows: Vec<[String; 7]> = calls.iter().map(row).collect();
    let mut widths = [0; 7];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let lines = rows.iter().map(|row| {
        let aligned = row.iter().zip(widths).enumerate().map(|(at, (cell, width))| match at {
            LATENCY => format!("{cell:>width$}"),
            _ => format!("{cell:<width$}"),
        });
        let cells: Vec<String> = aligned.collect();
        format!("  {}", cells.join("  ")).trim_end().to_owned()
    });
    std::iter::once(summary).chain(lines).collect()
}

/// The index of the right-aligned column.
const LATENCY: usize = 4;

fn row(call: &CallRecord) -> [String; 7] {
    let name = call.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    [
        call.method.clone(),
        // Discovery is about a group, not a resource.
        match call.resource.strip_prefix('.') {
            Some(group) => format!("{} {group}", call.verb),
            None if call.resource.is_empty() => call.verb.clone(),
            None => format!("{}{name}", call.resource),
        },
        call.namespace.clone().unwrap_or_default(),
        call.status.map_or_else(|| "no answer".to_owned(), |status| status.to_string()),
        format!("{} ms", call.latency.as_millis()),
        call.rule.map_or_else(|| "no rule needed".to_owned(), |rule| format!("rule {rule}")),
        call.objects.map(|count| counted(count, "object")).unwrap_or_default(),
    ]
}

/// `rule 2 (get,list pods)`
fn named_rule(number: usize, manifest: &RuleSet) -> String {
    let rule = number.checked_sub(1).and_then(|at| manifest.rules().get(at));
    let Some(rule) = rule else { return format!("rule {number}") };
    let joined = |words: Vec<String>| words.join(",");
    let verbs = joined(rule.verbs.iter().map(ToString::to_string).collect());
    let resources = joined(rule.resources.iter().map(ToString::to_string).collect());
    format!("rule {number} ({verbs} {resources})")
}

/// The maximum size of all recorded changes, in bytes.
const MAX_CHANGES_BYTES: usize = 8 << 20;

/// The maximum number of recorded changes.
const MAX_CHANGES: usize = 10_000;

/// Collects records during a run. Recording never fails a call.
#[derive(Debug, Default)]
pub(super) struct Recorder {
    calls: Mutex<Vec<CallRecord>>,
    changes: Mutex<Vec<Change>>,
    warnings: Mutex<Vec<String>>,
    withheld: Mutex<Vec<(String, String)>>,
}

fn locked<T>(list: &Mutex<Vec<T>>) -> MutexGuard<'_, Vec<T>> {
    list.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Recorder {
    /// Records a call. The limit is above the budget of a run; only connections to forwarded ports can exceed it.
    pub(super) fn call(&self, record: CallRecord) {
        const MAX_CALLS: usize = 20_000;
        let mut calls = locked(&self.calls);
        if calls.len() < MAX_CALLS {
            calls.push(record);
        }
    }

    /// Records a change. If the changes are too large, only its headline is kept.
    pub(super) fn change(&self, change: Change) {
        let mut changes = locked(&self.changes);
        let kept: usize = changes.iter().map(Change::bytes).sum();
        if kept.saturating_add(change.bytes()) <= MAX_CHANGES_BYTES {
            changes.push(change);
        } else if changes.len() < MAX_CHANGES {
            let note = Some("omitted: the changes of this run are too large to show in full".to_owned());
            changes.push(Change { lines: Vec::new(), document: String::new(), note, ..change });
        }
    }

    /// Records the text of a `Warning` header, `299 - "text"`, without duplicates.
    pub(super) fn warning(&self, header: &str) {
        const MAX_WARNINGS: usize = 50;
        let text =
            header.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(header, |(t, _)| t);
        let text = kf_core::text::one_line(&text.replace("\\\"", "\""));
        let mut warnings = locked(&self.warnings);
        if !text.is_empty() && warnings.len() < MAX_WARNINGS && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Records the last few withheld messages about objects, without duplicates.
    pub(super) fn withheld(&self, object: &str, message: String) {
        const MAX_WITHHELD: usize = 5;
        let mut withheld = locked(&self.withheld);
        let entry = (object.to_owned(), message);
        withheld.retain(|known| *known != entry);
        withheld.push(entry);
        if withheld.len() > MAX_WITHHELD {
            withheld.remove(0);
        }
    }

    pub(super) fn withheld_messages(&self) -> Vec<(String, String)> {
        locked(&self.withheld).clone()
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(verb: &str, resource: &str, rule: Option<usize>, objects: Option<usize>) -> CallRecord {
        CallRecord {
            verb: verb.into(),
            method: "GET".into(),
            resource: resource.into(),
            namespace: rule.map(|_| "team-a".into()),
            name: None,
            status: Some(200),
            latency: Duration::from_millis(9),
            rule,
            objects,
        }
    }

    #[test]
    fn calls_are_rendered_with_allowing_rules() {
        let manifest =
            RuleSet::parse(&[json!({"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]})])
                .unwrap();
        let mut failed = call("list", "pods", Some(1), None);
        failed.status = None;
        let calls = [call("discover", "", None, None), call("list", "pods", Some(1), Some(1)), failed];
        assert_eq!(
            render_calls(&calls, &manifest),
            [
                "3 calls, 27 ms, allowed by rule 1 (get,list pods)",
                "  GET  discover          200        9 ms  no rule needed",
                "  GET  pods      team-a  200        9 ms  rule 1          1 object",
                "  GET  pods      team-a  no answer  9 ms  rule 1",
            ]
        );
        assert_eq!(render_calls(&[], &manifest), ["0 calls, 0 ms"]);
    }

    #[test]
    fn recorded_calls_are_bounded() {
        let recorder = Recorder::default();
        for _ in 0..30_000 {
            recorder.call(call("create", "pods/portforward", Some(1), None));
        }
        assert_eq!(recorder.calls().len(), 20_000);
    }

    #[test]
    fn change_is_rendered_line_by_line() {
        let line = |text: &str, by_server| DiffLine { mark: Mark::Added, text: text.into(), by_server };
        let change = Change {
            action: Action::Create,
            kind: "trainjob".into(),
            namespace: Some("team-a".into()),
            name: "mnist".into(),
            lines: vec![line("kind: TrainJob", false), line("a: 1", true), line("long: 2", true)],
            document: String::new(),
            note: Some("a note".into()),
        };
        assert_eq!(change.headline(), "would create trainjob/mnist in team-a");
        let lines = ["+ kind: TrainJob", "+ a: 1      set by the server", "+ long: 2   set by the server"];
        assert_eq!(change.rendered(), lines.map(|line| (Mark::Added, line.to_owned())));
    }
}
