//! Waiting for several things at once.
//!
//! A guest cannot be told that data has arrived: it only ever waits inside a host call. So a
//! stream that a guest reads is pumped by a task into a small buffer, and a *pollable* is a look
//! at that buffer. The buffer is bounded, and a guest that does not read stops the pump, the
//! connection behind it, and in the end the sender.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{FutureExt, Stream, StreamExt};
use kf_core::api::ApiError;
use tokio::sync::Notify;

/// Something that becomes ready and then stays so until it is used.
#[async_trait]
pub(crate) trait Readiness: Send + Sync {
    fn is_ready(&self) -> bool;

    async fn ready(&self);
}

/// The guest's handle to a [`Readiness`].
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Pollable(pub(crate) Arc<dyn Readiness>);

/// Waits until at least one is ready; the positions of all that are.
pub(crate) async fn wait(pollables: &[Arc<dyn Readiness>]) -> Vec<u32> {
    loop {
        let ready: Vec<u32> =
            (0u32..).zip(pollables).filter(|(_, pollable)| pollable.is_ready()).map(|(i, _)| i).collect();
        if !ready.is_empty() || pollables.is_empty() {
            return ready;
        }
        futures_util::future::select_all(pollables.iter().map(|pollable| pollable.ready())).await;
    }
}

/// Ready for ever.
pub(crate) struct Now;

#[async_trait]
impl Readiness for Now {
    fn is_ready(&self) -> bool {
        true
    }

    async fn ready(&self) {}
}

/// Ready at a moment.
pub(crate) struct Timer(Instant);

impl Timer {
    /// A moment that cannot be told, in some hundred million years, is one in a year.
    pub(crate) fn after(milliseconds: u64) -> Self {
        let now = Instant::now();
        let year = Duration::from_secs(365 * 24 * 3600);
        Self(now + Duration::from_millis(milliseconds).min(year))
    }
}

#[async_trait]
impl Readiness for Timer {
    fn is_ready(&self) -> bool {
        Instant::now() >= self.0
    }

    async fn ready(&self) {
        tokio::time::sleep_until(self.0.into()).await;
    }
}

/// Ready once set.
#[derive(Default)]
pub(crate) struct Flag {
    set: Mutex<bool>,
    changed: Notify,
}

impl Flag {
    pub(crate) fn set(&self) {
        *lock(&self.set) = true;
        self.changed.notify_waiters();
    }
}

#[async_trait]
impl Readiness for Flag {
    fn is_ready(&self) -> bool {
        *lock(&self.set)
    }

    async fn ready(&self) {
        until(&self.changed, || self.is_ready().then_some(())).await;
    }
}

/// A stream and the buffer it is pumped into.
pub(crate) struct Pump<T> {
    shared: Arc<Shared<T>>,
    task: tokio::task::AbortHandle,
}

struct Shared<T> {
    buffer: Mutex<Buffer<T>>,
    changed: Notify,
    max_bytes: usize,
    max_items: usize,
}

struct Buffer<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// The stream has ended, by itself or by an error, which is told once.
    end: Option<Option<ApiError>>,
}

/// What a pump carries: how much of the buffer it takes.
pub(crate) trait Weight {
    fn weight(&self) -> usize;
}

impl<T: Weight + Send + 'static> Pump<T> {
    /// Must be called within a tokio runtime.
    pub(crate) fn new<S>(stream: S, max_bytes: usize, max_items: usize) -> Self
    where
        S: Stream<Item = Result<T, ApiError>> + Send + 'static,
    {
        let buffer = Mutex::new(Buffer { items: VecDeque::new(), bytes: 0, end: None });
        let shared = Arc::new(Shared { buffer, changed: Notify::new(), max_bytes, max_items });
        let task = tokio::spawn(pump(Box::pin(stream), Arc::clone(&shared))).abort_handle();
        Self { shared, task }
    }

    /// Everything that is there, at least one item; nothing is the end.
    pub(crate) async fn next(&self) -> Result<VecDeque<T>, ApiError> {
        let shared = &self.shared;
        let taken = until(&shared.changed, || {
            let mut buffer = lock(&shared.buffer);
            if !buffer.items.is_empty() {
                buffer.bytes = 0;
                return Some(Ok(std::mem::take(&mut buffer.items)));
            }
            match buffer.end.as_mut()?.take() {
                Some(error) => Some(Err(error)),
                None => Some(Ok(VecDeque::new())),
            }
        });
        let taken = taken.await;
        shared.changed.notify_waiters();
        taken
    }

    pub(crate) fn readiness(&self) -> Arc<dyn Readiness> {
        Arc::clone(&self.shared) as Arc<dyn Readiness>
    }
}

impl<T> Drop for Pump<T> {
    fn drop(&mut self) {
        self.task.abort();
        lock(&self.shared.buffer).end.get_or_insert(None);
        self.shared.changed.notify_waiters();
    }
}

async fn pump<T, S>(mut stream: std::pin::Pin<Box<S>>, shared: Arc<Shared<T>>)
where
    T: Weight,
    S: Stream<Item = Result<T, ApiError>>,
{
    let end = loop {
        let has_room = || {
            let buffer = lock(&shared.buffer);
            (buffer.bytes < shared.max_bytes && buffer.items.len() < shared.max_items).then_some(())
        };
        until(&shared.changed, has_room).await;
        match stream.next().await {
            Some(Ok(item)) => {
                let mut buffer = lock(&shared.buffer);
                buffer.bytes += item.weight();
                buffer.items.push_back(item);
            }
            Some(Err(error)) => break Some(error),
            None => break None,
        }
        shared.changed.notify_waiters();
    };
    lock(&shared.buffer).end = Some(end);
    shared.changed.notify_waiters();
}

#[async_trait]
impl<T: Weight + Send> Readiness for Shared<T> {
    fn is_ready(&self) -> bool {
        let buffer = lock(&self.buffer);
        !buffer.items.is_empty() || buffer.end.is_some()
    }

    async fn ready(&self) {
        until(&self.changed, || self.is_ready().then_some(())).await;
    }
}

/// Asks again after each change. Asking and beginning to listen are one step, so no change is missed.
async fn until<T>(changed: &Notify, mut ask: impl FnMut() -> Option<T>) -> T {
    loop {
        let mut change = std::pin::pin!(changed.notified());
        change.as_mut().enable();
        if let Some(answer) = ask() {
            return answer;
        }
        change.await;
    }
}

/// The next item if it is there now.
pub(crate) fn now_or_later<S: Stream + Unpin>(stream: &mut S) -> Option<Option<S::Item>> {
    stream.next().now_or_never()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
