//! How the columns of a table share the width of a terminal.
//!
//! A table that is too wide is folded by column: cells go on in the lines below, within their column, and columns
//! for which there is no room at all stand indented below the others. A terminal left to itself would break lines
//! anywhere, in the middle of names too.

use unicode_width::UnicodeWidthStr as _;

/// Columns are so far apart.
pub(super) const GAP: usize = 2;

/// Columns below the others begin here.
const INDENT: usize = 2;

/// The columns that stand on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strip {
    pub(super) indent: usize,
    /// The column's number and width.
    pub(super) columns: Vec<(usize, usize)>,
}

/// What the cells of a column need.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// For the widest cell.
    pub(super) whole: usize,
    /// For the longest word.
    pub(super) word: usize,
}

impl Need {
    /// Takes in another cell.
    pub(super) fn add(&mut self, text: &str, at_most: usize) {
        let word = text.split(' ').map(width).max().unwrap_or(0);
        self.whole = text.width().min(at_most).max(self.whole);
        self.word = word.min(at_most).max(self.word);
    }
}

/// Which columns stand beside each other, and how wide they are. Without a width all do.
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

/// Shares what is left of the width among the columns that need more than their longest word. Those that need
/// least come first: a short name is not folded so that a long sentence has one line less.
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

/// A text in lines of a width, broken between words. A word that is longer stands on a line of its own.
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
    fn table_that_fits_is_one_strip() {
        let columns = vec![(0, 5), (1, 7)];
        let whole = vec![Strip { indent: 0, columns }];
        assert_eq!(strips(&needs(&["mnist", "Running"]), Some(14)), whole);
        assert_eq!(strips(&needs(&["mnist", "Running"]), None), whole);
    }

    #[test]
    fn sentence_is_folded_before_a_name() {
        let all = strips(&needs(&["mnist", "a b c d e f g h i j k l"]), Some(20));
        assert_eq!(all, [Strip { indent: 0, columns: vec![(0, 5), (1, 13)] }]);
    }

    #[test]
    fn column_without_room_stands_below() {
        let all = strips(&needs(&["trainjob", "a-long-name", "Running", "because"]), Some(24));
        let strip = |indent, columns: &[(usize, usize)]| Strip { indent, columns: columns.to_vec() };
        assert_eq!(all, [strip(0, &[(0, 8), (1, 11)]), strip(2, &[(2, 7), (3, 7)])]);
    }

    proptest! {
        #[test]
        fn no_line_is_wider_than_the_terminal_but_for_a_longer_word(
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
