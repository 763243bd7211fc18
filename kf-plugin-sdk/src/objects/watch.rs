use std::marker::PhantomData;

use super::{Document, Object};
use crate::abi::{Event, Pollable, WatchSource};
use crate::error::Result;

/// A watch on a selection.
pub struct Watch<T = Object> {
    source: Box<dyn WatchSource>,
    document: PhantomData<fn() -> T>,
}

impl<T: Document> Watch<T> {
    pub(crate) fn new(source: Box<dyn WatchSource>) -> Self {
        Self { source, document: PhantomData }
    }

    /// Returns the available events, oldest first, blocking until there is one; empty at the end. After
    /// [`crate::ErrorCode::Expired`], list and watch again.
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
