//! Rows for people: aligned columns, two spaces apart, nothing cut off.

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

/// The lines of a table, its titles first.
pub fn render(columns: &[Column], rows: &[Row], wide: bool, color: bool) -> Vec<String> {
    let shown = |index: usize| wide || columns.get(index).is_some_and(|column| !column.wide);
    let titles = columns.iter().map(|column| Cell::from(column.title.as_str())).collect();
    let lines: Vec<Vec<Cell>> = std::iter::once(titles)
        .chain(rows.iter().map(|row| row.cells.clone()))
        .map(|cells: Vec<Cell>| {
            let kept = cells.into_iter().enumerate().filter(|(index, _)| shown(*index));
            kept.map(|(_, cell)| Cell { text: escape::line(&cell.text), tone: cell.tone }).collect()
        })
        .collect();
    let width_of = |index: usize| {
        lines.iter().filter_map(|line: &Vec<Cell>| line.get(index)).map(|cell| cell.text.width()).max()
    };
    let widths: Vec<usize> = (0..columns.len()).map_while(width_of).collect();
    lines.iter().map(|line| aligned(line, &widths, color)).collect()
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

/// The lines of one thing: title, value.
pub fn render_record(fields: &[Column], value: &Row, wide: bool, color: bool) -> Vec<String> {
    let kept = fields.iter().zip(&value.cells).filter(|(field, _)| wide || !field.wide);
    let lines: Vec<Vec<Cell>> = kept
        .map(|(field, cell)| {
            let title = Cell::from(escape::line(&field.title));
            vec![title, Cell { text: escape::line(&cell.text), tone: cell.tone }]
        })
        .collect();
    let width = lines.iter().filter_map(|line| line.first()).map(|title| title.text.width()).max();
    lines.iter().map(|line| aligned(line, &[width.unwrap_or(0), 0], color)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cells: &[&str]) -> Row {
        Row { cells: cells.iter().map(|text| Cell::from(*text)).collect(), ..Row::default() }
    }

    #[test]
    fn columns_line_up_and_lines_end_clean() {
        let columns = [Column::new("NAME"), Column::new("STATE"), Column::new("WHY")];
        let rows = [row(&["mnist", "Running", ""]), row(&["漢字", "Failed", "exit 3"])];
        assert_eq!(
            render(&columns, &rows, false, false),
            ["NAME   STATE    WHY", "mnist  Running", "漢字   Failed   exit 3"]
        );
    }

    #[test]
    fn wide_columns_show_only_when_asked_for() {
        let columns = [Column::new("NAME"), Column { title: "NODE".into(), wide: true }];
        let rows = [row(&["a", "n1"])];
        assert_eq!(render(&columns, &rows, false, false), ["NAME", "a"]);
        assert_eq!(render(&columns, &rows, true, false), ["NAME  NODE", "a     n1"]);
    }

    #[test]
    fn neither_a_cell_nor_a_title_can_break_its_line() {
        let hostile = "a\nerror: fake\x1b[2J";
        let (titles, cells) = ([Column::new(hostile)], row(&[hostile]));
        let shown = "a error: fake";
        assert_eq!(render(&titles, std::slice::from_ref(&cells), false, false), [shown, shown]);
        assert_eq!(render_record(&titles, &cells, false, false), [format!("{shown}  {shown}")]);
    }
}
