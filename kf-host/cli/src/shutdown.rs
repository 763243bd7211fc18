//! The end of the process.

use std::io::Write;

use kf_core::exit;

use crate::ui::{Ui, saved_terminal};

/// Restores the terminal, flushes the output and exits. Memory is left to the kernel to free, which is faster.
pub fn exit(ui: &Ui, code: u8) -> ! {
    saved_terminal::restore();
    ui.close();
    let code = if ui.flush().is_err() && code == exit::OK { exit::FAILED } else { code };
    let _gone = std::io::stderr().flush();
    exit_process(code)
}

#[expect(clippy::exit, reason = "the only place where kf exits")]
pub fn exit_process(code: u8) -> ! {
    std::process::exit(i32::from(code))
}
