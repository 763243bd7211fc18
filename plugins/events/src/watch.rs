//! `--watch`: the newest events, kept up to date.

use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;

use crate::Events;
use crate::row::{EventRow, rows};
use crate::scope::Scope;

/// The rows on screen; `kf events` prints older ones.
const MAX_ROWS: usize = 30;

/// Runs until it is interrupted.
pub(crate) fn run(kf: &Kf, events: &Events, mut scope: Scope) -> Result<Exit> {
    let table = kf.live_table();
    let mut shown: Vec<EventRow> = Vec::new();
    let mut lost = false;
    let (mut known, mut reflector) = Reflector::open(kf, events.api(kf))?;
    loop {
        show(kf, &known, &scope, &mut shown, &table)?;
        if kf.wait(&[&reflector.subscribe()]).is_empty() {
            return Ok(Exit::OK);
        }
        apply(kf, reflector.changes()?, &mut known, &mut scope);
        match (reflector.lost(), lost) {
            (Some(error), false) => kf.note(format!("{error}; retrying")),
            (None, true) => kf.note("the API server answers again"),
            _ => {}
        }
        lost = reflector.lost().is_some();
    }
}

fn show(
    kf: &Kf,
    known: &[Object],
    scope: &Scope,
    shown: &mut Vec<EventRow>,
    table: &kf_plugin_sdk::ui::LiveTable<EventRow>,
) -> Result<()> {
    let mut rows = rows(known.iter().filter(|event| scope.contains_event(event)), kf.now());
    if rows.len() > MAX_ROWS {
        rows.drain(..rows.len() - MAX_ROWS);
    }
    if !kf.context().interactive || !kf.output_format().is_table() {
        // In a pipe, rows are printed for changes, not because time passes.
        for row in &mut rows {
            if let Some(before) = shown.iter().find(|before| before.is_same(row)) {
                row.keep_age(before);
            }
        }
    }
    table.update(&rows)?;
    *shown = rows;
    Ok(())
}

/// Applies changes to the known events.
fn apply(kf: &Kf, changes: Vec<Change>, known: &mut Vec<Object>, scope: &mut Scope) {
    let mut has_new_pods = false;
    for change in changes {
        let at = |event: &Object| known.iter().position(|known| known.uid() == event.uid());
        match change {
            Change::All(all) => *known = all,
            // Kubernetes deletes events after an hour.
            Change::Deleted(event) => drop(at(&event).map(|at| known.remove(at))),
            Change::Put(event) => match at(&event).and_then(|at| known.get_mut(at)) {
                Some(known) => *known = event,
                None => {
                    has_new_pods |= scope.may_be_new_pod(&event);
                    known.push(event);
                }
            },
        }
    }
    if has_new_pods {
        scope.refresh_pods(kf);
    }
}
