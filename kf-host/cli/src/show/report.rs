//! The host's report on a run: warnings, the changes of a dry run, and the requests.

use kf_cluster::broker::{Action, Change, Mark, render_calls};
use kf_command::run::Finished;
use kf_core::exit;
use kf_core::failure::Result;
use kf_core::ui::{Format, Tone};
use serde_json::{Value, json};

use crate::app::App;
use crate::args::RunArgs;
use crate::ui::Ui;

pub fn show(app: &App, flags: &RunArgs, finished: &Finished) -> Result<()> {
    for warning in &finished.warnings {
        app.ui.warn(warning);
    }
    if !matches!(finished.exit, Ok(exit::OK)) {
        for (speaker, words) in &finished.withheld {
            app.ui.note(&format!("{speaker} (hidden from the command): {words}"));
        }
    }
    if matches!(finished.exit, Ok(exit::OK)) {
        warn_unused_wide(&app.ui);
    }
    if finished.rules.is_empty() {
        return Ok(());
    }
    if flags.dry_run {
        changes(app, &finished.changes)?;
    }
    if flags.explain {
        for line in render_calls(&finished.calls, &finished.rules) {
            app.ui.note(&line);
        }
    }
    Ok(())
}

/// Warns if `-o wide` was given and showed no additional columns.
pub fn warn_unused_wide(ui: &Ui) {
    if ui.format() == Format::Wide && !ui.has_shown_wide() {
        ui.warn("-o wide has no effect here");
    }
}

/// Prints the changes for users, or the documents for programs, to stdout.
fn changes(app: &App, changes: &[Change]) -> Result<()> {
    let for_user = matches!(app.ui.format(), Format::Table | Format::Wide);
    for change in changes {
        app.ui.note(&format!("{}   (server dry run: accepted)", change.headline()));
        for (mark, text) in change.rendered().into_iter().filter(|_| for_user) {
            let tone = match mark {
                Mark::Added => Tone::Good,
                Mark::Removed => Tone::Bad,
                Mark::Changed => Tone::Warning,
            };
            app.ui.data_toned(&text, tone)?;
        }
        if let Some(note) = &change.note {
            app.ui.note(note);
        }
    }
    match app.ui.format() {
        Format::Table | Format::Wide => {}
        Format::Json | Format::Yaml => {
            if let Some(document) = document(changes) {
                app.ui.document(&document)?;
            }
        }
        Format::Name => {
            for change in last_of_each(changes) {
                app.ui.data(format!("{}/{}\n", change.kind, change.name).as_bytes())?;
            }
        }
    }
    app.ui.note("Nothing was changed.");
    Ok(())
}

/// The objects that would be written, as one object or a list. If there are only deletes, the objects that would be
/// deleted; otherwise these are omitted, because they could be mistaken for objects to apply.
fn document(changes: &[Change]) -> Option<Value> {
    let last = last_of_each(changes);
    let (deleted, written): (Vec<_>, Vec<_>) =
        last.into_iter().partition(|change| change.action == Action::Delete);
    let shown = if written.is_empty() { deleted } else { written };
    let parse = |change: &&Change| serde_json::from_str::<Value>(&change.document).ok();
    let mut documents: Vec<Value> = shown.iter().filter_map(parse).collect();
    match documents.len() {
        0 => None,
        1 => documents.pop(),
        _ => Some(json!({ "apiVersion": "v1", "kind": "List", "items": documents })),
    }
}

/// The last change of each object: a command may try a write before it sends it.
fn last_of_each(changes: &[Change]) -> Vec<&Change> {
    let mut last: Vec<&Change> = Vec::new();
    for change in changes {
        let same = |other: &&mut &Change| {
            (&other.kind, &other.namespace, &other.name) == (&change.kind, &change.namespace, &change.name)
        };
        match last.iter_mut().find(same) {
            Some(earlier) => *earlier = change,
            None => last.push(change),
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(action: Action, name: &str, document: &Value) -> Change {
        Change {
            action,
            kind: "job".into(),
            namespace: Some("team-a".into()),
            name: name.into(),
            lines: Vec::new(),
            document: document.to_string(),
            note: None,
        }
    }

    #[test]
    fn single_write_is_an_object_and_several_are_a_list() {
        let job =
            |name: &str, tries: i64| json!({ "kind": "Job", "metadata": { "name": name }, "tries": tries });
        assert_eq!(document(&[]), None);
        let a = [change(Action::Create, "a", &job("a", 1)), change(Action::Create, "a", &job("a", 2))];
        assert_eq!(document(&a), Some(job("a", 2)), "the last try counts");
        let both = [a.to_vec(), vec![change(Action::Nothing, "b", &job("b", 1))]].concat();
        let items = [job("a", 2), job("b", 1)];
        assert_eq!(document(&both), Some(json!({ "apiVersion": "v1", "kind": "List", "items": items })));
    }

    #[test]
    fn deletes_are_listed_only_without_writes() {
        let named = |name: &str| json!({ "metadata": { "name": name } });
        let delete = change(Action::Delete, "old", &named("old"));
        assert_eq!(document(std::slice::from_ref(&delete)), Some(named("old")));
        let with_a_write = [delete, change(Action::Create, "new", &named("new"))];
        assert_eq!(document(&with_a_write), Some(named("new")));
    }
}
