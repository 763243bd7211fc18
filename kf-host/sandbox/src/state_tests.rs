use super::*;

const SECOND: Duration = Duration::from_secs(1);

/// Computes for some time, a tick after the other. Whether that is too much.
fn compute(meter: &Meter, limits: &Limits, time: Duration) -> bool {
    const TICK: Duration = Duration::from_millis(100);
    let ticks = time.as_millis() / TICK.as_millis();
    (0..ticks).any(|_| meter.computed(TICK, limits))
}

#[test]
fn computing_without_waiting_ends() {
    let (meter, limits) = (Meter::default(), Limits::default());
    assert!(!compute(&meter, &limits, limits.time));
    assert!(compute(&meter, &limits, SECOND));
}

#[test]
fn short_wait_pays_back_no_more_than_its_share() {
    let (meter, limits) = (Meter::default(), Limits::default());
    assert!(!compute(&meter, &limits, 29 * SECOND));
    for _ in 0..100 {
        meter.waited(Duration::from_millis(1), &limits);
    }
    assert!(compute(&meter, &limits, 2 * SECOND));
}

#[test]
fn command_that_mostly_waits_goes_on_for_days() {
    let (meter, limits) = (Meter::default(), Limits::default());
    for _ in 0..100_000 {
        assert!(!compute(&meter, &limits, SECOND));
        meter.calls.fetch_add(1_000, Ordering::Relaxed);
        meter.waited(SECOND, &limits);
        assert_eq!(meter.calls.load(Ordering::Relaxed), 0);
    }
}

#[test]
fn waiting_pays_for_calls_at_the_rate_of_computing() {
    let (meter, limits) = (Meter::default(), Limits::default());
    meter.calls.store(limits.calls, Ordering::Relaxed);
    meter.waited(Duration::from_millis(1), &limits);
    let left = meter.calls.load(Ordering::Relaxed);
    assert!(left < limits.calls && left > limits.calls * 99 / 100, "{left}");
    meter.waited(limits.time / 4, &limits);
    assert_eq!(meter.calls.load(Ordering::Relaxed), 0);
}

#[test]
fn what_the_host_keeps_counts_as_the_guest_s_memory() {
    let limits = Limits { memory: 100, ..Limits::default() };
    let mut space = Space::new(&limits);
    space.hold(60).unwrap();
    assert!(!space.memory_growing(0, 50, None).unwrap());
    assert!(space.memory_growing(0, 40, None).unwrap());
    assert!(space.hold(1).is_err());
}
