//! Staying with several components at once.

use super::{Follow, Stop, Watches};
use crate::border::Pollable;
use crate::error::{Error, Result};
use crate::kf::Kf;

/// Components that can be followed at once: each takes a part of the streams that a run may hold.
pub const MAX_TOGETHER: usize = 8;

/// Stays with all of them until each has stopped, and tells `stopped` about each as it does. One that fails ends none
/// of the others.
pub fn follow_together<'a>(
    kf: &Kf,
    follows: Vec<Follow<'a>>,
    mut stopped: impl FnMut(&Follow<'a>, Result<Stop>),
) {
    let components = follows.len();
    let mut running = Vec::new();
    for mut follow in follows {
        follow.streams = follow.streams.map(|streams| streams.among(components));
        match follow.begin() {
            Ok(watches) => running.push(Running { follow, watches, failed: None }),
            Err(error) => stopped(&follow, Err(error)),
        }
    }
    loop {
        running.retain_mut(|one| match one.look() {
            Ok(None) => true,
            Ok(Some(stop)) => {
                stopped(&one.follow, Ok(stop));
                false
            }
            Err(error) => {
                stopped(&one.follow, Err(error));
                false
            }
        });
        if running.is_empty() {
            return;
        }
        let changes: Vec<Vec<Pollable>> =
            running.iter().map(|one| one.follow.changes(&one.watches)).collect();
        let ready = kf.wait(&changes.iter().flatten().collect::<Vec<_>>());
        if ready.is_empty() {
            for one in running {
                stopped(&one.follow, Err(one.follow.lost()));
            }
            return;
        }
        let mut first = 0;
        for (one, own) in running.iter_mut().zip(&changes) {
            let next = first + own.len();
            let ready = ready.iter().filter(|index| (first..next).contains(*index));
            one.take(&ready.map(|index| index - first).collect::<Vec<_>>());
            first = next;
        }
    }
}

/// One of those that have not stopped.
struct Running<'a> {
    follow: Follow<'a>,
    watches: Watches,
    failed: Option<Error>,
}

impl Running<'_> {
    fn look(&mut self) -> Result<Option<Stop>> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.follow.look(&mut self.watches),
        }
    }

    fn take(&mut self, ready: &[usize]) {
        if !ready.is_empty() {
            self.failed = self.follow.take(&mut self.watches, ready).err();
        }
    }
}
