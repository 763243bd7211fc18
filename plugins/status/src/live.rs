//! Snapshots that are kept up to date, source by source.

use std::collections::{BTreeMap, BTreeSet};

use kf_plugin_sdk::Pollable;
use kf_plugin_sdk::objects::{Change, Reflector};
use kf_plugin_sdk::prelude::*;

use crate::snapshot::{PODS, Snapshot, Source};

/// One namespace, or all of them. A list and a watch over all namespaces are one call each, so a source is read once
/// and its objects are sorted into snapshots.
pub(crate) struct Live<'a> {
    kf: &'a Kf,
    everywhere: bool,
    /// By namespace. A namespace that had objects once keeps its snapshot.
    snapshots: BTreeMap<String, Snapshot>,
    sources: Vec<Watched>,
    /// The namespaces in which something has changed since they were asked for.
    changed: BTreeSet<String>,
    told_of_loss: bool,
}

struct Watched {
    source: Source,
    reflector: Reflector,
    /// It was broken from the beginning, which was said, and is retried until it can be read.
    left_out: bool,
}

impl<'a> Live<'a> {
    /// Reads and watches every source that is served and allowed, and says what is left out.
    pub(crate) fn open(kf: &'a Kf, everywhere: bool) -> Result<Self> {
        let api = |source: Source| if everywhere { source.api(kf).everywhere() } else { source.api(kf) };
        let mut live = Self {
            kf,
            everywhere,
            snapshots: BTreeMap::new(),
            sources: Vec::new(),
            changed: BTreeSet::new(),
            told_of_loss: false,
        };
        let mut left_out = Snapshot::default();
        for (source, listed) in left_out.list(kf, api)? {
            let is_told = listed.is_err();
            let opened = listed.and_then(|listed| {
                let reflector = Reflector::open_at(kf, api(source), &listed.resource_version)?;
                Ok((listed.items, reflector))
            });
            match opened {
                Ok((items, reflector)) => {
                    live.replace(source, items);
                    live.sources.push(Watched { source, reflector, left_out: false });
                }
                // What cannot be watched would be shown as it once was.
                Err(error) if error.is_partial() && source != PODS => {
                    let reflector = Reflector::reopen(kf, api(source), error.clone());
                    live.sources.push(Watched { source, reflector, left_out: true });
                    if !is_told {
                        left_out.permitted(source, Err::<(), _>(error))?;
                    }
                }
                Err(error) => drop(left_out.permitted(source, Err::<(), _>(error))?),
            }
        }
        left_out.tell_omissions(kf);
        Ok(live)
    }

    /// The snapshots in which something has changed since the last call, or all of them.
    pub(crate) fn changed(&mut self, all: bool) -> impl Iterator<Item = (&String, &Snapshot)> {
        let changed = std::mem::take(&mut self.changed);
        self.snapshots.iter().filter(move |(namespace, _)| all || changed.contains(*namespace))
    }

    /// Blocks until something has changed, or time has passed. False if nothing can change any more.
    pub(crate) fn wait(&mut self, ages: &Pollable) -> Result<bool> {
        let changes: Vec<_> = self.sources.iter().map(|watched| watched.reflector.subscribe()).collect();
        let all: Vec<_> = [ages].into_iter().chain(&changes).collect();
        let ready = self.kf.wait(&all);
        // From the back: taking one out moves those behind it.
        for index in ready.iter().rev().filter_map(|index| index.checked_sub(1)) {
            let Some(watched) = self.sources.get_mut(index) else { continue };
            match watched.reflector.changes() {
                Ok(changes) => self.apply(index, changes),
                // A kind that is not served, or not allowed, any more takes no other along.
                Err(error) if watched.source != PODS => {
                    let Watched { source, .. } = self.sources.remove(index);
                    let mut left_out = Snapshot::default();
                    left_out.permitted(source, Err::<(), _>(error))?;
                    left_out.tell_omissions(self.kf);
                    self.replace(source, Vec::new());
                }
                Err(error) => return Err(error),
            }
        }
        self.tell_loss();
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

    /// Takes in all objects of a source, in place of those it had.
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

    /// Says once that what is shown may be old, and once that it is not.
    fn tell_loss(&mut self) {
        let shown = self.sources.iter().filter(|watched| !watched.left_out);
        let lost = shown.filter_map(|watched| watched.reflector.lost()).next();
        match (lost, self.told_of_loss) {
            (Some(error), false) => self.kf.note(format!("{error}; trying again")),
            (None, true) => self.kf.note("the API server answers again"),
            _ => {}
        }
        self.told_of_loss = lost.is_some();
    }
}
