use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::StreamExt;
use kf_core::api::{ApiError, ErrorCode};

use super::{Flag, Pump, Room, Timer, wait};

fn within_a_runtime<F: Future>(work: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

fn failure() -> ApiError {
    ApiError::new(ErrorCode::Expired, "too old")
}

#[test]
fn waiting_for_nothing_returns_at_once() {
    assert!(within_a_runtime(wait(&[])).is_empty());
}

#[test]
fn wait_returns_all_that_are_ready() {
    let flag = Arc::new(Flag::default());
    let ready = within_a_runtime(wait(&[Arc::new(Timer::after(0)), flag.clone(), Arc::new(Timer::after(0))]));
    assert_eq!(ready, [0, 2]);
    flag.set();
    assert_eq!(within_a_runtime(wait(&[flag])), [0]);
}

#[test]
fn first_to_become_ready_ends_the_wait() {
    let (never, soon) = (Arc::new(Flag::default()), Arc::new(Timer::after(5)));
    assert_eq!(within_a_runtime(wait(&[never, soon])), [1]);
    let flag = Arc::new(Flag::default());
    let ready = within_a_runtime(async {
        let setter = Arc::clone(&flag);
        tokio::spawn(async move { setter.set() });
        wait(&[Arc::new(Timer::after(u64::MAX)), flag]).await
    });
    assert_eq!(ready, [1]);
}

#[test]
fn stream_is_read_to_its_end_and_error_is_returned_once() {
    within_a_runtime(async {
        let items = vec![Ok(b"one".to_vec()), Ok(b"two".to_vec()), Err(failure())];
        let pump = Pump::new(futures_util::stream::iter(items), Arc::default(), 100, 100);
        let readiness = pump.readiness();
        readiness.ready().await;
        assert_eq!(pump.next().await, Ok([b"one".to_vec(), b"two".to_vec()].into()));
        readiness.ready().await;
        assert_eq!(pump.next().await, Err(failure()));
        assert!(readiness.is_ready(), "it stays ready at the end");
        assert_eq!(pump.next().await, Ok([].into()));
    });
}

/// A sender that never stops does not fill the host's memory.
#[test]
fn guest_that_does_not_read_stops_the_stream() {
    for (max_bytes, max_items) in [(100, 1_000_000), (1_000_000, 10)] {
        within_a_runtime(async {
            let sent = Arc::new(AtomicUsize::new(0));
            let counter = Arc::clone(&sent);
            let endless = futures_util::stream::repeat_with(move || {
                counter.fetch_add(1, Ordering::Relaxed);
                Ok(vec![0_u8; 10])
            });
            let pump = Pump::new(endless.boxed(), Arc::default(), max_bytes, max_items);
            for _ in 0..1000 {
                tokio::task::yield_now().await;
            }
            assert_eq!(sent.load(Ordering::Relaxed), 10);
            assert_eq!(pump.next().await.unwrap().len(), 10);
            assert_eq!(pump.next().await.unwrap().len(), 10, "it resumes");
        });
    }
}

#[test]
fn dropped_stream_ends_the_wait() {
    within_a_runtime(async {
        let pump = Pump::<Vec<u8>>::new(futures_util::stream::pending(), Arc::default(), 100, 100);
        let readiness = pump.readiness();
        assert!(!readiness.is_ready());
        drop(pump);
        readiness.ready().await;
    });
}

/// Waits until every task is idle.
async fn settle() {
    for _ in 0..1000 {
        tokio::task::yield_now().await;
    }
}

/// Many streams within their own limits could together still fill the host's memory.
#[test]
fn unread_streams_buffer_a_bounded_amount_in_total() {
    const CHUNK: usize = 100 << 10;
    within_a_runtime(async {
        let (room, sent) = (Arc::new(Room::default()), Arc::new(AtomicUsize::new(0)));
        let pumps: Vec<_> = (0..64)
            .map(|_| {
                let counter = Arc::clone(&sent);
                let endless = futures_util::stream::repeat_with(move || {
                    counter.fetch_add(1, Ordering::Relaxed);
                    Ok(vec![0_u8; CHUNK])
                });
                Pump::new(endless.boxed(), Arc::clone(&room), 1 << 20, 1000)
            })
            .collect();
        settle().await;
        let held = sent.load(Ordering::Relaxed) * CHUNK;
        assert!(held <= super::STREAMS_BYTES + 64 * CHUNK, "{held} bytes");
        for pump in &pumps {
            assert!(pump.readiness().is_ready(), "an empty stream always continues");
        }
        drop(pumps);
        assert_eq!(room.bytes.load(Ordering::Relaxed), 0);
    });
}

#[test]
fn unread_large_events_end_their_streams() {
    within_a_runtime(async {
        let room = Arc::new(Room::default());
        let pumps: Vec<_> = (0..4)
            .map(|_| {
                let event = futures_util::stream::iter([Ok(vec![0_u8; 3 << 20])]);
                Pump::new(
                    event.chain(futures_util::stream::pending()).boxed(),
                    Arc::clone(&room),
                    1 << 20,
                    10,
                )
            })
            .collect();
        settle().await;
        let mut errors = 0;
        for pump in &pumps {
            errors += usize::from(pump.next().await.is_err_and(|error| error.code == ErrorCode::Budget));
        }
        assert_eq!(errors, 2, "two fit");
    });
}

#[test]
fn bytes_are_read_up_to_a_maximum() {
    within_a_runtime(async {
        let chunks = [b"abc".to_vec(), b"defgh".to_vec(), b"i".to_vec()].map(Ok);
        let pump = Pump::new(futures_util::stream::iter(chunks), Arc::default(), 100, 100);
        settle().await;
        let mut pieces = Vec::new();
        while let Some(piece) = Some(pump.read(4).await.unwrap()).filter(|piece| !piece.is_empty()) {
            pieces.push(piece);
        }
        assert_eq!(pieces, [&b"abcd"[..], b"efgh", b"i"]);
    });
}
