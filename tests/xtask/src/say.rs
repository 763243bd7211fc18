//! What xtask tells the person who waits.
//!
//! Steps that take long run side by side and quietly. A terminal shows what runs in one line that
//! is drawn again every second; elsewhere, such as in CI, a line every half minute shows life.

use std::fmt::Write as _;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What runs now.
static BOARD: Mutex<Board> = Mutex::new(Board { running: Vec::new(), drawn: false, next: 0 });

/// How often a line shows life where there is no terminal.
const SIGN_OF_LIFE: Duration = Duration::from_secs(30);

/// How wide the drawn line may be; longer ones would wrap and stay.
const WIDTH: usize = 78;

struct Board {
    running: Vec<Step>,
    /// Whether the terminal's last line is ours.
    drawn: bool,
    next: u32,
}

struct Step {
    number: u32,
    label: String,
    log: Option<PathBuf>,
    started: Instant,
}

/// A line on stderr; nobody can be told if that is gone.
pub fn line(text: &str) {
    board().print(text);
}

/// A line about something that takes time and is about to begin.
pub fn step(text: &str) {
    line(&format!("· {text}"));
}

/// Shows `label` as running until `work` ends. `log` is the file in which one can see how far it is.
pub fn during<T>(label: &str, log: Option<&Path>, work: impl FnOnce() -> T) -> T {
    let number = board().begin(label, log);
    show_signs_of_life();
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

/// Starts the clock that draws, once.
fn show_signs_of_life() {
    static CLOCK: Once = Once::new();
    let tick = if is_terminal() { Duration::from_secs(1) } else { SIGN_OF_LIFE };
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
        // What was there already is not worth a line.
        if took > Duration::from_secs(3) {
            self.print(&format!("· {}: {}", step.label, in_words(took)));
        }
    }

    fn tick(&mut self) {
        if self.running.is_empty() {
            return;
        }
        if !is_terminal() {
            let lines: Vec<String> = self.running.iter().map(Step::so_far).collect();
            for text in lines {
                self.print(&format!("· still {text}"));
            }
            return;
        }
        let all = self.running.iter().map(Step::so_far).collect::<Vec<_>>().join(", ");
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
    fn so_far(&self) -> String {
        let mut text = format!("{}, {}", self.label, in_words(self.started.elapsed()));
        if let Some(place) = self.log.as_deref().and_then(last_line) {
            let _infallible = write!(text, " ({place})");
        }
        text
    }
}

/// The last line that a log has so far.
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
