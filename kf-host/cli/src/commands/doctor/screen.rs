//! Shows the report: a line for each check, with its problems and hints below.

use std::io;

use kf_core::ui::{Cell, Column, Row, Tone};

use super::check::{Check, Report, State};
use crate::env;
use crate::ui::Ui;

pub fn show(ui: &Ui, report: &Report) -> io::Result<()> {
    // A terminal without UTF-8 shows only ASCII.
    let ascii = ui.stdout_is_terminal() && !env::utf8();
    let lines: Vec<(String, Cell)> = report.checks.iter().flat_map(|check| lines(check, ascii)).collect();
    let (titles, cells): (Vec<String>, Vec<Cell>) = lines.into_iter().unzip();
    let fields: Vec<Column> = titles.iter().map(|title| Column::new(title)).collect();
    ui.record(&fields, &Row { cells, ..Row::default() })?;
    let warnings = report.count(State::Warning);
    if report.count(State::Failed) == 0 {
        let s = if warnings == 1 { "" } else { "s" };
        let warnings = if warnings == 0 { String::new() } else { format!("; {warnings} warning{s}") };
        ui.note(&format!("no checks failed{warnings}"));
    }
    Ok(())
}

fn mark(state: State, ascii: bool) -> &'static str {
    match (state, ascii) {
        (State::Ok, false) => "✓",
        (State::Ok, true) => "+",
        (State::Skipped, false) => "–",
        (State::Skipped, true) => "-",
        (State::Warning, _) => "!",
        (State::Failed, false) => "✗",
        (State::Failed, true) => "x",
    }
}

/// The line of the check, with its title, and the lines below it, without titles.
fn lines(check: &Check, ascii: bool) -> Vec<(String, Cell)> {
    let tone = match check.state {
        State::Ok => Tone::Plain,
        State::Skipped => Tone::Faint,
        State::Warning => Tone::Warning,
        State::Failed => Tone::Bad,
    };
    let title = format!("{} {}", mark(check.state, ascii), check.name);
    let below = check.notes.iter().chain(&check.private).map(|note| Cell::from(note.as_str()));
    let hints = check.hints.iter().map(|hint| Cell::from(format!("hint: {hint}")));
    let below = below.chain(hints).map(|cell| (String::new(), cell));
    std::iter::once((title, Cell::toned(check.value.as_str(), tone))).chain(below).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_and_hints_are_below_check() {
        let mut check = Check::ok("home", "/x").problem(State::Failed, "open", Some("chmod go-w /x".into()));
        check.private.push("aws: log in".to_owned());
        let shown: Vec<_> =
            lines(&check, false).into_iter().map(|(title, cell)| (title, cell.text)).collect();
        let line = |title: &str, text: &str| (title.to_owned(), text.to_owned());
        assert_eq!(
            shown,
            [
                line("✗ home", "/x"),
                line("", "open"),
                line("", "aws: log in"),
                line("", "hint: chmod go-w /x"),
            ]
        );
    }

    #[test]
    fn ascii_marks_are_ascii() {
        for state in [State::Ok, State::Skipped, State::Warning, State::Failed] {
            assert!(mark(state, true).is_ascii());
        }
    }
}
