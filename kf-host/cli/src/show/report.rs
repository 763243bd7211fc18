//! What the host has to say about a run: warnings, a dry run's changes, the calls.

use kf_cluster::broker::{Change, Mark, render_calls};
use kf_command::run::Finished;
use kf_core::exit;
use kf_core::failure::Result;
use kf_core::ui::{Format, Tone};

use crate::app::App;
use crate::args::RunArgs;

pub fn show(app: &App, flags: &RunArgs, finished: &Finished) -> Result<()> {
    for warning in &finished.warnings {
        app.ui.warn(warning);
    }
    if !matches!(finished.exit, Ok(exit::OK)) {
        for (speaker, words) in &finished.withheld {
            app.ui.note(&format!("{speaker}, not told to the command: {words}"));
        }
    }
    if finished.rules.is_empty() {
        return Ok(());
    }
    if flags.dry_run {
        changes(app, &finished.changes)?;
    }
    if flags.explain {
        for line in render_calls(&finished.calls, &finished.rules) {
            app.ui.note(&line);
        }
    }
    Ok(())
}

fn changes(app: &App, changes: &[Change]) -> Result<()> {
    let data_is_json = !matches!(app.ui.format(), Format::Table | Format::Wide);
    for change in changes {
        app.ui.note(&format!("{}   (server dry run: admission agreed)", change.headline()));
        for (mark, text) in change.rendered() {
            let tone = match mark {
                Mark::Added => Tone::Good,
                Mark::Removed => Tone::Bad,
                Mark::Changed => Tone::Warning,
            };
            if data_is_json {
                app.ui.note(&text);
            } else {
                app.ui.data_toned(&text, tone)?;
            }
        }
        if let Some(note) = &change.note {
            app.ui.note(note);
        }
    }
    app.ui.note("Nothing was changed.");
    Ok(())
}
