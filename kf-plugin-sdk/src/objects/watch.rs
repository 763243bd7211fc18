use std::marker::PhantomData;

use super::{Document, Object};
use crate::border::{Event, Pollable, WatchSource};
use crate::error::Result;

/// The changes of a selection, in order.
pub struct Watch<T = Object> {
    source: Box<dyn WatchSource>,
    speaks: PhantomData<fn() -> T>,
}

impl<T: Document> Watch<T> {
    pub(crate) fn new(source: Box<dyn WatchSource>) -> Self {
        Self { source, speaks: PhantomData }
    }

    /// The events that are there now, oldest first; blocks for the first. Empty is the end.
    /// [`crate::ErrorCode::Expired`] means: list again and watch from there.
    pub fn next(&self) -> Result<Vec<Event<T>>> {
        let events = self.source.next()?;
        events
            .into_iter()
            .map(|event| Ok(Event { kind: event.kind, object: T::from_value(event.object)? }))
            .collect()
    }

    /// Ready when [`Watch::next`] would not block.
    pub fn subscribe(&self) -> Pollable {
        self.source.subscribe()
    }
}
