//! Fits the columns of a table to the width of a terminal.
//!
//! In a table that is too wide, cells are wrapped within their columns, and columns without room are placed below the
//! others, indented. A terminal would wrap lines anywhere, even within names.

use unicode_width::UnicodeWidthStr as _;

/// The space between columns.
pub(super) const GAP: usize = 2;

/// The indent of columns below the others.
const INDENT: usize = 2;

/// The columns that share a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strip {
    pub(super) indent: usize,
    /// The index and width of each column.
    pub(super) columns: Vec<(usize, usize)>,
}

/// The widths that the cells of a column need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// The width of the widest cell.
    pub(super) whole: usize,
    /// The width of the longest word.
    pub(super) word: usize,
}

impl Need {
    /// Includes another cell.
    pub(super) fn add(&mut self, text: &str, at_most: usize) {
        let word = text.split(' ').map(width).max().unwrap_or(0);
        self.whole = text.width().min(at_most).max(self.whole);
        self.word = word.min(at_most).max(self.word);
    }
}

/// The columns on each line, with their widths. Without a terminal width all are on one line.
pub(super) fn strips(needs: &[Need], width: Option<usize>) -> Vec<Strip> {
    let whole = needs.iter().map(|need| need.whole);
    let Some(width) = width.filter(|width| total(whole.clone()) > *width) else {
        return vec![Strip { indent: 0, columns: whole.enumerate().collect() }];
    };
    let mut strips: Vec<Strip> = Vec::new();
    for (column, need) in needs.iter().enumerate() {
        let words = |strip: &Strip| total(strip.columns.iter().map(|(_, word)| *word).chain([need.word]));
        match strips.last_mut() {
            Some(strip) if strip.indent + words(strip) <= width => strip.columns.push((column, need.word)),
            last => {
                let indent = if last.is_some() { INDENT } else { 0 };
                strips.push(Strip { indent, columns: vec![(column, need.word)] });
            }
        }
    }
    for strip in &mut strips {
        widen(strip, needs, width);
    }
    strips
}

/// Distributes the remaining width to the columns that need more than their longest word, those that need least first:
/// short names are not wrapped to save a line of a long sentence.
fn widen(strip: &mut Strip, needs: &[Need], width: usize) {
    let used = strip.indent + total(strip.columns.iter().map(|(_, width)| *width));
    let mut left = width.saturating_sub(used);
    let lacks =
        |column: usize, width: usize| needs.get(column).map_or(0, |need| need.whole).saturating_sub(width);
    let mut order: Vec<&mut (usize, usize)> = strip.columns.iter_mut().collect();
    order.sort_by_key(|column| lacks(column.0, column.1));
    let mut columns = order.len();
    for column in order {
        let more = lacks(column.0, column.1).min(left / columns.max(1));
        column.1 += more;
        left -= more;
        columns -= 1;
    }
}

fn total(widths: impl Iterator<Item = usize>) -> usize {
    let (columns, sum) = widths.fold((0, 0), |(columns, sum), width| (columns + 1, sum + width));
    sum + GAP * usize::saturating_sub(columns, 1)
}

/// Wraps a text between words. A longer word gets its own line.
pub(super) fn wrapped(text: &str, width: usize) -> Vec<String> {
    if text.width() <= width {
        return vec![text.to_owned()];
    }
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.width() + 1 + word.width() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

fn width(text: &str) -> usize {
    text.width()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn needs(texts: &[&str]) -> Vec<Need> {
        let need = |text: &&str| {
            let mut need = Need::default();
            need.add(text, 200);
            need
        };
        texts.iter().map(need).collect()
    }

    #[test]
    fn fitting_table_is_one_strip() {
        let columns = vec![(0, 5), (1, 7)];
        let whole = vec![Strip { indent: 0, columns }];
        assert_eq!(strips(&needs(&["mnist", "Running"]), Some(14)), whole);
        assert_eq!(strips(&needs(&["mnist", "Running"]), None), whole);
    }

    #[test]
    fn long_sentence_is_folded_before_short_name() {
        let all = strips(&needs(&["mnist", "a b c d e f g h i j k l"]), Some(20));
        assert_eq!(all, [Strip { indent: 0, columns: vec![(0, 5), (1, 13)] }]);
    }

    #[test]
    fn column_without_room_moves_below() {
        let all = strips(&needs(&["trainjob", "a-long-name", "Running", "because"]), Some(24));
        let strip = |indent, columns: &[(usize, usize)]| Strip { indent, columns: columns.to_vec() };
        assert_eq!(all, [strip(0, &[(0, 8), (1, 11)]), strip(2, &[(2, 7), (3, 7)])]);
    }

    proptest! {
        #[test]
        fn only_long_words_exceed_terminal_width(
            cells in prop::collection::vec("([a-z]{1,9} ?){0,9}", 1..8), width in 1_usize..70,
        ) {
            let cells: Vec<&str> = cells.iter().map(|cell| cell.trim_end()).collect();
            let needs = needs(&cells);
            let strips = strips(&needs, Some(width));
            let shown: Vec<usize> = strips.iter().flat_map(|strip| &strip.columns).map(|column| column.0).collect();
            prop_assert_eq!(shown, (0..cells.len()).collect::<Vec<_>>(), "each column once, in order");
            for strip in &strips {
                let used = strip.indent + total(strip.columns.iter().map(|(_, width)| *width));
                prop_assert!(used <= width || strip.columns.len() == 1, "{strip:?}");
                for (column, width) in &strip.columns {
                    let lines = wrapped(cells[*column], *width);
                    prop_assert_eq!(lines.join(" "), cells[*column]);
                    prop_assert!(lines.iter().all(|line| line.width() <= *width));
                }
            }
        }
    }
}
