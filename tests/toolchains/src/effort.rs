//! Estimates how long a build takes on this machine.
//!
//! Each step has a reference: the CPU seconds that it took on the machine where it was measured. The pace of a machine is
//! its CPU seconds for one reference second. It is measured from the finished steps and stored for the next build.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};

use crate::locations;

/// Builds of fewer seconds do not measure the pace.
const MIN_SECONDS: f64 = 60.0;

/// A build of several steps, some of them in parallel.
#[derive(Debug)]
pub struct Effort {
    /// The reference seconds of all steps, and of the finished ones.
    all: f64,
    done: Mutex<f64>,
    known: Pace,
    begun: Instant,
    used_before: Duration,
}

impl Effort {
    /// Begins a build of `all` reference seconds.
    #[must_use]
    pub fn begin(all: u64) -> Self {
        Self {
            all: seconds(all),
            done: Mutex::new(0.0),
            known: Pace::kept(),
            begun: Instant::now(),
            used_before: used(),
        }
    }

    /// How long the whole build takes.
    #[must_use]
    pub fn estimate(&self) -> Duration {
        Duration::from_secs_f64(self.all * self.known.factor() / cores())
    }

    /// Records that a step of `reference` seconds is finished.
    pub fn built(&self, reference: u64) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) += seconds(reference);
    }

    /// How long the rest takes, unless everything is built. At least as long as `next`, the reference seconds of a step
    /// that has not begun.
    pub fn left(&self, next: u64) -> Option<Duration> {
        let done = *self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = if done < MIN_SECONDS { self.known } else { Pace { reference: done, used: self.used() } };
        let takes = |reference: f64| reference * pace.factor() / cores();
        let left = (takes(self.all) - self.begun.elapsed().as_secs_f64()).max(takes(seconds(next)));
        (done < self.all && left > 0.0).then(|| Duration::from_secs_f64(left))
    }

    /// Stores the pace of this build for the next one, unless much of it came from another cache.
    pub fn keep(&self) {
        let pace = Pace { reference: self.all, used: self.used() };
        if pace.reference >= MIN_SECONDS && pace.used >= pace.reference / 2.0 {
            pace.keep();
        }
    }

    /// CPU seconds of the programs that have ended.
    fn used(&self) -> f64 {
        used().saturating_sub(self.used_before).as_secs_f64()
    }
}

/// CPU seconds and reference seconds of the same work.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Pace {
    reference: f64,
    used: f64,
}

impl Pace {
    const FILE: &str = "pace.json";

    /// The pace of the last build; zero if there was none, or if it cannot be read.
    fn kept() -> Self {
        let text = fs_err::read(locations::cache().join(Self::FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// Stores the pace. Errors are ignored: it is only an estimate.
    fn keep(self) {
        let text = serde_json::to_vec(&self).unwrap_or_default();
        let _ignored = fs_err::create_dir_all(locations::cache())
            .and_then(|()| fs_err::write(locations::cache().join(Self::FILE), text));
    }

    /// CPU seconds for one reference second; one if unknown.
    fn factor(self) -> f64 {
        let factor = self.used / self.reference;
        if factor.is_finite() && self.reference >= MIN_SECONDS { factor.clamp(0.1, 10.0) } else { 1.0 }
    }
}

fn seconds(count: u64) -> f64 {
    Duration::from_secs(count).as_secs_f64()
}

fn cores() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no machine has 2^52 cores")]
    thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}

/// CPU time of all ended descendants.
fn used() -> Duration {
    let Ok(usage) = getrusage(UsageWho::RUSAGE_CHILDREN) else { return Duration::ZERO };
    let both = usage.user_time() + usage.system_time();
    Duration::from_micros(both.num_microseconds().unsigned_abs())
}

/// How long a step takes on all cores, in words.
#[must_use]
pub fn estimate(reference: u64) -> String {
    in_words(Effort::begin(reference).estimate())
}

/// A rounded duration in words.
#[must_use]
pub fn in_words(time: Duration) -> String {
    match time.as_secs() {
        0..10 => "a few seconds".to_owned(),
        seconds @ 10..90 => format!("about {} s", seconds.div_ceil(10) * 10),
        seconds => format!("about {} min", (seconds + 30) / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effort(all: f64, known: Pace, ran_for: u64) -> Effort {
        let begun = Instant::now().checked_sub(Duration::from_secs(ran_for)).unwrap();
        Effort { all, done: Mutex::new(0.0), known, begun, used_before: Duration::ZERO }
    }

    #[test]
    fn unknown_pace_equals_reference() {
        for unusable in [
            Pace::default(),
            Pace { reference: 10.0, used: 100.0 },
            Pace { reference: f64::NAN, used: 1.0 },
            Pace { reference: -5.0, used: 1.0 },
        ] {
            assert!((unusable.factor() - 1.0).abs() < f64::EPSILON, "{unusable:?}");
        }
        assert!((Pace { reference: 100.0, used: 300.0 }.factor() - 3.0).abs() < f64::EPSILON);
        assert!((Pace { reference: 100.0, used: 1e9 }.factor() - 10.0).abs() < f64::EPSILON);
    }

    #[test]
    fn stored_pace_scales_estimate() {
        let known = Pace { reference: 1000.0, used: 2000.0 };
        let expected = Duration::from_secs_f64(2.0 * 600.0 / cores());
        assert_eq!(effort(600.0, known, 0).estimate(), expected);
    }

    #[test]
    fn left_is_reported_until_all_is_built() {
        let effort = effort(600.0, Pace::default(), 0);
        effort.built(30);
        let left = effort.left(300).unwrap().as_secs_f64();
        assert!((left - 600.0 / cores()).abs() < 1.0, "{left}");
        effort.built(570);
        assert!(effort.left(0).is_none());
    }

    #[test]
    fn left_is_at_least_the_next_step() {
        let late = effort(600.0, Pace::default(), 1_000);
        let left = late.left(90).unwrap().as_secs_f64();
        assert!((left - 90.0 / cores()).abs() < 1.0, "{left}");
        assert!(late.left(0).is_none());
    }

    #[test]
    fn durations_are_rounded() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(words(5), "a few seconds");
        assert_eq!(words(38), "about 40 s");
        assert_eq!(words(270), "about 5 min");
    }
}
