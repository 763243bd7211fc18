//! Contenders that run in turn, A B C A B C …, so that a machine whose speed drifts treats all alike.
//!
//! What counts is the ratio of the medians to the first contender's, not a time.

use std::io::{Error, Result, Write};
use std::time::{Duration, Instant};

/// One of those compared, with what is measured of it.
pub(crate) struct Contender<'a> {
    name: &'a str,
    run: Box<dyn FnMut() -> Result<()> + 'a>,
    times: Vec<Duration>,
}

impl<'a> Contender<'a> {
    pub(crate) fn new(name: &'a str, run: impl FnMut() -> Result<()> + 'a) -> Self {
        Self { name, run: Box::new(run), times: Vec::new() }
    }

    fn turn(&mut self) -> Result<Duration> {
        let started = Instant::now();
        (self.run)().map_err(|error| Error::other(format!("{}: {error}", self.name)))?;
        Ok(started.elapsed())
    }

    fn median(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }
}

/// Lets them take turns, and prints what came of it. `bytes` is what each moves in a turn.
pub(crate) fn compare(
    title: &str,
    rounds: usize,
    bytes: Option<u64>,
    mut contenders: Vec<Contender<'_>>,
) -> Result<()> {
    for round in 0..=rounds {
        for contender in &mut contenders {
            let time = contender.turn()?;
            // The first round fills caches.
            if round > 0 {
                contender.times.push(time);
            }
        }
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\n{title}, median of {rounds}")?;
    let first = contenders.first_mut().map(Contender::median).unwrap_or_default();
    for contender in &mut contenders {
        let median = contender.median();
        let ratio = median.as_secs_f64() / first.as_secs_f64();
        write!(stdout, "  {:32} {:>10} {ratio:>8.2}", contender.name, shown(median))?;
        if let Some(bytes) = bytes {
            write!(stdout, " {:>8} MB/s", throughput(bytes, median))?;
        }
        writeln!(stdout)?;
    }
    stdout.flush()
}

fn throughput(bytes: u64, time: Duration) -> u128 {
    u128::from(bytes) / time.as_micros().max(1)
}

fn shown(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{} µs", time.as_micros())
    } else {
        format!("{} ms", time.as_millis())
    }
}
