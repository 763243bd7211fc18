//! Lines of a width that is known beforehand.

/// As wide as a terminal is at least.
pub const WIDTH: usize = 80;

/// Breaks a text between words. The first line begins with `head`, the others with as much room.
pub fn wrapped(head: &str, text: &str) -> Vec<String> {
    let hang = head.chars().count();
    let mut lines = Vec::new();
    let (mut line, mut length, mut empty) = (head.to_owned(), hang, true);
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if !empty && length + 1 + word_length > WIDTH {
            lines.push(std::mem::replace(&mut line, " ".repeat(hang)));
            (length, empty) = (hang, true);
        }
        if !empty {
            line.push(' ');
            length += 1;
        }
        line.push_str(word);
        length += word_length;
        empty = false;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_between_words_and_hang() {
        let text = "a ".repeat(60);
        let lines = wrapped("  read  ", &text);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  read  a a") && lines[1].starts_with("        a a"), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert_eq!(wrapped("", &"x".repeat(100)), ["x".repeat(100)]);
        assert_eq!(wrapped("a", ""), ["a"]);
    }
}
