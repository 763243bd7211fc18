//! Words of a guest, or about one, in the host's own messages.

use std::fmt::Write;

/// The text with everything written out that a terminal would act on: control characters, and
/// those that turn the direction of text. `keep` are control characters that may stay.
pub(crate) fn plain(text: &str, keep: &[char]) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        let turns = matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{61c}');
        if (c.is_control() && !keep.contains(&c)) || turns {
            // Writing to a string does not fail.
            let _ = write!(plain, "{}", c.escape_unicode());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// The same in one line.
pub(crate) fn line(text: &str) -> String {
    plain(&text.split_whitespace().collect::<Vec<_>>().join(" "), &[])
}

/// The longest that a guest says of its own failure, in bytes.
const LONGEST: usize = 8 << 10;

/// The text, cut where it is no message any more: why a guest failed is not counted with its output.
pub(crate) fn short(text: String) -> String {
    cut(text, LONGEST)
}

/// At most so many bytes of a text, and a sign that there were more.
pub(crate) fn cut(mut text: String, longest: usize) -> String {
    if text.len() > longest {
        text.truncate(text.floor_char_boundary(longest));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{LONGEST, line, plain, short};

    #[test]
    fn a_message_without_end_is_cut_between_characters() {
        assert_eq!(short("x".repeat(LONGEST)), "x".repeat(LONGEST));
        let cut = short("ä".repeat(LONGEST));
        assert!(cut.ends_with("ä…") && cut.len() <= LONGEST + '…'.len_utf8());
    }

    #[test]
    fn what_a_terminal_acts_on_is_written_out() {
        assert_eq!(line("a\u{1b}[2J\n  b\u{9b}\u{202e}c"), r"a\u{1b}[2J b\u{9b}\u{202e}c");
        assert_eq!(plain("Ä\n\t\u{7}日本", &['\n']), "Ä\n\\u{9}\\u{7}日本");
    }
}
