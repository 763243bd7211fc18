//! A line that shows progress: what kf is waiting for, and for how long. Of several, the last one started is shown.

use std::os::fd::BorrowedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::{Ui, escape, lock};

const SHOW_AFTER: Duration = Duration::from_millis(300);
const FRAME: Duration = Duration::from_millis(100);
const FRAMES: [&str; 10] = ["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏"];
const BAR_CELLS: u64 = 24;

struct State {
    label: String,
    done: u64,
    ended: bool,
}

/// Shows progress until it is dropped, which erases the line.
pub struct Progress {
    ui: Ui,
    /// Its id among the active progresses.
    id: u64,
    shared: Arc<(Mutex<State>, Condvar)>,
    drawer: Option<JoinHandle<()>>,
}

impl Progress {
    pub(super) fn start(ui: Ui, label: &str, total: Option<u64>) -> Self {
        let shared = Arc::new((
            Mutex::new(State { label: escape::line(label), done: 0, ended: false }),
            Condvar::new(),
        ));
        static NEXT_ID: AtomicU64 = AtomicU64::new(0);
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        lock(&ui.shared.progresses).push(id);
        let drawer = ui.shows_progress().then(|| {
            let (ui, shared) = (ui.clone(), Arc::clone(&shared));
            std::thread::spawn(move || draw(&ui, id, &shared, total))
        });
        Self { ui, id, shared, drawer }
    }

    /// Sets the label and the amount done.
    pub fn set(&self, label: &str, done: u64) {
        let mut state = lock(&self.shared.0);
        state.label = escape::line(label);
        state.done = done;
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        lock(&self.ui.shared.progresses).retain(|id| *id != self.id);
        lock(&self.shared.0).ended = true;
        self.shared.1.notify_all();
        if let Some(drawer) = self.drawer.take() {
            let _ended = drawer.join();
        }
    }
}

fn draw(ui: &Ui, id: u64, shared: &(Mutex<State>, Condvar), total: Option<u64>) {
    let started = Instant::now();
    let mut pause = SHOW_AFTER;
    for frame in FRAMES.iter().cycle() {
        let waited = shared.1.wait_timeout_while(lock(&shared.0), pause, |state| !state.ended);
        let (state, _) = waited.unwrap_or_else(std::sync::PoisonError::into_inner);
        if state.ended {
            break;
        }
        let line = line(frame, &state, total, started.elapsed());
        ui.draw(id, &fitted(&line, ui.stderr_columns().unwrap_or(usize::MAX)));
        pause = FRAME;
    }
    ui.erase();
}

fn line(frame: &str, state: &State, total: Option<u64>, waited: Duration) -> String {
    match total.filter(|total| *total > 0) {
        None => format!("{frame} {}, {} s", state.label, waited.as_secs()),
        Some(total) => {
            let done = state.done.min(total);
            let filled = done.saturating_mul(BAR_CELLS) / total;
            let bar: String = (0..BAR_CELLS).map(|cell| if cell < filled { '━' } else { '╌' }).collect();
            format!("{bar} {:3} % {}", done.saturating_mul(100) / total, state.label)
        }
    }
}

/// The width of a terminal; none if it reports none.
pub(super) fn columns(terminal: BorrowedFd<'_>) -> Option<usize> {
    let size = rustix::termios::tcgetwinsize(terminal);
    size.ok().map(|size| usize::from(size.ws_col)).filter(|columns| *columns > 0)
}

/// The line, cut to the width: only one line is erased later.
fn fitted(line: &str, columns: usize) -> String {
    if line.width() < columns {
        return line.to_owned();
    }
    let mut left = columns.saturating_sub(2);
    let kept = line.chars().take_while(|character| {
        let width = character.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    });
    kept.chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_progress_label_is_cut_to_one_line() {
        assert_eq!(fitted("⠋ waiting, 3 s", 80), "⠋ waiting, 3 s");
        assert_eq!(fitted("⠋ waiting, 3 s", usize::MAX), "⠋ waiting, 3 s");
        for label in ["x".repeat(1000), "漢".repeat(1000), "e\u{301}".repeat(1000)] {
            for columns in [1, 2, 3, 79, 80] {
                let shown = fitted(&label, columns);
                assert!(shown.width() <= columns, "{columns}: {shown}");
                assert!(shown.ends_with('…'));
            }
        }
    }

    #[test]
    fn progress_bar_never_exceeds_its_width() {
        let state = State { label: "fetching".into(), done: 9, ended: false };
        let bar = line("⠋", &state, Some(3), Duration::ZERO);
        assert_eq!(bar, format!("{} 100 % fetching", "━".repeat(24)));
    }

    #[test]
    fn progress_without_total_shows_elapsed_seconds() {
        let state = State { label: "waiting for pods".into(), done: 0, ended: false };
        assert_eq!(line("⠋", &state, None, Duration::from_secs(12)), "⠋ waiting for pods, 12 s");
    }
}
