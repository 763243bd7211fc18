//! What the terminal was before a session took it.
//!
//! It is kept for the whole process, so that whatever ends kf can put it back.

use std::os::fd::BorrowedFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::termios::{OptionalActions, Termios, isatty, tcsetattr};

use super::modes;
use crate::env;

/// What the terminal was, and what the session made of it.
static TAKEN: Mutex<Option<Taken>> = Mutex::new(None);

pub(super) struct Taken {
    pub(super) before: Termios,
    pub(super) raw: Termios,
}

pub(super) fn taken() -> MutexGuard<'static, Option<Taken>> {
    TAKEN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives the terminal back, if a session has it.
pub fn restore() {
    if let Some(Taken { before, .. }) = taken().take() {
        draw(modes::LEAVE);
        // Not after what is still to be written: a stopped terminal would hold kf up.
        let _gone = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
    }
}

/// Writes to the terminal itself, unless it takes nothing: who reads no more must not hold kf up.
pub(super) fn draw(sequences: &[u8]) {
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
