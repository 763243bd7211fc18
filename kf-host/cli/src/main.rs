//! The binary `kf`: parse, dispatch, render. It has no policy of its own.

#![expect(unreachable_pub, reason = "a binary has no outside to reach from")]

mod app;
mod args;
mod cluster;
mod commands;
mod complete;
mod dispatch;
mod env;
mod error;
mod interrupt;
mod plugin;
mod selection;
mod ui;
mod unknown;
mod usage;

use std::io::Write;

use kf_core::exit;

use ui::{ColorChoice, Format, Ui};

fn main() {
    let ui = Ui::new(ColorChoice::Auto, Format::Table);
    let code = dispatch::run(&ui, std::env::args_os().collect());
    leave(&ui, code)
}

/// Leaves without tearing the sandbox down: the kernel does that faster.
fn leave(ui: &Ui, code: u8) -> ! {
    ui::terminal::restore();
    ui.close();
    let code = if ui.flush().is_err() && code == exit::OK { exit::FAILED } else { code };
    let _gone = std::io::stderr().flush();
    gone(code)
}

#[expect(clippy::exit, reason = "the one place where kf ends")]
fn gone(code: u8) -> ! {
    std::process::exit(i32::from(code))
}
