//! Looks up the cause behind a reason with one more call: the last log line of a crashed container, or the state of a
//! volume claim.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Clue, Events, Verdict};

/// The number of lookups for one table.
const MAX_LOOKUPS: u32 = 10;

/// Follows each clue once.
pub(crate) struct CauseLookup<'a> {
    kf: &'a Kf,
    /// Also by the reason: it contains the restart count, and each run of a container has its own last line.
    known: RefCell<BTreeMap<(String, Clue), Option<String>>>,
    left: Cell<u32>,
}

impl<'a> CauseLookup<'a> {
    pub(crate) fn new(kf: &'a Kf) -> Self {
        Self { kf, known: RefCell::default(), left: Cell::new(MAX_LOOKUPS) }
    }

    /// Makes no calls: in all namespaces there would be too many.
    pub(crate) fn none(kf: &'a Kf) -> Self {
        Self { left: Cell::new(0), ..Self::new(kf) }
    }

    /// Resets the limit for the next table.
    pub(crate) fn reset(&self) {
        self.left.set(MAX_LOOKUPS);
    }

    pub(crate) fn complete(&self, verdict: &mut Verdict, events: &Events) {
        let (Some(clue), Some(why)) = (verdict.clue.take(), &mut verdict.why) else { return };
        let key = (why.clone(), clue);
        if !self.known.borrow().contains_key(&key) {
            let Some(left) = self.left.get().checked_sub(1) else { return };
            self.left.set(left);
            let more = key.1.follow(self.kf, events);
            self.known.borrow_mut().insert(key.clone(), more);
        }
        if let Some(Some(more)) = self.known.borrow().get(&key) {
            *why = format!("{why}; {more}");
        }
    }
}
