//! The binary `kf`: parses the command line, dispatches and renders. It contains no policy.

#![expect(unreachable_pub, reason = "a binary has no outside to reach from")]

mod added;
mod app;
mod args;
mod bash_script;
mod candidates;
mod commands;
mod complete;
mod dispatch;
mod env;
mod interrupt;
mod log;
mod manual;
mod notice;
mod overview;
mod passphrase;
mod preparse;
mod publishing;
mod root_file;
mod secret_input;
mod show;
mod shutdown;
mod synonyms;
mod ui;
mod unknown;
mod usage;

use kf_core::ui::Format;

use ui::{ColorChoice, Ui};

fn main() {
    kf_core::failure::set_find_hint(kf_command::hints::find);
    let ui = Ui::new(ColorChoice::Auto, Format::Table);
    let code = dispatch::run(&ui, std::env::args_os().collect());
    shutdown::exit(&ui, code)
}
