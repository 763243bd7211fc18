//! Tables for users: aligned columns, two spaces apart, never truncated. On a narrow terminal they are
//! [folded](super::fold).

use std::io;

use anstyle::{AnsiColor, Style};
use kf_core::ui::{Cell, Column, Row, Tone};
use unicode_width::UnicodeWidthStr;

use super::escape;
use super::fold::{GAP, Need, Strip, strips, wrapped};

/// How to render a table.
#[derive(Clone, Copy, Debug, Default)]
pub struct TableStyle {
    /// Includes the columns of `-o wide`.
    pub wide: bool,
    pub color: bool,
    /// The width of the terminal; none without a terminal.
    pub width: Option<usize>,
}

pub fn style(tone: Tone) -> Style {
    match tone {
        Tone::Plain => Style::new(),
        Tone::Good => AnsiColor::Green.on_default(),
        Tone::Warning => AnsiColor::Yellow.on_default(),
        Tone::Bad => AnsiColor::Red.on_default(),
        Tone::Faint => Style::new().dimmed(),
    }
}

/// The maximum width that columns are padded to. A wider cell shifts only the rest of its own line; otherwise one long
/// cell would make every line as long.
const MAX_ALIGNED_WIDTH: usize = 200;

/// Calls `line` for each line of a table, titles first. The lines are not all in memory at once.
pub fn render<'r>(
    columns: &[Column],
    rows: impl IntoIterator<Item = &'r Row, IntoIter: Clone>,
    options: TableStyle,
    mut line: impl FnMut(String) -> io::Result<()>,
) -> io::Result<()> {
    let rows = rows.into_iter();
    let titles: Vec<Cell> = columns.iter().map(|column| Cell::from(column.title.as_str())).collect();
    let shown = |index: &usize| options.wide || columns.get(*index).is_some_and(|column| !column.wide);
    let columns: Vec<usize> = (0..columns.len()).filter(shown).collect();
    let lines = || std::iter::once(titles.as_slice()).chain(rows.clone().map(|row| row.cells.as_slice()));
    let mut needs = vec![Need::default(); columns.len()];
    for cells in lines() {
        for (need, column) in needs.iter_mut().zip(&columns) {
            let text = cells.get(*column).map_or("", |cell| cell.text.as_str());
            need.add(&escape::line(text), MAX_ALIGNED_WIDTH);
        }
    }
    let strips = strips(&needs, options.width);
    for cells in lines() {
        let kept = columns.iter().filter_map(|column| cells.get(*column));
        let kept = kept.map(|cell| Cell { text: escape::line(&cell.text), tone: cell.tone });
        let kept: Vec<Cell> = kept.collect();
        for (number, strip) in strips.iter().enumerate() {
            for text in folded(&kept, strip, options) {
                // Empty lines of columns below the others are skipped.
                if number == 0 || !text.is_empty() {
                    line(text)?;
                }
            }
        }
    }
    Ok(())
}

/// The lines of the cells of a strip, wrapped to their columns.
fn folded(cells: &[Cell], strip: &Strip, options: TableStyle) -> Vec<String> {
    let own = strip.columns.iter().filter_map(|(column, width)| Some((cells.get(*column)?, *width)));
    let (own, widths): (Vec<&Cell>, Vec<usize>) = own.unzip();
    if options.width.is_none() {
        return vec![aligned(&own, &widths, 0, options.color)];
    }
    let pieces = own.iter().zip(&widths).map(|(cell, width)| wrapped(&cell.text, *width));
    let pieces: Vec<Vec<String>> = pieces.collect();
    let height = pieces.iter().map(Vec::len).max().unwrap_or(1);
    let line = |at: usize| {
        let piece = |(cell, pieces): (&&Cell, &Vec<String>)| Cell {
            text: pieces.get(at).cloned().unwrap_or_default(),
            tone: cell.tone,
        };
        let cells: Vec<Cell> = own.iter().zip(&pieces).map(piece).collect();
        aligned(&cells.iter().collect::<Vec<_>>(), &widths, strip.indent, options.color)
    };
    (0..height).map(line).collect()
}

fn aligned(cells: &[&Cell], widths: &[usize], indent: usize, color: bool) -> String {
    let mut line = " ".repeat(indent);
    let last = cells.len().saturating_sub(1);
    for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
        line.push_str(&painted(cell, color));
        if index != last {
            let gap = width.saturating_sub(cell.text.width()) + GAP;
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

/// Calls `line` for each line of a record: title, value.
pub fn render_record(
    fields: &[Column],
    value: &Row,
    options: TableStyle,
    mut line: impl FnMut(String) -> io::Result<()>,
) -> io::Result<()> {
    let kept = fields.iter().zip(&value.cells).filter(|(field, _)| options.wide || !field.wide);
    let width = kept.clone().map(|(field, _)| escape::line(&field.title).width()).max();
    let titles = width.unwrap_or(0).min(MAX_ALIGNED_WIDTH);
    for (field, cell) in kept {
        let title = Cell::from(escape::line(&field.title));
        let cells = [title, Cell { text: escape::line(&cell.text), tone: cell.tone }];
        let mut need = Need::default();
        need.add(&escape::line(&cell.text), usize::MAX);
        let needs = [Need { whole: titles, word: titles }, need];
        for strip in strips(&needs, options.width) {
            folded(&cells, &strip, options).into_iter().try_for_each(&mut line)?;
        }
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
        render(columns, rows, TableStyle { wide, ..TableStyle::default() }, keep).unwrap();
        lines
    }

    fn record(fields: &[Column], value: &Row) -> Vec<String> {
        let mut lines = Vec::new();
        let keep = |line| {
            lines.push(line);
            Ok(())
        };
        render_record(fields, value, TableStyle::default(), keep).unwrap();
        lines
    }

    fn narrow(columns: &[Column], rows: &[Row], width: usize) -> Vec<String> {
        let mut lines = Vec::new();
        let keep = |line| {
            lines.push(line);
            Ok(())
        };
        render(columns, rows, TableStyle { width: Some(width), ..TableStyle::default() }, keep).unwrap();
        lines
    }

    #[test]
    fn narrow_terminal_folds_columns_between_words() {
        let columns = ["KIND", "NAME", "STATE", "READY", "AGE", "WHY"].map(Column::new);
        let why = "ImagePullBackOff: registry.example.com/team/mnist-training:2026-11 is not there, or you may not pull it";
        let rows = [
            row(&["trainjob", "mnist-with-a-name", "Pending", "0/2", "5m", why]),
            row(&["notebook", "alice", "Running", "1/1", "3d", ""]),
        ];
        insta::assert_snapshot!(narrow(&columns, &rows, 60).join("\n"), @"
        KIND      NAME               STATE    READY  AGE
          WHY
        trainjob  mnist-with-a-name  Pending  0/2    5m
          ImagePullBackOff:
          registry.example.com/team/mnist-training:2026-11 is not
          there, or you may not pull it
        notebook  alice              Running  1/1    3d
        ");
        insta::assert_snapshot!(narrow(&columns, &rows, 100).join("\n"), @"
        KIND      NAME               STATE    READY  AGE  WHY
        trainjob  mnist-with-a-name  Pending  0/2    5m   ImagePullBackOff:
                                                          registry.example.com/team/mnist-training:2026-11
                                                          is not there, or you may not pull it
        notebook  alice              Running  1/1    3d
        ");
        assert_eq!(narrow(&columns, &rows, 500), table(&columns, &rows, false));
    }

    fn row(cells: &[&str]) -> Row {
        Row { cells: cells.iter().map(|text| Cell::from(*text)).collect(), ..Row::default() }
    }

    #[test]
    fn columns_are_aligned_without_trailing_spaces() {
        let columns = [Column::new("NAME"), Column::new("STATE"), Column::new("WHY")];
        let rows = [row(&["mnist", "Running", ""]), row(&["漢字", "Failed", "exit 3"])];
        assert_eq!(
            table(&columns, &rows, false),
            ["NAME   STATE    WHY", "mnist  Running", "漢字   Failed   exit 3"]
        );
    }

    #[test]
    fn wide_columns_are_shown_only_with_wide_output() {
        let columns = [Column::new("NAME"), Column { title: "NODE".into(), wide: true }];
        let rows = [row(&["a", "n1"])];
        assert_eq!(table(&columns, &rows, false), ["NAME", "a"]);
        assert_eq!(table(&columns, &rows, true), ["NAME  NODE", "a     n1"]);
    }

    #[test]
    fn line_ends_in_cells_and_titles_become_spaces() {
        let hostile = "a\nerror: fake\x1b[2J";
        let (titles, cells) = ([Column::new(hostile)], row(&[hostile]));
        let shown = "a error: fake";
        assert_eq!(table(&titles, std::slice::from_ref(&cells), false), [shown, shown]);
        assert_eq!(record(&titles, &cells), [format!("{shown}  {shown}")]);
    }

    /// Otherwise a thousand rows next to one wide cell would take a thousand times its width.
    #[test]
    fn wide_cell_does_not_widen_other_lines() {
        let columns = [Column::new("NAME"), Column::new("WHY")];
        let wide = "x".repeat(10_000);
        let lines = table(&columns, &[row(&[&wide, "a"]), row(&["short", "b"])], false);
        assert_eq!(lines[1], format!("{wide}  a"));
        assert_eq!(lines[2], format!("{:<200}  b", "short"));
        assert_eq!(record(&[Column::new(&wide), Column::new("B")], &row(&["a", "b"]))[1].len(), 203);
    }
}
