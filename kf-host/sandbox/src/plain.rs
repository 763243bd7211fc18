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

#[cfg(test)]
mod tests {
    use super::{line, plain};

    #[test]
    fn what_a_terminal_acts_on_is_written_out() {
        assert_eq!(line("a\u{1b}[2J\n  b\u{9b}\u{202e}c"), r"a\u{1b}[2J b\u{9b}\u{202e}c");
        assert_eq!(plain("Ä\n\t\u{7}日本", &['\n']), "Ä\n\\u{9}\\u{7}日本");
    }
}
