//! `--watch`: the same table, kept up to date.

use std::time::Duration;

use kf_plugin_sdk::objects::Watch;
use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::Events;

use crate::components::{components, named};
use crate::rows::{self, ComponentRow};
use crate::snapshot::{KINDS, Snapshot, allowed};

/// Ages grow and events come without a watch of their own.
const REFRESH: Duration = Duration::from_secs(5);

/// Stays until it is stopped from outside.
pub(crate) fn run(kf: &Kf, words: Option<&str>) -> Result<Exit> {
    let mut snapshot = Snapshot { events: Events::read(kf)?, ..Snapshot::default() };
    let mut watches = Vec::new();
    for (group, kind, plural) in KINDS.into_iter().chain([("", "Pod", "pods")]) {
        let source = Source { kind: Kind::new(group, kind), plural };
        if let Some(watch) = source.read(kf, &mut snapshot)? {
            watches.push((source, watch));
        }
    }
    snapshot.tell_omissions(kf);

    let screen = kf.live_table::<ComponentRow>();
    let mut shown: Vec<ComponentRow> = Vec::new();
    let mut refresh = kf.after(REFRESH);
    loop {
        let rows = rows(kf, &snapshot, words);
        let rows = if keeps_ages(kf) { with_old_ages(rows, &shown) } else { rows };
        if rows != shown {
            screen.update(&rows)?;
            shown = rows;
        }
        let streams: Vec<_> = watches.iter().map(|(_, watch)| watch.subscribe()).collect();
        let mut all = vec![&refresh];
        all.extend(&streams);
        let ready = kf.wait(&all);
        if ready.is_empty() {
            return Ok(Exit::OK);
        }
        for index in &ready {
            let Some((source, watch)) = index.checked_sub(1).and_then(|index| watches.get_mut(index)) else {
                continue;
            };
            if !source.take(watch, &mut snapshot)?
                && let Some(again) = source.read(kf, &mut snapshot)?
            {
                *watch = again;
            }
        }
        if ready.contains(&0) {
            snapshot.events = Events::read(kf)?;
            refresh = kf.after(REFRESH);
        }
    }
}

fn rows(kf: &Kf, snapshot: &Snapshot, words: Option<&str>) -> Vec<ComponentRow> {
    let components = match words {
        None => components(snapshot),
        Some(words) => named(snapshot, words),
    };
    rows::overview(&components, snapshot, kf.now())
}

/// A program, or a file, wants a line when something happens, not when time passes.
fn keeps_ages(kf: &Kf) -> bool {
    !kf.context().interactive || !kf.output_format().is_table()
}

fn with_old_ages(mut rows: Vec<ComponentRow>, shown: &[ComponentRow]) -> Vec<ComponentRow> {
    for row in &mut rows {
        let before = shown.iter().find(|before| before.kind == row.kind && before.name == row.name);
        if let Some(before) = before {
            row.age_like(before);
        }
    }
    rows
}

/// A kind that is watched.
struct Source {
    kind: Kind,
    plural: &'static str,
}

impl Source {
    /// Reads all objects of the kind; none if it is not served or not allowed.
    fn read(&self, kf: &Kf, snapshot: &mut Snapshot) -> Result<Option<Watch>> {
        let answer = kf.api(self.kind.clone()).list_and_watch();
        let Some((objects, watch)) = allowed(answer, self.plural, &mut snapshot.omitted)? else {
            return Ok(None);
        };
        snapshot.forget(&self.kind.kind);
        for object in objects {
            snapshot.put(&self.kind.kind, object);
        }
        Ok(Some(watch))
    }

    /// Takes what has changed. False if the watch has ended.
    fn take(&self, watch: &Watch, snapshot: &mut Snapshot) -> Result<bool> {
        let events = match watch.next() {
            Err(error) if error.is(ErrorCode::Expired) => return Ok(false),
            other => other?,
        };
        let goes_on = !events.is_empty();
        for event in events {
            match event.kind {
                EventKind::Deleted => snapshot.remove(&self.kind.kind, event.object.name()),
                EventKind::Added | EventKind::Modified => snapshot.put(&self.kind.kind, event.object),
            }
        }
        Ok(goes_on)
    }
}
