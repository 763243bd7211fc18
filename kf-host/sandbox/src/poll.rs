//! Waiting for several events at once.
//!
//! A guest cannot be notified that data has arrived: it waits only in host calls. So a task pumps each
//! stream that a guest reads into a small buffer, and a *pollable* checks that buffer. The buffer is
//! bounded: a guest that does not read stops the pump, the connection behind it, and finally the
//! sender.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::{FutureExt, Stream, StreamExt};
use kf_core::api::{ApiError, ErrorCode};
use tokio::sync::Notify;

use crate::limits::{MAX_STREAMS_BYTES, STREAMS_BYTES};

/// Something that becomes ready and stays ready until it is used.
#[async_trait]
pub(crate) trait Readiness: Send + Sync {
    fn is_ready(&self) -> bool;

    async fn ready(&self);
}

/// The guest's handle to a [`Readiness`].
#[expect(unreachable_pub, reason = "the generated bindings re-export it")]
pub struct Pollable(pub(crate) Arc<dyn Readiness>);

/// Waits until at least one is ready, and returns the positions of all that are.
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

/// Ready at a point in time.
pub(crate) struct Timer(Instant);

impl Timer {
    /// Longer than a year counts as a year.
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

/// The memory of all buffered stream data of a run.
#[derive(Default)]
pub(crate) struct Room {
    bytes: AtomicUsize,
    changed: Notify,
}

impl Room {
    fn is_full(&self) -> bool {
        self.bytes.load(Ordering::Relaxed) >= STREAMS_BYTES
    }

    /// Reserves memory for an item that has arrived. Chunks always fit, because no stream buffers more than one
    /// beyond its share. Larger items may not fit.
    fn take(&self, bytes: usize) -> Result<(), ApiError> {
        let total = self.bytes.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
        if bytes <= MAX_CHUNK || total <= MAX_STREAMS_BYTES {
            return Ok(());
        }
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        let message = format!("more than {} MiB of unread events", MAX_STREAMS_BYTES >> 20);
        Err(ApiError::new(ErrorCode::Budget, message))
    }

    fn give_back(&self, bytes: usize) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
        self.changed.notify_waiters();
    }
}

/// The largest chunk of a connection, in bytes.
const MAX_CHUNK: usize = 512 << 10;

/// A stream and the buffer it is pumped into.
pub(crate) struct Pump<T> {
    shared: Arc<Shared<T>>,
    task: tokio::task::AbortHandle,
}

struct Shared<T> {
    buffer: Mutex<Buffer<T>>,
    /// Shared by all streams of the run, which are notified of its changes.
    room: Arc<Room>,
    max_bytes: usize,
    max_items: usize,
}

struct Buffer<T> {
    items: VecDeque<T>,
    bytes: usize,
    /// Set when the stream has ended. An error is returned once.
    end: Option<Option<ApiError>>,
}

/// The size of an item in a buffer, in bytes.
pub(crate) trait Weight {
    fn weight(&self) -> usize;
}

impl<T: Weight + Send + 'static> Pump<T> {
    /// Must be called within a tokio runtime.
    pub(crate) fn new<S>(stream: S, room: Arc<Room>, max_bytes: usize, max_items: usize) -> Self
    where
        S: Stream<Item = Result<T, ApiError>> + Send + 'static,
    {
        let buffer = Mutex::new(Buffer { items: VecDeque::new(), bytes: 0, end: None });
        let shared = Arc::new(Shared { buffer, room, max_bytes, max_items });
        let task = tokio::spawn(pump(Box::pin(stream), Arc::clone(&shared))).abort_handle();
        Self { shared, task }
    }

    /// All buffered items, at least one; empty at the end.
    pub(crate) async fn next(&self) -> Result<VecDeque<T>, ApiError> {
        Ok(self.take(std::mem::take).await?.unwrap_or_default())
    }

    /// What `some` takes of the buffered items, of which there is at least one; none at the end.
    pub(crate) async fn take<R>(
        &self,
        some: impl FnOnce(&mut VecDeque<T>) -> R,
    ) -> Result<Option<R>, ApiError> {
        let shared = &self.shared;
        let mut some = Some(some);
        let taken = until(&shared.room.changed, || {
            let mut buffer = lock(&shared.buffer);
            if !buffer.items.is_empty() {
                let taken = some.take()?(&mut buffer.items);
                let left = buffer.items.iter().map(Weight::weight).sum();
                let before = std::mem::replace(&mut buffer.bytes, left);
                shared.room.give_back(before.saturating_sub(left));
                return Some(Ok(Some(taken)));
            }
            match buffer.end.as_mut()?.take() {
                Some(error) => Some(Err(error)),
                None => Some(Ok(None)),
            }
        });
        taken.await
    }

    pub(crate) fn readiness(&self) -> Arc<dyn Readiness> {
        Arc::clone(&self.shared) as Arc<dyn Readiness>
    }
}

impl Pump<Vec<u8>> {
    /// At most `max` buffered bytes; empty at the end.
    pub(crate) async fn read(&self, max: usize) -> Result<Vec<u8>, ApiError> {
        let read = |chunks: &mut VecDeque<Vec<u8>>| {
            let mut bytes = Vec::new();
            while let Some(mut chunk) = chunks.pop_front() {
                let fits = max.saturating_sub(bytes.len());
                if chunk.len() > fits {
                    bytes.extend(chunk.drain(..fits));
                    chunks.push_front(chunk);
                    break;
                }
                bytes.append(&mut chunk);
            }
            bytes
        };
        Ok(self.take(read).await?.unwrap_or_default())
    }
}

impl<T> Drop for Pump<T> {
    fn drop(&mut self) {
        self.task.abort();
        let mut buffer = lock(&self.shared.buffer);
        buffer.end.get_or_insert(None);
        buffer.items.clear();
        self.shared.room.give_back(std::mem::take(&mut buffer.bytes));
    }
}

async fn pump<T, S>(mut stream: std::pin::Pin<Box<S>>, shared: Arc<Shared<T>>)
where
    T: Weight,
    S: Stream<Item = Result<T, ApiError>>,
{
    let room = &shared.room;
    let end = loop {
        let has_room = || {
            let buffer = lock(&shared.buffer);
            let own = buffer.bytes < shared.max_bytes && buffer.items.len() < shared.max_items;
            // An empty one continues, or a guest could wait for it forever.
            (own && (buffer.items.is_empty() || !room.is_full())).then_some(())
        };
        until(&room.changed, has_room).await;
        match stream.next().await {
            Some(Ok(item)) => {
                if let Err(error) = room.take(item.weight()) {
                    break Some(error);
                }
                let mut buffer = lock(&shared.buffer);
                buffer.bytes += item.weight();
                buffer.items.push_back(item);
            }
            Some(Err(error)) => break Some(error),
            None => break None,
        }
        room.changed.notify_waiters();
    };
    lock(&shared.buffer).end = Some(end);
    room.changed.notify_waiters();
}

#[async_trait]
impl<T: Weight + Send> Readiness for Shared<T> {
    fn is_ready(&self) -> bool {
        let buffer = lock(&self.buffer);
        !buffer.items.is_empty() || buffer.end.is_some()
    }

    async fn ready(&self) {
        until(&self.room.changed, || self.is_ready().then_some(())).await;
    }
}

/// Calls `check` after each change until it returns something. Registers before each call, so no change is missed.
async fn until<T>(changed: &Notify, mut check: impl FnMut() -> Option<T>) -> T {
    loop {
        let mut change = std::pin::pin!(changed.notified());
        change.as_mut().enable();
        if let Some(answer) = check() {
            return answer;
        }
        change.await;
    }
}

/// The next item, if it is already there.
pub(crate) fn next_if_ready<S: Stream + Unpin>(stream: &mut S) -> Option<Option<S::Item>> {
    stream.next().now_or_never()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "poll_tests.rs"]
mod tests;
