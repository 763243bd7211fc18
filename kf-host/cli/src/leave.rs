//! The end of the process.

use std::io::Write;

use kf_core::exit;

use crate::ui::{Ui, taken};

/// Leaves without tearing the sandbox down: the kernel does that faster.
pub fn leave(ui: &Ui, code: u8) -> ! {
    taken::restore();
    ui.close();
    let code = if ui.flush().is_err() && code == exit::OK { exit::FAILED } else { code };
    let _gone = std::io::stderr().flush();
    gone(code)
}

#[expect(clippy::exit, reason = "the one place where kf ends")]
pub fn gone(code: u8) -> ! {
    std::process::exit(i32::from(code))
}
