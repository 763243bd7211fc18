//! Staying, and showing what is new.

use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;

use crate::Events;
use crate::recorded::{Recorded, rows};
use crate::scope::Scope;

/// A person's screen holds so many; what is older scrolls away in `kf events`.
const MOST: usize = 30;

/// Stays until it is stopped from outside.
pub(crate) fn run(kf: &Kf, events: &Events, mut scope: Scope) -> Result<Exit> {
    let table = kf.live_table();
    let mut shown: Vec<Recorded> = Vec::new();
    let mut lost = false;
    let (mut known, mut reflector) = Reflector::open(kf, events.api(kf))?;
    loop {
        show(kf, &known, &scope, &mut shown, &table)?;
        if kf.wait(&[&reflector.subscribe()]).is_empty() {
            return Ok(Exit::OK);
        }
        take(kf, reflector.changes()?, &mut known, &mut scope);
        match (reflector.lost(), lost) {
            (Some(error), false) => kf.note(format!("{error}; trying again")),
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
    shown: &mut Vec<Recorded>,
    table: &kf_plugin_sdk::ui::LiveTable<Recorded>,
) -> Result<()> {
    let mut rows = rows(known.iter().filter(|event| scope.holds(event)), kf.now());
    if rows.len() > MOST {
        rows.drain(..rows.len() - MOST);
    }
    if !kf.context().interactive || !kf.output_format().is_table() {
        // A pipe gets a line when something happens, not when time passes.
        for row in &mut rows {
            if let Some(before) = shown.iter().find(|before| before.is_same(row)) {
                row.age_like(before);
            }
        }
    }
    table.update(&rows)?;
    *shown = rows;
    Ok(())
}

/// Takes what has changed.
fn take(kf: &Kf, changes: Vec<Change>, known: &mut Vec<Object>, scope: &mut Scope) {
    let mut news = false;
    for change in changes {
        let at = |event: &Object| known.iter().position(|known| known.uid() == event.uid());
        match change {
            Change::All(all) => *known = all,
            // Kubernetes forgets events after an hour; what was shown stays true.
            Change::Deleted(event) => drop(at(&event).map(|at| known.remove(at))),
            Change::Put(event) => match at(&event).and_then(|at| known.get_mut(at)) {
                Some(known) => *known = event,
                None => {
                    news |= scope.may_be_its_own(&event);
                    known.push(event);
                }
            },
        }
    }
    if news {
        scope.learn(kf);
    }
}
