//! Rows for people: aligned columns, two spaces apart, nothing cut off.

use std::io;

use anstyle::{AnsiColor, Style};
use kf_core::ui::{Cell, Column, Row, Tone};
use unicode_width::UnicodeWidthStr;

use super::escape;

pub fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Warning => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
        Tone::Faint => Style::new().dimmed(),
    }
}

/// The widest a column is made so that the next one is aligned. A wider cell moves the rest of its own line
/// only: otherwise one long cell would make every line as long.
const MAX_ALIGNED: usize = 200;

/// Hands on the lines of a table one by one, its titles first. Not all of them are in memory at once.
pub fn render<'r>(
    columns: &[Column],
    rows: impl IntoIterator<Item = &'r Row, IntoIter: Clone>,
    wide: bool,
    color: bool,
    mut line: impl FnMut(String) -> io::Result<()>,
) -> io::Result<()> {
    let rows = rows.into_iter();
    let titles: Vec<Cell> = columns.iter().map(|column| Cell::from(column.title.as_str())).collect();
    let shown = |index: &usize| wide || columns.get(*index).is_some_and(|column| !column.wide);
    let columns: Vec<usize> = (0..columns.len()).filter(shown).collect();
    let lines = || std::iter::once(titles.as_slice()).chain(rows.clone().map(|row| row.cells.as_slice()));
    let mut widths = vec![0; columns.len()];
    for cells in lines() {
        for (width, column) in widths.iter_mut().zip(&columns) {
            let text = cells.get(*column).map_or("", |cell| cell.text.as_str());
            *width = escape::line(text).width().min(MAX_ALIGNED).max(*width);
        }
    }
    for cells in lines() {
        let kept = columns.iter().filter_map(|column| cells.get(*column));
        let kept = kept.map(|cell| Cell { text: escape::line(&cell.text), tone: cell.tone });
        line(aligned(&kept.collect::<Vec<_>>(), &widths, color))?;
    }
    Ok(())
}

fn aligned(cells: &[Cell], widths: &[usize], color: bool) -> String {
    let mut line = String::new();
    let last = cells.len().saturating_sub(1);
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line.push_str(&painted(cell, color));
        if index != last {
            let gap = width.saturating_sub(cell.text.width()) + 2;
            line.extend(std::iter::repeat_n(' ', gap));
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn painted(cell: &Cell, color: bool) -> String {
    let style = style(cell.tone);
    if color && style != Style::new() { format!("{style}{}{style:#}", cell.text) } else { cell.text.clone() }
}

/// Hands on the lines of one thing: title, value.
pub fn render_record(
    fields: &[Column],
    value: &Row,
    wide: bool,
    color: bool,
    mut line: impl FnMut(String) -> io::Result<()>,
) -> io::Result<()> {
    let kept = fields.iter().zip(&value.cells).filter(|(field, _)| wide || !field.wide);
    let width = kept.clone().map(|(field, _)| escape::line(&field.title).width()).max();
    let widths = [width.unwrap_or(0).min(MAX_ALIGNED), 0];
    for (field, cell) in kept {
        let title = Cell::from(escape::line(&field.title));
        let cells = [title, Cell { text: escape::line(&cell.text), tone: cell.tone }];
        line(aligned(&cells, &widths, color))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[Column], rows: &[Row], wide: bool) -> Vec<String> {
        let mut lines = Vec::new();
        let keep = |line| {
            lines.push(line);
            Ok(())
        };
        render(columns, rows, wide, false, keep).unwrap();
        lines
    }

    fn record(fields: &[Column], value: &Row) -> Vec<String> {
        let mut lines = Vec::new();
        let keep = |line| {
            lines.push(line);
            Ok(())
        };
        render_record(fields, value, false, false, keep).unwrap();
        lines
    }

    fn row(cells: &[&str]) -> Row {
        Row { cells: cells.iter().map(|text| Cell::from(*text)).collect(), ..Row::default() }
    }

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let columns = [Column::new("NAME"), Column::new("STATE"), Column::new("WHY")];
        let rows = [row(&["mnist", "Running", ""]), row(&["漢字", "Failed", "exit 3"])];
        assert_eq!(
            table(&columns, &rows, false),
            ["NAME   STATE    WHY", "mnist  Running", "漢字   Failed   exit 3"]
        );
    }

    #[test]
    fn wide_columns_show_only_when_asked_for() {
        let columns = [Column::new("NAME"), Column { title: "NODE".into(), wide: true }];
        let rows = [row(&["a", "n1"])];
        assert_eq!(table(&columns, &rows, false), ["NAME", "a"]);
        assert_eq!(table(&columns, &rows, true), ["NAME  NODE", "a     n1"]);
    }

    #[test]
    fn neither_a_cell_nor_a_title_can_break_its_line() {
        let hostile = "a\nerror: fake\x1b[2J";
        let (titles, cells) = ([Column::new(hostile)], row(&[hostile]));
        let shown = "a error: fake";
        assert_eq!(table(&titles, std::slice::from_ref(&cells), false), [shown, shown]);
        assert_eq!(record(&titles, &cells), [format!("{shown}  {shown}")]);
    }

    /// A thousand rows beside one wide cell would otherwise take a thousand times its width.
    #[test]
    fn wide_cell_does_not_widen_the_other_lines() {
        let columns = [Column::new("NAME"), Column::new("WHY")];
        let wide = "x".repeat(10_000);
        let lines = table(&columns, &[row(&[&wide, "a"]), row(&["short", "b"])], false);
        assert_eq!(lines[1], format!("{wide}  a"));
        assert_eq!(lines[2], format!("{:<200}  b", "short"));
        assert_eq!(record(&[Column::new(&wide), Column::new("B")], &row(&["a", "b"]))[1].len(), 203);
    }
}
