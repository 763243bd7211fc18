//! Snapshots that are kept up to date, source by source.

use std::collections::{BTreeMap, BTreeSet};

use kf_plugin_sdk::Pollable;
use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;

use crate::snapshot::{PODS, Snapshot, Source};

/// Watches one namespace, or all. A list and a watch over all namespaces are one call each, so each source is read once
/// and its objects are distributed to the snapshots.
pub(crate) struct Live<'a> {
    kf: &'a Kf,
    everywhere: bool,
    /// By namespace. A snapshot is kept when its namespace is empty.
    snapshots: BTreeMap<String, Snapshot>,
    sources: Vec<Watched>,
    /// The namespaces that have changed since the last call of `changed`.
    changed: BTreeSet<String>,
    is_loss_reported: bool,
}

struct Watched {
    source: Source,
    reflector: Reflector,
    /// It was broken from the start, which was reported; it is retried until it can be read.
    left_out: bool,
}

impl<'a> Live<'a> {
    /// Reads and watches every source that is served and allowed. Reports skipped sources.
    pub(crate) fn open(kf: &'a Kf, everywhere: bool) -> Result<Self> {
        let api = |source: Source| if everywhere { source.api(kf).everywhere() } else { source.api(kf) };
        let mut live = Self {
            kf,
            everywhere,
            snapshots: BTreeMap::new(),
            sources: Vec::new(),
            changed: BTreeSet::new(),
            is_loss_reported: false,
        };
        let mut left_out = Snapshot::default();
        for (source, listed) in left_out.list(kf, api)? {
            let is_reported = listed.is_err();
            let opened = listed.and_then(|listed| {
                let reflector = Reflector::open_at(kf, api(source), &listed.resource_version)?;
                Ok((listed.items, reflector))
            });
            match opened {
                Ok((items, reflector)) => {
                    live.replace(source, items);
                    live.sources.push(Watched { source, reflector, left_out: false });
                }
                // Without a watch, its objects would become outdated.
                Err(error) if error.is_partial() && source != PODS => {
                    let reflector = Reflector::reopen(kf, api(source), error.clone());
                    live.sources.push(Watched { source, reflector, left_out: true });
                    if !is_reported {
                        left_out.permitted(source, Err::<(), _>(error))?;
                    }
                }
                Err(error) => drop(left_out.permitted(source, Err::<(), _>(error))?),
            }
        }
        left_out.report_omissions(kf);
        Ok(live)
    }

    /// The snapshots that have changed since the last call, or all.
    pub(crate) fn changed(&mut self, all: bool) -> impl Iterator<Item = (&String, &Snapshot)> {
        let changed = std::mem::take(&mut self.changed);
        self.snapshots.iter().filter(move |(namespace, _)| all || changed.contains(*namespace))
    }

    /// Blocks until something has changed or `ages` is ready. False if nothing can change any more.
    pub(crate) fn wait(&mut self, ages: &Pollable) -> Result<bool> {
        let changes: Vec<_> = self.sources.iter().map(|watched| watched.reflector.subscribe()).collect();
        let all: Vec<_> = [ages].into_iter().chain(&changes).collect();
        let ready = self.kf.wait(&all);
        // In reverse, because removing one shifts those after it.
        for index in ready.iter().rev().filter_map(|index| index.checked_sub(1)) {
            let Some(watched) = self.sources.get_mut(index) else { continue };
            match watched.reflector.changes() {
                Ok(changes) => self.apply(index, changes),
                // A kind that is no longer served or allowed does not affect the others.
                Err(error) if watched.source != PODS => {
                    let Watched { source, .. } = self.sources.remove(index);
                    let mut left_out = Snapshot::default();
                    left_out.permitted(source, Err::<(), _>(error))?;
                    left_out.report_omissions(self.kf);
                    self.replace(source, Vec::new());
                }
                Err(error) => return Err(error),
            }
        }
        self.report_loss();
        Ok(!ready.is_empty())
    }

    fn apply(&mut self, index: usize, changes: Vec<Change>) {
        let Some(source) = self.sources.get(index).map(|watched| watched.source) else { return };
        for change in changes {
            match change {
                Change::All(objects) => self.replace(source, objects),
                Change::Put(object) => self.of(&object).put(source, object),
                Change::Deleted(object) => self.of(&object).remove(source, object.name()),
            }
        }
        let Some(watched) = self.sources.get_mut(index) else { return };
        if watched.left_out && watched.reflector.lost().is_none() {
            watched.left_out = false;
            self.kf.note(format!("{} can be read again", source.plural()));
        }
    }

    /// Replaces all objects of a source.
    fn replace(&mut self, source: Source, objects: Vec<Object>) {
        let mut parts: BTreeMap<String, Vec<Object>> = BTreeMap::new();
        for object in objects {
            parts.entry(self.namespace(&object)).or_default().push(object);
        }
        for namespace in parts.keys() {
            self.snapshots.entry(namespace.clone()).or_default();
        }
        for (namespace, snapshot) in &mut self.snapshots {
            snapshot.replace(source, parts.remove(namespace).unwrap_or_default());
            self.changed.insert(namespace.clone());
        }
    }

    fn of(&mut self, object: &Object) -> &mut Snapshot {
        let namespace = self.namespace(object);
        self.changed.insert(namespace.clone());
        self.snapshots.entry(namespace).or_default()
    }

    fn namespace(&self, object: &Object) -> String {
        match object.namespace() {
            Some(namespace) if self.everywhere => namespace.to_owned(),
            _ => self.kf.namespace(),
        }
    }

    /// Reports once that the connection is lost, and once that it is restored.
    fn report_loss(&mut self) {
        let shown = self.sources.iter().filter(|watched| !watched.left_out);
        let lost = shown.filter_map(|watched| watched.reflector.lost()).next();
        match (lost, self.is_loss_reported) {
            (Some(error), false) => self.kf.note(format!("{error}; retrying")),
            (None, true) => self.kf.note("the API server answers again"),
            _ => {}
        }
        self.is_loss_reported = lost.is_some();
    }
}
