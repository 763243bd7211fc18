//! Following several workloads at once.

use super::{Follow, Stop, Watches};
use crate::abi::Pollable;
use crate::error::{Error, Result};
use crate::kf::Kf;

/// The maximum number of workloads that can be followed at once, as they share the streams of a run.
pub const MAX_FOLLOWED: usize = 8;

/// Follows all of them until each has stopped, and calls `stopped` for each. A failure of one does not stop the others.
pub fn follow_all<'a>(kf: &Kf, follows: Vec<Follow<'a>>, mut stopped: impl FnMut(&Follow<'a>, Result<Stop>)) {
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
        running.retain_mut(|one| match one.poll() {
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
                stopped(&one.follow, Err(one.follow.timed_out()));
            }
            return;
        }
        let mut first = 0;
        for (one, own) in running.iter_mut().zip(&changes) {
            let next = first + own.len();
            let ready = ready.iter().filter(|index| (first..next).contains(*index));
            one.handle(&ready.map(|index| index - first).collect::<Vec<_>>());
            first = next;
        }
    }
}

/// A workload that is still followed.
struct Running<'a> {
    follow: Follow<'a>,
    watches: Watches,
    failed: Option<Error>,
}

impl Running<'_> {
    fn poll(&mut self) -> Result<Option<Stop>> {
        match self.failed.take() {
            Some(error) => Err(error),
            None => self.follow.poll(&mut self.watches),
        }
    }

    fn handle(&mut self, ready: &[usize]) {
        if !ready.is_empty() {
            self.failed = self.follow.handle(&mut self.watches, ready).err();
        }
    }
}
