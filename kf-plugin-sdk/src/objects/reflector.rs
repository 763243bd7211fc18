//! A list that stays up to date.
//!
//! A watch alone does not last: it expires, and the API server may restart. A reflector lists again
//! where a watch is too old, and asks again, slower each time, where the server does not answer.

use std::time::Duration;

use super::{Api, Document, Object, Watch};
use crate::border::{EventKind, Pollable};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;

/// How long to leave a server alone that does not answer: at first, and at most.
const PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// A server that has just started refuses everybody, and serves nothing, until it has read who may do
/// what and which kinds there are. What is refused for longer is gone.
const MOST_REFUSALS: u32 = 10;

/// What has changed.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T = Object> {
    /// Everything was read anew; what is not here is gone.
    All(Vec<T>),
    /// Added or modified.
    Put(T),
    Deleted(T),
}

/// A selection, kept up to date.
pub struct Reflector<T = Object> {
    kf: Kf,
    api: Api<T>,
    state: State<T>,
    pause: Duration,
    refusals: u32,
}

enum State<T> {
    Watching(Watch<T>),
    /// Reads again at that time; the error is why.
    Lost(Error, Timestamp),
}

impl<T: Document> Reflector<T> {
    /// The selected objects now, and what keeps them up to date.
    pub fn open(kf: &Kf, api: Api<T>) -> Result<(Vec<T>, Self)> {
        let (objects, watch) = api.list_and_watch()?;
        Ok((objects, Self::of(kf, api, State::Watching(watch))))
    }

    /// From a list of the selection that was read already.
    pub fn open_at(kf: &Kf, api: Api<T>, resource_version: &str) -> Result<Self> {
        let watch = api.watch(resource_version)?;
        Ok(Self::of(kf, api, State::Watching(watch)))
    }

    /// Of a selection that could not be read just now, for this reason: reads it again after a pause.
    pub fn reopen(kf: &Kf, api: Api<T>, error: Error) -> Self {
        Self::of(kf, api, State::Lost(error, kf.now().plus(PAUSE)))
    }

    fn of(kf: &Kf, api: Api<T>, state: State<T>) -> Self {
        Self { kf: kf.clone(), api, state, pause: PAUSE, refusals: 0 }
    }

    /// Ready when [`Reflector::changes`] would not block.
    pub fn subscribe(&self) -> Pollable {
        match &self.state {
            State::Watching(watch) => watch.subscribe(),
            State::Lost(_, until) => self.kf.after(until.since(self.kf.now())),
        }
    }

    /// Why the server cannot be asked at the moment; none while all is well.
    pub fn lost(&self) -> Option<&Error> {
        match &self.state {
            State::Watching(_) => None,
            State::Lost(error, _) => Some(error),
        }
    }

    /// What has changed, in order; blocks for the first change. None at all where the connection was
    /// lost or is still lost. An error is final.
    pub fn changes(&mut self) -> Result<Vec<Change<T>>> {
        match &self.state {
            State::Watching(watch) => match watch.next() {
                Ok(events) if !events.is_empty() => Ok(events
                    .into_iter()
                    .map(|event| match event.kind {
                        EventKind::Added | EventKind::Modified => Change::Put(event.object),
                        EventKind::Deleted => Change::Deleted(event.object),
                    })
                    .collect()),
                Err(error) if !self.may_pass(&error) => Err(error),
                _ => self.read_again(),
            },
            State::Lost(_, until) => {
                self.kf.sleep(until.since(self.kf.now()));
                self.read_again()
            }
        }
    }

    fn read_again(&mut self) -> Result<Vec<Change<T>>> {
        match self.api.list_and_watch() {
            Ok((objects, watch)) => {
                self.state = State::Watching(watch);
                (self.pause, self.refusals) = (PAUSE, 0);
                Ok(vec![Change::All(objects)])
            }
            Err(error) if self.may_pass(&error) => {
                self.state = State::Lost(error, self.kf.now().plus(self.pause));
                self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    fn may_pass(&mut self, error: &Error) -> bool {
        if error.is(ErrorCode::Forbidden) || error.is(ErrorCode::NotFound) {
            self.refusals += 1;
            return self.refusals <= MOST_REFUSALS;
        }
        error.is(ErrorCode::Expired) || error.may_pass()
    }
}
