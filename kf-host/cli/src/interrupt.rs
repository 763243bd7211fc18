//! Ctrl-C while kf itself fetches, compiles or asks.
//!
//! What kf keeps is written aside and renamed, so it may stop anywhere. Left to do is to clear
//! the line of a wait or a question and to say so. While a command of the sandbox runs, the
//! sandbox looks out for Ctrl-C instead.

use kf_core::exit;

use crate::leave;
use crate::ui::Ui;

/// Ends the process at the first Ctrl-C from now on.
pub fn watch(ui: &Ui) {
    let ui = ui.clone();
    let watching = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        if runtime.block_on(tokio::signal::ctrl_c()).is_ok() {
            ui.error(&kf_command::run::interrupted());
            leave::leave(&ui, exit::INTERRUPTED);
        }
    };
    // Without the thread Ctrl-C still ends kf, only less tidily.
    let _thread = std::thread::Builder::new().name("interrupt".to_owned()).spawn(watching);
}
