//! How long a cached command takes from spawn to exit, beside what people would start instead.
//!
//! The programs run in turn, A B C A B C …, so that a machine whose speed drifts treats all alike.
//! Figures are medians of whole processes; the ratio to an ordinary native program is what counts.
//!
//! ```text
//! cargo xtask bench
//! ```

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

const ROUNDS: usize = 200;

struct Contender {
    name: &'static str,
    program: PathBuf,
    arguments: Vec<&'static str>,
    times: Vec<Duration>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _gone = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> std::io::Result<()> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let (Some(kf), Some(home), Some(native)) = (arguments.next(), arguments.next(), arguments.next()) else {
        return Err(std::io::Error::other("usage: kf-bench-start KF KF_HOME NATIVE-HELLO"));
    };
    let contender = |name, program: &Path, arguments: &[&'static str]| Contender {
        name,
        program: program.to_owned(),
        arguments: arguments.to_vec(),
        times: Vec::with_capacity(ROUNDS),
    };
    let mut contenders = vec![
        contender("native hello", &native, &[]),
        contender("kf hello", &kf, &["hello"]),
        contender("kf --help", &kf, &["--help"]),
    ];
    let python = Path::new("/usr/bin/python3");
    if python.exists() {
        contenders.push(contender("python3 -c pass", python, &["-c", "pass"]));
    }
    for round in 0..=ROUNDS {
        for contender in &mut contenders {
            let time = contender.start(&home)?;
            // The first round fills caches.
            if round > 0 {
                contender.times.push(time);
            }
        }
    }
    let mut stdout = std::io::stdout().lock();
    writeln!(stdout, "{:18} {:>10} {:>12}", "program", "median", "/ native")?;
    let native = contenders.first_mut().map(Contender::median).unwrap_or_default();
    for contender in &mut contenders {
        let median = contender.median();
        let ratio = median.as_secs_f64() / native.as_secs_f64();
        writeln!(stdout, "{:18} {:>7} µs {ratio:>12.2}", contender.name, median.as_micros())?;
    }
    Ok(())
}

impl Contender {
    fn start(&self, home: &Path) -> std::io::Result<Duration> {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_clear().env("KF_HOME", home).env("HOME", home);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let started = Instant::now();
        let status = command.status()?;
        let time = started.elapsed();
        if status.success() {
            Ok(time)
        } else {
            Err(std::io::Error::other(format!("{} ended with {status}", self.name)))
        }
    }

    fn median(&mut self) -> Duration {
        self.times.sort_unstable();
        self.times.get(self.times.len() / 2).copied().unwrap_or_default()
    }
}
