//! Runs contenders in turns, A B C C B A …, so that drifts of the machine's speed and the contents of processor caches affect
//! all alike.
//!
//! The results are ratios of medians to the first contender's.

use std::io::{Error, Result, Write};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};

/// A contender with its measurements.
pub struct Contender<'a> {
    name: &'a str,
    prepare: Box<dyn FnMut() -> Result<()> + 'a>,
    run: Box<dyn FnMut() -> Result<()> + 'a>,
    times: Vec<Duration>,
    faults: Vec<i64>,
}

impl<'a> Contender<'a> {
    pub fn new(name: &'a str, run: impl FnMut() -> Result<()> + 'a) -> Self {
        Self::prepared(name, || Ok(()), run)
    }

    /// A contender that needs a preparation before each turn, which is not measured.
    pub fn prepared(
        name: &'a str,
        prepare: impl FnMut() -> Result<()> + 'a,
        run: impl FnMut() -> Result<()> + 'a,
    ) -> Self {
        Self { name, prepare: Box::new(prepare), run: Box::new(run), times: Vec::new(), faults: Vec::new() }
    }

    /// The median of its times so far.
    pub fn time(&mut self) -> Duration {
        median(&mut self.times)
    }

    fn turn(&mut self) -> Result<()> {
        let named = |error: Error| Error::other(format!("{}: {error}", self.name));
        (self.prepare)().map_err(named)?;
        let faults = page_faults()?;
        let started = Instant::now();
        (self.run)().map_err(named)?;
        self.times.push(started.elapsed());
        self.faults.push(page_faults()?.saturating_sub(faults));
        Ok(())
    }
}

/// The page faults of all children so far.
fn page_faults() -> Result<i64> {
    Ok(getrusage(UsageWho::RUSAGE_CHILDREN)?.minor_page_faults())
}

fn median<T: Copy + Default + Ord>(values: &mut [T]) -> T {
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or_default()
}

/// Runs all contenders in turns.
pub fn measure(rounds: usize, contenders: &mut [Contender<'_>]) -> Result<()> {
    for contender in &mut *contenders {
        // The first turn fills caches.
        contender.turn()?;
        contender.times.clear();
        contender.faults.clear();
    }
    for round in 0..rounds {
        match round % 2 {
            0 => contenders.iter_mut().try_for_each(Contender::turn)?,
            _ => contenders.iter_mut().rev().try_for_each(Contender::turn)?,
        }
    }
    Ok(())
}

/// Runs all contenders in turns, and prints the results. `bytes` is the amount that each transfers in a turn. Page faults
/// are those of child processes that have ended.
pub fn compare(
    title: &str,
    rounds: usize,
    bytes: Option<u64>,
    mut contenders: Vec<Contender<'_>>,
) -> Result<()> {
    measure(rounds, &mut contenders)?;
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "\n{title}, median of {rounds}")?;
    let first = contenders.first_mut().map(Contender::time).unwrap_or_default();
    for contender in &mut contenders {
        let time = contender.time();
        let ratio = time.as_secs_f64() / first.as_secs_f64();
        write!(stdout, "  {:32} {:>10} {ratio:>8.2}", contender.name, shown(time))?;
        if let Some(bytes) = bytes {
            write!(stdout, " {:>8} MB/s", throughput(bytes, time))?;
        }
        match median(&mut contender.faults) {
            // No child process was started.
            0 => {}
            faults => write!(stdout, " {faults:>7} faults")?,
        }
        writeln!(stdout, "  {}", bar(time, first))?;
    }
    stdout.flush()
}

/// A bar for a time, scaled so that the first contender's has ten blocks. An arrow marks a bar cut off at 40.
fn bar(time: Duration, first: Duration) -> String {
    const MAX_BLOCKS: u128 = 40;
    let blocks = (time.as_nanos() * 10 + first.as_nanos() / 2) / first.as_nanos().max(1);
    let arrow = if blocks > MAX_BLOCKS { "▶" } else { "" };
    let bar = "█".repeat(usize::try_from(blocks.min(MAX_BLOCKS)).unwrap_or_default());
    format!("{bar}{arrow}")
}

fn throughput(bytes: u64, time: Duration) -> u128 {
    u128::from(bytes) / time.as_micros().max(1)
}

/// A time as it is printed.
pub fn shown(time: Duration) -> String {
    if time < Duration::from_millis(10) {
        format!("{} µs", time.as_micros())
    } else {
        format!("{} ms", time.as_millis())
    }
}
