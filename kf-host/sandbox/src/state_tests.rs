use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Computes for some time, tick by tick. Returns whether the limit was reached.
fn compute(meter: &Meter, limits: &Limits, time: Duration) -> bool {
    const TICK: Duration = Duration::from_millis(100);
    let ticks = time.as_millis() / TICK.as_millis();
    (0..ticks).any(|_| meter.computed(TICK, limits))
}

#[test]
fn computing_without_waiting_reaches_limit() {
    let (meter, limits) = (Meter::default(), Limits::default());
    assert!(!compute(&meter, &limits, limits.time));
    assert!(compute(&meter, &limits, SECOND));
}

#[test]
fn short_wait_pays_back_only_its_share() {
    let (meter, limits) = (Meter::default(), Limits::default());
    assert!(!compute(&meter, &limits, 29 * SECOND));
    for _ in 0..100 {
        meter.waited(Duration::from_millis(1), &limits);
    }
    assert!(compute(&meter, &limits, 2 * SECOND));
}

#[test]
fn command_that_mostly_waits_runs_for_days() {
    let (meter, limits) = (Meter::default(), Limits::default());
    for _ in 0..100_000 {
        assert!(!compute(&meter, &limits, SECOND));
        meter.calls.fetch_add(1_000, Ordering::Relaxed);
        meter.waited(SECOND, &limits);
        assert_eq!(meter.calls.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn waiting_pays_back_calls_at_rate_of_computing() {
    let (meter, limits) = (Meter::default(), Limits::default());
    meter.calls.store(limits.calls, Ordering::Relaxed);
    meter.waited(Duration::from_millis(1), &limits);
    let left = meter.calls.load(Ordering::Relaxed);
    assert!(left < limits.calls && left > limits.calls * 99 / 100, "{left}");
    meter.waited(limits.time / 4, &limits);
    assert_eq!(meter.calls.load(Ordering::Relaxed), 0);
}

#[test]
fn bytes_kept_by_host_count_as_guest_memory() {
    let limits = Limits { memory: 100, ..Limits::default() };
    let mut space = Space::new(&limits);
    space.hold(60).unwrap();
    assert!(!space.memory_growing(0, 50, None).unwrap());
    assert!(space.memory_growing(0, 40, None).unwrap());
    assert!(space.hold(1).is_err());
}
