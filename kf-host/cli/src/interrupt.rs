//! Handles Ctrl-C while kf itself downloads, compiles or prompts.
//!
//! kf writes its files atomically, so it can stop at any point. Only the line of a progress message or a
//! prompt must be cleared. While a guest runs, the sandbox handles Ctrl-C instead.

use std::sync::OnceLock;

use kf_core::exit;
use tokio::signal::unix::{SignalKind, signal};

use crate::shutdown;
use crate::ui::Ui;

/// Set once Ctrl-C is caught, or cannot be.
static STARTED: OnceLock<()> = OnceLock::new();

/// Exits at the first Ctrl-C from now on.
pub fn watch(ui: &Ui) {
    let ui = ui.clone();
    let watching = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let caught = runtime.and_then(|runtime| {
            let signals = runtime.block_on(async { signal(SignalKind::interrupt()) })?;
            Ok((runtime, signals))
        });
        let _once = STARTED.set(());
        let Ok((runtime, mut signals)) = caught else { return };
        if runtime.block_on(signals.recv()).is_some() {
            ui.error(&kf_command::run::interrupted());
            shutdown::exit(&ui, exit::INTERRUPTED);
        }
    };
    // Without the thread Ctrl-C still ends kf, but the line is not cleared.
    if std::thread::Builder::new().name("interrupt".to_owned()).spawn(watching).is_err() {
        let _once = STARTED.set(());
    }
}

/// Waits until [`watch`] catches Ctrl-C: it must not end kf while the terminal has other settings.
pub fn wait_until_watched() {
    STARTED.wait();
}
