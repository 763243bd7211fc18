//! Handles Ctrl-C while kf itself downloads, compiles or prompts.
//!
//! kf writes its files atomically, so it can stop at any point. Only the line of a progress message or a
//! prompt must be cleared. While a guest runs, the sandbox handles Ctrl-C instead.

use kf_core::exit;

use crate::shutdown;
use crate::ui::Ui;

/// Exits at the first Ctrl-C from now on.
pub fn watch(ui: &Ui) {
    let ui = ui.clone();
    let watching = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            ui.error(&kf_command::run::interrupted());
            shutdown::exit(&ui, exit::INTERRUPTED);
        }
    };
    // Without the thread Ctrl-C still ends kf, but the line is not cleared.
    let _thread = std::thread::Builder::new().name("interrupt".to_owned()).spawn(watching);
}
