//! The settings of the terminal before a session or a prompt for a secret changed them.
//!
//! They are global, so that they can be restored however kf ends.

use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcsetattr};

use super::modes;
use crate::env;

/// The settings, while a session has the terminal.
static SAVED: Mutex<Option<SavedTerminal>> = Mutex::new(None);

pub(super) struct SavedTerminal {
    pub(super) original: Termios,
    pub(super) changed: Termios,
    /// Whether programs in a session may have changed modes that sequences reset.
    pub(super) is_session: bool,
}

pub(super) fn saved() -> MutexGuard<'static, Option<SavedTerminal>> {
    SAVED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Restores the terminal, if its settings were changed.
pub fn restore() {
    if let Some(SavedTerminal { original, is_session, .. }) = saved().take() {
        if is_session {
            write_sequences(modes::LEAVE);
        }
        // Without waiting for pending output: kf would hang on a stopped terminal.
        let _gone = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &original);
    }
}

/// Writes to the terminal, unless it accepts no output: kf must not block here.
pub(super) fn write_sequences(sequences: &[u8]) {
    const NOW: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
    if env::dumb_terminal() {
        return;
    }
    let streams: [BorrowedFd<'_>; 2] = [rustix::stdio::stdout(), rustix::stdio::stderr()];
    let Some(screen) = streams.into_iter().find(|stream| isatty(stream)) else { return };
    if poll(&mut [PollFd::new(&screen, PollFlags::OUT)], Some(&NOW)) == Ok(1) {
        let _gone = rustix::io::write(screen, sequences);
    }
}
