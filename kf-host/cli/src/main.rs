//! The binary `kf`: parse, dispatch, render. It has no policy of its own.

#![expect(unreachable_pub, reason = "a binary has no outside to reach from")]

mod added;
mod app;
mod args;
mod bash_script;
mod before_command;
mod candidates;
mod commands;
mod complete;
mod dispatch;
mod env;
mod interrupt;
mod leave;
mod log;
mod manual;
mod overview;
mod show;
mod synonyms;
mod ui;
mod unknown;
mod usage;

use kf_core::ui::Format;

use ui::{ColorChoice, Ui};

fn main() {
    let ui = Ui::new(ColorChoice::Auto, Format::Table);
    let code = dispatch::run(&ui, std::env::args_os().collect());
    leave::leave(&ui, code)
}
