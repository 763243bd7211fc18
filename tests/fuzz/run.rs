//! Runs a target with random changes: a fixed number of the same ones in ordinary tests, and other ones for as long as
//! `cargo xtask fuzz` says.

use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

use crate::mutate::Change;

/// How many cases to run.
const CASES: &str = "KF_FUZZ_CASES";
/// For how many seconds to run other cases every time.
const SECONDS: &str = "KF_FUZZ_SECONDS";

/// A case that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(120);
/// The memory of this whole program, in KiB. Every input of a target is far smaller.
const MAX_MEMORY_KIB: u64 = 768 * 1024;

/// Runs `target` with a seed's number and changes of it. It fails by a panic.
pub fn run(cases: u32, target: impl Fn(usize, &[Change])) {
    let number = |name: &str| std::env::var_os(name)?.to_str()?.parse().ok();
    let cases = number(CASES).and_then(|cases: u64| cases.try_into().ok()).unwrap_or(cases);
    let hang = Watchdog::start();
    let case = |seed: usize, changes: &[Change]| {
        hang.expect_end_of(seed, changes);
        target(seed, changes);
    };
    match number(SECONDS) {
        None => round(cases, TestRng::deterministic_rng(RngAlgorithm::ChaCha), &case),
        Some(seconds) => {
            let begun = Instant::now();
            while begun.elapsed() < Duration::from_secs(seconds) {
                let seed: [u8; 32] = std::array::from_fn(|_| random());
                round(cases.min(2000), TestRng::from_seed(RngAlgorithm::ChaCha, &seed), &case);
            }
        }
    }
    drop(hang);
    check_memory();
}

fn round(cases: u32, random: TestRng, case: &dyn Fn(usize, &[Change])) {
    let config = Config { cases, failure_persistence: None, max_shrink_iters: 500, ..Config::default() };
    let strategy = (any::<usize>(), vec(any::<Change>(), 0..6));
    let outcome = TestRunner::new_with_rng(config, random).run(&strategy, |(seed, changes)| {
        case(seed, &changes);
        Ok(())
    });
    if let Err(failed) = outcome {
        panic!("{failed}");
    }
}

/// From the operating system: each run of `cargo xtask fuzz` tries other cases.
fn random() -> u8 {
    let mut byte = [0];
    aws_lc_rs::rand::fill(&mut byte).unwrap();
    byte[0]
}

/// Ends the program if a case takes too long.
struct Watchdog {
    case: Arc<Mutex<(Instant, String)>>,
    _until_dropped: std::sync::mpsc::Sender<()>,
}

impl Watchdog {
    fn start() -> Self {
        let case = Arc::new(Mutex::new((Instant::now(), String::new())));
        let (sender, ended) = channel();
        let watched = Arc::clone(&case);
        std::thread::spawn(move || {
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(Duration::from_secs(5)) {
                let (begun, case) = watched.lock().unwrap().clone();
                if begun.elapsed() > LIMIT {
                    // A panic would end this thread only, and the case would never end.
                    let _shown = std::io::Write::write_fmt(
                        &mut std::io::stderr(),
                        format_args!("this case hangs: {case}\n"),
                    );
                    std::process::abort();
                }
            }
        });
        Self { case, _until_dropped: sender }
    }

    fn expect_end_of(&self, seed: usize, changes: &[Change]) {
        *self.case.lock().unwrap() = (Instant::now(), format!("seed {seed}, changes {changes:?}"));
    }
}

/// The largest memory of this program so far.
fn check_memory() {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = line.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < MAX_MEMORY_KIB, "used {peak} KiB");
}
