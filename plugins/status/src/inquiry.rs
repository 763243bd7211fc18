//! One more call where a reason has more to tell: the last line of a crashed container's log, a
//! volume claim's own reason.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use kf_plugin_sdk::prelude::*;
use kf_plugin_sdk::workloads::{Clue, Events, Verdict};

/// Calls for one picture. Who has more crashes than that reads the first.
const MOST: u32 = 10;

/// Follows clues, each once.
pub(crate) struct Inquiry<'a> {
    kf: &'a Kf,
    /// By the reason too: it counts restarts, and each run of a container has its own last line.
    known: RefCell<BTreeMap<(String, Clue), Option<String>>>,
    left: Cell<u32>,
}

impl<'a> Inquiry<'a> {
    pub(crate) fn new(kf: &'a Kf) -> Self {
        Self { kf, known: RefCell::default(), left: Cell::new(MOST) }
    }

    /// One that asks nothing: a call for each reason is too many for all namespaces.
    pub(crate) fn none(kf: &'a Kf) -> Self {
        Self { left: Cell::new(0), ..Self::new(kf) }
    }

    /// Before the next picture.
    pub(crate) fn renew(&self) {
        self.left.set(MOST);
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
