//! How long a build takes here, estimated from what this machine has done so far.
//!
//! Each step has a reference: the CPU seconds it took where it was measured. How many this machine takes for one of
//! those is its pace. It is learnt from the steps of this build that are done, and is kept for the next one.

use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use serde::{Deserialize, Serialize};

use crate::locations;

/// What is built in less says nothing about the machine.
const SHORT: f64 = 60.0;

/// A build of several steps, some of them side by side.
#[derive(Debug)]
pub struct Effort {
    /// Reference seconds of all steps, and of those that are done.
    all: f64,
    done: Mutex<f64>,
    known: Pace,
    begun: Instant,
    used_before: Duration,
}

impl Effort {
    /// Of steps that take so many reference seconds together.
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

    /// How long all of it will take.
    #[must_use]
    pub fn estimate(&self) -> Duration {
        Duration::from_secs_f64(self.all * self.known.factor() / cores())
    }

    /// Takes note that something of so many reference seconds is built.
    pub fn built(&self, reference: u64) {
        *self.done.lock().unwrap_or_else(PoisonError::into_inner) += seconds(reference);
    }

    /// How long the rest will take, unless all is built. At least as long as `next`, the reference seconds of what
    /// begins only now.
    pub fn left(&self, next: u64) -> Option<Duration> {
        let done = *self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let pace = if done < SHORT { self.known } else { Pace { reference: done, used: self.used() } };
        let takes = |reference: f64| reference * pace.factor() / cores();
        let left = (takes(self.all) - self.begun.elapsed().as_secs_f64()).max(takes(seconds(next)));
        (done < self.all && left > 0.0).then(|| Duration::from_secs_f64(left))
    }

    /// Keeps the pace of this build for the next one, unless another's cache did much of the work.
    pub fn keep(&self) {
        let pace = Pace { reference: self.all, used: self.used() };
        if pace.reference >= SHORT && pace.used >= pace.reference / 2.0 {
            pace.keep();
        }
    }

    /// CPU seconds of what has been run to its end.
    fn used(&self) -> f64 {
        used().saturating_sub(self.used_before).as_secs_f64()
    }
}

/// CPU seconds beside the reference seconds of the same work.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
struct Pace {
    reference: f64,
    used: f64,
}

impl Pace {
    const FILE: &str = "pace.json";

    /// That of the last build; nothing where there was none, or where it cannot be read.
    fn kept() -> Self {
        let text = fs_err::read(locations::cache().join(Self::FILE)).unwrap_or_default();
        serde_json::from_slice(&text).unwrap_or_default()
    }

    /// An estimate is not worth a failure.
    fn keep(self) {
        let text = serde_json::to_vec(&self).unwrap_or_default();
        let _gone = fs_err::create_dir_all(locations::cache())
            .and_then(|()| fs_err::write(locations::cache().join(Self::FILE), text));
    }

    /// CPU seconds for a reference second. Without experience, one.
    fn factor(self) -> f64 {
        let factor = self.used / self.reference;
        if factor.is_finite() && self.reference >= SHORT { factor.clamp(0.1, 10.0) } else { 1.0 }
    }
}

fn seconds(count: u64) -> f64 {
    Duration::from_secs(count).as_secs_f64()
}

fn cores() -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "no machine has so many")]
    thread::available_parallelism().map_or(1.0, |cores| cores.get() as f64)
}

/// CPU time of all children so far, and of theirs.
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

/// A duration as people say it.
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
    fn a_machine_without_experience_is_taken_for_the_measured_one() {
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
    fn what_was_slow_before_is_expected_to_be_slow() {
        let known = Pace { reference: 1000.0, used: 2000.0 };
        let expected = Duration::from_secs_f64(2.0 * 600.0 / cores());
        assert_eq!(effort(600.0, known, 0).estimate(), expected);
    }

    #[test]
    fn what_is_left_is_told_as_long_as_something_is() {
        let effort = effort(600.0, Pace::default(), 0);
        effort.built(30);
        let left = effort.left(300).unwrap().as_secs_f64();
        assert!((left - 600.0 / cores()).abs() < 1.0, "{left}");
        effort.built(570);
        assert!(effort.left(0).is_none());
    }

    #[test]
    fn what_begins_only_now_is_not_done_before_it_is_due() {
        let late = effort(600.0, Pace::default(), 1_000);
        let left = late.left(90).unwrap().as_secs_f64();
        assert!((left - 90.0 / cores()).abs() < 1.0, "{left}");
        assert!(late.left(0).is_none());
    }

    #[test]
    fn durations_are_said_as_exactly_as_they_can_be() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(words(5), "a few seconds");
        assert_eq!(words(38), "about 40 s");
        assert_eq!(words(270), "about 5 min");
    }
}
