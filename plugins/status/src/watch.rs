//! `--watch`: the same table, kept up to date by watches.

use std::time::Duration;

use kf_plugin_sdk::Pollable;
use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;

use crate::components::{components, named};
use crate::inquiry::Inquiry;
use crate::rows::{self, ComponentRow};
use crate::snapshot::{Snapshot, Source};

/// How often a person's table grows older. It costs no call.
const AGES: Duration = Duration::from_secs(5);

/// Stays until it is stopped from outside.
pub(crate) fn run(kf: &Kf, names: &[String]) -> Result<Exit> {
    let mut live = Live::open(kf)?;
    live.snapshot.tell_omissions(kf);
    let inquiry = Inquiry::new(kf);
    let screen = kf.live_table::<ComponentRow>();
    let mut shown: Vec<ComponentRow> = Vec::new();
    let mut ages = kf.after(AGES);
    loop {
        inquiry.renew();
        let rows = rows(kf, &live.snapshot, names, &inquiry);
        let rows = if keeps_ages(kf) { with_old_ages(rows, &shown) } else { rows };
        if rows != shown {
            screen.update(&rows)?;
            shown = rows;
        }
        if !live.wait(&ages)? {
            return Ok(Exit::OK);
        }
        if ages.ready() {
            ages = kf.after(AGES);
        }
    }
}

fn rows(kf: &Kf, snapshot: &Snapshot, names: &[String], inquiry: &Inquiry<'_>) -> Vec<ComponentRow> {
    let components = match names {
        [] => components(snapshot),
        names => names.iter().flat_map(|words| named(snapshot, words)).collect(),
    };
    rows::overview(&components, snapshot, kf.now(), inquiry)
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

/// A snapshot, kept up to date source by source.
struct Live<'a> {
    kf: &'a Kf,
    snapshot: Snapshot,
    sources: Vec<(Source, Reflector)>,
    told_of_loss: bool,
}

impl<'a> Live<'a> {
    /// Reads and watches every source that is served and allowed.
    fn open(kf: &'a Kf) -> Result<Self> {
        let mut snapshot = Snapshot::default();
        let mut sources = Vec::new();
        for (source, version) in snapshot.read_sources(kf)? {
            let answer = Reflector::open_at(kf, source.api(kf), &version);
            if let Some(reflector) = snapshot.permitted(source, answer)? {
                sources.push((source, reflector));
            }
        }
        Ok(Self { kf, snapshot, sources, told_of_loss: false })
    }

    /// Blocks until something has changed, or time has passed. False if nothing can change any more.
    fn wait(&mut self, ages: &Pollable) -> Result<bool> {
        let changes: Vec<_> = self.sources.iter().map(|(_, reflector)| reflector.subscribe()).collect();
        let all: Vec<_> = [ages].into_iter().chain(&changes).collect();
        let ready = self.kf.wait(&all);
        for index in ready.iter().filter_map(|index| index.checked_sub(1)) {
            let Some((source, reflector)) = self.sources.get_mut(index) else { continue };
            for change in reflector.changes()? {
                match change {
                    Change::All(objects) => self.snapshot.replace(*source, objects),
                    Change::Put(object) => self.snapshot.put(*source, object),
                    Change::Deleted(object) => self.snapshot.remove(*source, object.name()),
                }
            }
        }
        self.tell_loss();
        Ok(!ready.is_empty())
    }

    /// Says once that what is shown may be old, and once that it is not.
    fn tell_loss(&mut self) {
        let lost = self.sources.iter().find_map(|(_, reflector)| reflector.lost());
        match (lost, self.told_of_loss) {
            (Some(error), false) => self.kf.note(format!("{error}; trying again")),
            (None, true) => self.kf.note("the API server answers again"),
            _ => {}
        }
        self.told_of_loss = lost.is_some();
    }
}
