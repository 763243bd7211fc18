//! What the terminal was before a session took it.
//!
//! It is kept for the whole process, so that whatever ends kf can put it back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::termios::{OptionalActions, Termios, tcsetattr};

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
        // Not after what is still to be written: a stopped terminal would hold kf up.
        let _gone = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &before);
    }
}
