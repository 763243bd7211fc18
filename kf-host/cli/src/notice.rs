//! The notice of newer versions after a command, for people only.

use std::time::SystemTime;

use kf_command::updates;
use kf_core::ui::Format;

use crate::app::App;
use crate::env;

/// Shows which commands have a newer version, at most once a day and only on a terminal.
pub fn show(app: &App) {
    let for_people = app.ui.interactive()
        && app.ui.stdout_is_terminal()
        && matches!(app.ui.format(), Format::Table | Format::Wide);
    if !for_people || env::var(env::KF_NO_UPDATE_NOTICE).is_some() || env::var(env::CI).is_some() {
        return;
    }
    match updates::due(app.commands(), SystemTime::now()).as_slice() {
        [] => {}
        [one] => {
            let updates::Update { name, installed, newest } = one;
            app.ui.note(&format!("{name} {newest} is available, {installed} is installed"));
            app.ui.note(&format!("hint: kf command upgrade {name}"));
        }
        many => {
            app.ui.note(&format!("{} commands have newer versions", many.len()));
            app.ui.note("hint: kf command outdated");
        }
    }
}
