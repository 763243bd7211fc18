//! Asks for a secret without showing what is typed.

use std::io;

use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use secrecy::SecretString;

use super::Ui;
use super::saved_terminal::{SavedTerminal, restore, saved};
use super::terminal::restore_on_exit;
use crate::interrupt;

impl Ui {
    /// Reads a line as [`Ui::ask`] does, without trimming it and without showing what is typed.
    pub fn ask_secret(&self, question: &str) -> Option<SecretString> {
        if !self.interactive() {
            return None;
        }
        let _hidden = HiddenInput::start(self).ok()?;
        self.prompt(question).map(SecretString::from)
    }
}

/// Hides what the user types, until it is dropped or kf ends.
struct HiddenInput(());

impl HiddenInput {
    fn start(ui: &Ui) -> io::Result<Self> {
        restore_on_exit(ui);
        interrupt::wait_until_watched();
        let original = tcgetattr(rustix::stdio::stdin())?;
        let mut changed = original.clone();
        changed.local_modes.remove(LocalModes::ECHO);
        changed.local_modes.insert(LocalModes::ECHONL);
        *saved() = Some(SavedTerminal { original, changed: changed.clone(), is_session: false });
        let hidden = Self(());
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &changed)?;
        Ok(hidden)
    }
}

impl Drop for HiddenInput {
    fn drop(&mut self) {
        restore();
    }
}
