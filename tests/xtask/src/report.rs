//! The progress output of xtask.
//!
//! Long steps run in parallel without output. A terminal shows the running steps in one line that is
//! redrawn every second; elsewhere, such as in CI, a line is printed every 30 seconds.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// The running steps.
static BOARD: Mutex<Board> = Mutex::new(Board { running: Vec::new(), drawn: false, next: 0 });

/// How often the running steps are printed without a terminal.
const HEARTBEAT: Duration = Duration::from_secs(30);

/// The maximum width of the progress line. A longer line would wrap and could not be erased.
const WIDTH: usize = 78;

struct Board {
    running: Vec<Step>,
    /// Whether the progress line is shown.
    drawn: bool,
    next: u32,
}

struct Step {
    number: u32,
    label: String,
    log: Option<PathBuf>,
    started: Instant,
}

/// Prints a line to stderr. Errors are ignored.
pub fn line(text: &str) {
    board().print(text);
}

/// Prints a line about a step.
pub fn step(text: &str) {
    line(&format!("· {text}"));
}

/// Shows `label` as running until `work` ends. `log` is the file whose last line shows its progress.
pub fn during<T>(label: &str, log: Option<&Path>, work: impl FnOnce() -> T) -> T {
    let number = board().begin(label, log);
    start_clock();
    let result = work();
    board().end(number);
    result
}

fn board() -> MutexGuard<'static, Board> {
    BOARD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// Starts the thread that redraws, once.
fn start_clock() {
    static CLOCK: Once = Once::new();
    let tick = if is_terminal() { Duration::from_secs(1) } else { HEARTBEAT };
    CLOCK.call_once(|| {
        thread::spawn(move || {
            loop {
                thread::sleep(tick);
                board().tick();
            }
        });
    });
}

impl Board {
    fn begin(&mut self, label: &str, log: Option<&Path>) -> u32 {
        self.next += 1;
        let log = log.map(Path::to_owned);
        self.running.push(Step { number: self.next, label: label.to_owned(), log, started: Instant::now() });
        self.next
    }

    fn end(&mut self, number: u32) {
        let Some(at) = self.running.iter().position(|step| step.number == number) else { return };
        let step = self.running.remove(at);
        let took = step.started.elapsed();
        // Steps that were done already are not printed.
        if took > Duration::from_secs(3) {
            self.print(&format!("· {}: {}", step.label, in_words(took)));
        }
    }

    fn tick(&mut self) {
        if self.running.is_empty() {
            return;
        }
        if !is_terminal() {
            let lines: Vec<String> = self.running.iter().map(Step::status).collect();
            for text in lines {
                self.print(&format!("· still {text}"));
            }
            return;
        }
        let all = self.running.iter().map(Step::status).collect::<Vec<_>>().join(", ");
        let shown: String = all.chars().take(WIDTH).collect();
        let _gone = write!(std::io::stderr().lock(), "\r\x1b[K{shown}");
        self.drawn = true;
    }

    fn print(&mut self, text: &str) {
        let clear = if std::mem::take(&mut self.drawn) { "\r\x1b[K" } else { "" };
        let _gone = writeln!(std::io::stderr().lock(), "{clear}{text}");
    }
}

impl Step {
    fn status(&self) -> String {
        let mut text = format!("{}, {}", self.label, in_words(self.started.elapsed()));
        if let Some(place) = self.log.as_deref().and_then(last_line) {
            let _infallible = write!(text, " ({place})");
        }
        text
    }
}

/// The last line of a log.
fn last_line(log: &Path) -> Option<String> {
    let text = fs_err::read_to_string(log).ok()?;
    let line = text.lines().rev().map(str::trim).find(|line| !line.is_empty())?;
    Some(line.chars().take(50).collect())
}

fn in_words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..60 => format!("{seconds} s"),
        seconds => format!("{} min {} s", seconds / 60, seconds % 60),
    }
}
