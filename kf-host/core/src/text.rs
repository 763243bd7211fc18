//! Untrusted text in kf's own messages.
//!
//! A terminal acts on control characters, directional formatting characters reorder text, and invisible
//! characters make two texts look alike or hide one. [`is_unsafe`] is the only definition of these
//! characters. Everything that shows, stores or forwards text of a guest, a registry or a cluster uses it.
//!
//! Joiners and variation selectors count as invisible although some scripts and emoji use them: an emoji
//! made of several is shown as its parts, and one with a variation selector in the terminal's default style.

use std::fmt::Write;

/// Whether the character is a control character, breaks lines, changes the direction of text, or is invisible.
pub fn is_unsafe(c: char) -> bool {
    c.is_control() || is_ignorable(c) || is_format(c)
}

/// Unicode's `Default_Ignorable_Code_Point`: zero-width spaces, soft hyphens, bidirectional controls, fillers,
/// variation selectors and tags.
fn is_ignorable(c: char) -> bool {
    matches!(
        c,
        '\u{ad}'
            | '\u{34f}'
            | '\u{61c}'
            | '\u{115f}'..='\u{1160}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fff8}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}'
    )
}

/// Line and paragraph separators, and controls of annotations and hieroglyphs.
fn is_format(c: char) -> bool {
    matches!(c, '\u{2028}'..='\u{2029}' | '\u{fff9}'..='\u{fffb}' | '\u{13430}'..='\u{1343f}')
}

/// A number of things: `1 call`, `3 calls`.
pub fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

/// The text with every [unsafe](is_unsafe) character escaped, except those in `keep`.
pub fn escaped(text: &str, keep: &[char]) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_unsafe(c) && !keep.contains(&c) {
            // Writing to a string does not fail.
            let _ = write!(safe, "{}", c.escape_unicode());
        } else {
            safe.push(c);
        }
    }
    safe
}

/// [`escaped`], in one line. The middle of a very long one is omitted.
pub fn escaped_line(text: &str) -> String {
    shortened_line(&escaped(&text.split_whitespace().collect::<Vec<_>>().join(" "), &[]))
}

/// The longest line that [`one_line`] returns, in characters.
const MAX_LINE_CHARS: usize = 1000;

/// How many of them come from the beginning of a longer text.
const MAX_HEAD_CHARS: usize = 400;

/// The words of a text as one line without [unsafe](is_unsafe) characters, at most 1000 characters
/// long. The middle of a longer text is omitted: a chain of errors begins with what failed and ends
/// with the cause.
pub fn one_line(text: &str) -> String {
    let separates = |c: char| c.is_whitespace() || is_unsafe(c);
    let words = || text.split(separates).filter(|word| !word.is_empty());
    let mut line = String::new();
    let mut length = 0;
    for word in words() {
        if !line.is_empty() {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word.chars().count();
        if length > MAX_LINE_CHARS {
            return shortened(&line, words().rev());
        }
    }
    line
}

/// A line without the middle if it is longer than 1000 characters. What is kept is not changed.
pub fn shortened_line(line: &str) -> String {
    if line.chars().count() <= MAX_LINE_CHARS {
        return line.to_owned();
    }
    let tail: Vec<char> = line.chars().rev().take(MAX_LINE_CHARS - MAX_HEAD_CHARS - " … ".len()).collect();
    let head: String = line.chars().take(MAX_HEAD_CHARS).collect();
    format!("{head} … {}", tail.into_iter().rev().collect::<String>())
}

/// The beginning of a line, and as many of the last words as fit.
fn shortened<'w>(line: &str, last_words: impl Iterator<Item = &'w str>) -> String {
    let head: String = line.chars().take(MAX_HEAD_CHARS).collect();
    let room = MAX_LINE_CHARS - MAX_HEAD_CHARS - " … ".len();
    // The characters of the end, in reverse order.
    let mut tail: Vec<char> = Vec::new();
    for word in last_words {
        if !tail.is_empty() {
            tail.push(' ');
        }
        tail.extend(word.chars().rev().take(room));
        if tail.len() >= room {
            break;
        }
    }
    tail.truncate(room);
    let tail: String = tail.into_iter().rev().collect();
    format!("{} … {}", head.trim_end(), tail.trim_start())
}

/// The longest value in an error, in characters.
const MAX_EXCERPT_CHARS: usize = 80;

/// A value for an error message: printable and short.
pub fn excerpt(value: &str) -> String {
    let shown: String = value.chars().take(MAX_EXCERPT_CHARS).flat_map(char::escape_debug).collect();
    // `escape_debug` does not escape fillers.
    let mut text = escaped(&shown, &[]);
    if value.chars().nth(MAX_EXCERPT_CHARS).is_some() {
        text.push('…');
    }
    text
}

/// At most `max_bytes` of a text, with an ellipsis if it was longer.
pub fn truncated(mut text: String, max_bytes: usize) -> String {
    if text.len() > max_bytes {
        text.truncate(text.floor_char_boundary(max_bytes));
        text.push('…');
        // It may be kept for long, and must not keep the memory of the whole text.
        text.shrink_to_fit();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truncated_cuts_between_characters() {
        assert_eq!(truncated("x".repeat(8), 8), "x".repeat(8));
        let cut = truncated("ä".repeat(8), 9);
        assert_eq!(cut, "ääää…");
    }

    #[test]
    fn long_line_loses_only_its_middle() {
        let shown = escaped_line(&format!("begin {} end", "ä".repeat(70_000)));
        assert!(shown.chars().count() <= MAX_LINE_CHARS, "{}", shown.len());
        assert!(
            shown.starts_with("begin ä") && shown.contains("ä … ä") && shown.ends_with("ä end"),
            "{shown}"
        );
        assert_eq!(shortened_line("short\tand  kept"), "short\tand  kept");
    }

    #[test]
    fn escaped_text_has_no_unsafe_characters() {
        assert_eq!(escaped_line("a\u{1b}[2J\n  b\u{9b}\u{202e}c"), r"a\u{1b}[2J b\u{9b}\u{202e}c");
        assert_eq!(escaped("Ä\n\t\u{7}日本", &['\n']), "Ä\n\\u{9}\\u{7}日本");
    }

    #[test]
    fn control_directional_and_invisible_characters_are_unsafe() {
        let invisible = "\u{ad}\u{34f}\u{61c}\u{115f}\u{180e}\u{200b}\u{200c}\u{200d}\u{2060}\u{3164}\u{fe0f}\u{feff}\u{e0041}";
        let directional = "\u{200e}\u{200f}\u{202a}\u{202e}\u{2066}\u{2069}";
        let acted_on = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{2028}\u{2029}\u{fff9}";
        for c in [invisible, directional, acted_on].concat().chars() {
            assert!(is_unsafe(c), "{c:?}");
        }
        for c in " ~\u{a0}Äλ漢字한🙂👨é\u{301}\u{600}…→✓".chars() {
            assert!(!is_unsafe(c), "{c:?}");
        }
    }

    #[test]
    fn one_line_is_short_and_printable() {
        let line = one_line(&format!("a\r\n\tb\u{7}{}", "x ".repeat(5000)));
        assert!(line.starts_with("a b x"));
        assert!(line.chars().count() <= MAX_LINE_CHARS + 1);
        assert!(!line.chars().any(is_unsafe));
    }

    #[test]
    fn one_line_keeps_the_end_where_the_cause_is() {
        let chain = format!("failed to apply: {}: expected string, got true", "spec.x ".repeat(500));
        let line = one_line(&chain);
        assert!(line.starts_with("failed to apply: spec.x "), "{line}");
        assert!(line.contains(" … ") && line.ends_with("spec.x : expected string, got true"), "{line}");
        for text in
            ["ä".repeat(5000), " ".repeat(5000), format!("{} b", "a".repeat(5000)), "\u{7}".repeat(5000)]
        {
            assert!(one_line(&text).chars().count() <= MAX_LINE_CHARS + 1);
        }
        let exact = "x".repeat(MAX_LINE_CHARS);
        assert_eq!(one_line(&exact), exact);
    }

    #[test]
    fn excerpt_is_short_and_printable() {
        assert_eq!(excerpt("a\u{1b}b"), "a\\u{1b}b");
        for c in (0..=0x10_ffff).filter_map(char::from_u32).filter(|c| is_unsafe(*c)) {
            assert!(!excerpt(&format!("a{c}")).contains(c), "{c:?}");
        }
        assert_eq!(excerpt(&"x".repeat(500)).chars().count(), MAX_EXCERPT_CHARS + 1);
    }
}
