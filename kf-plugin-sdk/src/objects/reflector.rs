//! A list that is kept up to date.
//!
//! A single watch does not last: it expires, and the API server may restart. A reflector lists again if the watch has
//! expired, and retries with backoff if the server does not answer.

use std::time::Duration;

use super::{Api, Document, Object, Watch};
use crate::abi::{EventKind, Pollable};
use crate::clock::Timestamp;
use crate::error::{Error, ErrorCode, Result};
use crate::kf::Kf;

/// The initial delay between retries.
const PAUSE: Duration = Duration::from_secs(1);
/// The maximum delay between retries.
const MAX_PAUSE: Duration = Duration::from_secs(15);

/// The maximum number of consecutive "forbidden" and "not found" errors to retry. A server that has just started returns
/// these until it has loaded its roles and kinds.
const MAX_REFUSALS: u32 = 10;

/// A change to the selected objects.
#[derive(Clone, Debug, PartialEq)]
pub enum Change<T = Object> {
    /// All objects, after a new list; objects not included are gone.
    All(Vec<T>),
    /// An object was added or modified.
    Put(T),
    /// An object was deleted.
    Deleted(T),
}

/// A selection of objects that is kept up to date.
pub struct Reflector<T = Object> {
    kf: Kf,
    api: Api<T>,
    state: State<T>,
    pause: Duration,
    refusals: u32,
}

enum State<T> {
    Watching(Watch<T>),
    /// Disconnected by this error; retries at this time.
    Lost(Error, Timestamp),
}

impl<T: Document> Reflector<T> {
    /// Lists the selected objects and starts a reflector from that state.
    pub fn open(kf: &Kf, api: Api<T>) -> Result<(Vec<T>, Self)> {
        let (objects, watch) = api.list_and_watch()?;
        Ok((objects, Self::of(kf, api, State::Watching(watch))))
    }

    /// Starts from the resource version of an existing list.
    pub fn open_at(kf: &Kf, api: Api<T>, resource_version: &str) -> Result<Self> {
        let watch = api.watch(resource_version)?;
        Ok(Self::of(kf, api, State::Watching(watch)))
    }

    /// Creates a reflector for a selection whose list failed with this error; retries after a delay.
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

    /// Returns why the connection is lost, while it is lost.
    pub fn lost(&self) -> Option<&Error> {
        match &self.state {
            State::Watching(_) => None,
            State::Lost(error, _) => Some(error),
        }
    }

    /// Returns the changes in order, blocking until there is one. Empty if the connection was lost or is still lost. An
    /// error is final.
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
                Err(error) if !self.is_transient(&error) => Err(error),
                _ => self.relist(),
            },
            State::Lost(_, until) => {
                self.kf.sleep(until.since(self.kf.now()));
                self.relist()
            }
        }
    }

    fn relist(&mut self) -> Result<Vec<Change<T>>> {
        match self.api.list_and_watch() {
            Ok((objects, watch)) => {
                self.state = State::Watching(watch);
                (self.pause, self.refusals) = (PAUSE, 0);
                Ok(vec![Change::All(objects)])
            }
            Err(error) if self.is_transient(&error) => {
                self.state = State::Lost(error, self.kf.now().plus(self.pause));
                self.pause = (self.pause * 2).min(MAX_PAUSE);
                Ok(Vec::new())
            }
            Err(error) => Err(error),
        }
    }

    fn is_transient(&mut self, error: &Error) -> bool {
        if error.is(ErrorCode::Forbidden) || error.is(ErrorCode::NotFound) {
            self.refusals += 1;
            return self.refusals <= MAX_REFUSALS;
        }
        error.is(ErrorCode::Expired) || error.is_transient()
    }
}
