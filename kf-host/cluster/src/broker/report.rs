//! What a run did: the calls for `--explain`, the changes for `--dry-run`, the server's warnings.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kf_core::grants::RuleSet;

use super::diff::{DiffLine, Mark};

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
    /// The object as the write would leave it, as JSON, without the bookkeeping of the server; of a delete which
    /// object it is. Empty if it is too large to be kept.
    pub document: String,
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

impl Change {
    /// How much memory the lines and the document take.
    fn bytes(&self) -> usize {
        let lines = self.lines.iter().map(|line| size_of::<DiffLine>() + line.text.len());
        self.document.len() + lines.sum::<usize>()
    }

    /// The lines as text, signs in front, what the server set marked in a column of its own.
    pub fn rendered(&self) -> Vec<(Mark, String)> {
        const WIDEST: usize = 72;
        let width = self.lines.iter().filter(|l| l.by_server).map(|l| l.text.chars().count()).max();
        let width = width.unwrap_or(0).min(WIDEST);
        let lines = self.lines.iter().map(|line| {
            let pad = " ".repeat(width.saturating_sub(line.text.chars().count()));
            let by_server = if line.by_server { format!("{pad}   set by the server") } else { String::new() };
            (line.mark, format!("{} {}{by_server}", line.sign(), line.text))
        });
        lines.collect()
    }
}

/// The calls as `--explain` prints them: a summary, then a line each.
///
/// `manifest` is the set the records' rule numbers count in.
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

/// The column of numbers among the texts.
const LATENCY: usize = 4;

fn row(call: &CallRecord) -> [String; 7] {
    let name = call.name.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    [
        call.method.clone(),
        // Discovery asks for a group, of which there is no resource.
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

fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// What the lines of all changes of a dry run may take up, in bytes.
const MAX_CHANGES_BYTES: usize = 8 << 20;

/// The most changes that are kept with their headline.
const MAX_CHANGES: usize = 10_000;

/// Collects while the run goes on; nothing in it is worth failing a call for.
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
    /// Keeps as many calls as a run can spend, and more. Only connections to forwarded ports go beyond.
    pub(super) fn call(&self, record: CallRecord) {
        const MOST: usize = 20_000;
        let mut calls = locked(&self.calls);
        if calls.len() < MOST {
            calls.push(record);
        }
    }

    /// Keeps a change. Of one that would make them too large only the headline is kept.
    pub(super) fn change(&self, change: Change) {
        let mut changes = locked(&self.changes);
        let kept: usize = changes.iter().map(Change::bytes).sum();
        if kept.saturating_add(change.bytes()) <= MAX_CHANGES_BYTES {
            changes.push(change);
        } else if changes.len() < MAX_CHANGES {
            let note = Some("the change is too large to be shown beside the others".to_owned());
            changes.push(Change { lines: Vec::new(), document: String::new(), note, ..change });
        }
    }

    /// Keeps the text of a `Warning` header, `299 - "text"`, once.
    pub(super) fn warning(&self, header: &str) {
        const MOST: usize = 50;
        let text =
            header.split_once('"').and_then(|(_, rest)| rest.rsplit_once('"')).map_or(header, |(t, _)| t);
        let text = kf_core::text::one_line(&text.replace("\\\"", "\""));
        let mut warnings = locked(&self.warnings);
        if !text.is_empty() && warnings.len() < MOST && !warnings.contains(&text) {
            warnings.push(text);
        }
    }

    /// Keeps the last few words about objects, each once.
    pub(super) fn withheld(&self, object: &str, words: String) {
        const MOST: usize = 5;
        let mut withheld = locked(&self.withheld);
        let entry = (object.to_owned(), words);
        withheld.retain(|known| *known != entry);
        withheld.push(entry);
        if withheld.len() > MOST {
            withheld.remove(0);
        }
    }

    pub(super) fn withheld_words(&self) -> Vec<(String, String)> {
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
    fn calls_are_told_with_the_rules_that_allowed_them() {
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
    fn a_forwarded_port_that_fails_for_days_does_not_fill_the_memory() {
        let recorder = Recorder::default();
        for _ in 0..30_000 {
            recorder.call(call("create", "pods/portforward", Some(1), None));
        }
        assert_eq!(recorder.calls().len(), 20_000);
    }

    #[test]
    fn a_change_is_told_line_by_line() {
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
