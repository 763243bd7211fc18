//! Staying, and showing what is new.

use kf_plugin_sdk::objects::Watch;
use kf_plugin_sdk::prelude::*;

use crate::Events;
use crate::recorded::{Recorded, rows};
use crate::scope::Scope;

/// A person's screen holds so many; what is older scrolls away in `kf events`.
const MOST: usize = 30;

/// Never ends by itself.
pub(crate) fn run(kf: &Kf, events: &Events, mut scope: Scope) -> Result<Exit> {
    let table = kf.live_table();
    let mut shown: Vec<Recorded> = Vec::new();
    loop {
        let (mut known, watch) = events.api(kf).list_and_watch()?;
        loop {
            show(kf, &known, &scope, &mut shown, &table)?;
            if !take(kf, &watch, &mut known, &mut scope)? {
                break;
            }
        }
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

/// Takes what has changed. False if the watch has ended, and all is to be read anew.
fn take(kf: &Kf, watch: &Watch, known: &mut Vec<Object>, scope: &mut Scope) -> Result<bool> {
    let changes = match watch.next() {
        Err(error) if error.is(ErrorCode::Expired) => return Ok(false),
        changes => changes?,
    };
    let goes_on = !changes.is_empty();
    let mut news = false;
    for change in changes {
        let at = known.iter().position(|event| event.uid() == change.object.uid());
        match (change.kind, at) {
            // Kubernetes forgets events after an hour; what was shown stays true.
            (EventKind::Deleted, Some(at)) => drop(known.remove(at)),
            (EventKind::Deleted, None) => {}
            (_, Some(at)) => {
                if let Some(event) = known.get_mut(at) {
                    *event = change.object;
                }
            }
            (_, None) => {
                news |= !scope.holds(&change.object);
                known.push(change.object);
            }
        }
    }
    if news {
        scope.learn(kf);
    }
    Ok(goes_on)
}
