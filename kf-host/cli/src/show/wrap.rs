//! Wraps text to the width of the terminal.

use kf_core::ui::Tone;

use crate::ui::Ui;

/// The default width, if there is no terminal or it reports none.
pub const WIDTH: usize = 80;

/// The width of lines on a terminal with this number of columns. Lines over 120 characters are hard to read.
pub fn width(columns: Option<usize>) -> usize {
    columns.map_or(WIDTH, |columns| columns.clamp(40, 120))
}

/// Wraps a text between words. The first line begins with `head`, the others with an indent of its width.
pub fn wrapped(head: &str, text: &str, width: usize) -> Vec<String> {
    let hang = head.chars().count();
    let mut lines = Vec::new();
    let (mut line, mut length, mut empty) = (head.to_owned(), hang, true);
    for word in text.split_whitespace() {
        let word_length = word.chars().count();
        if !empty && length + 1 + word_length > width {
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

/// Prints a message, wrapped between words on a terminal. In a pipe it stays one line.
pub fn print_wrapped(ui: &Ui, head: &str, text: &str, tone: Tone) {
    match ui.stderr_columns() {
        Some(columns) if head.chars().count() + text.chars().count() > columns => {
            let lines = wrapped(head, text, width(Some(columns)));
            lines.iter().for_each(|line| ui.message_toned(line, tone));
        }
        _ => ui.message_toned(&format!("{head}{text}"), tone),
    }
}

/// Asks for confirmation, in wrapped lines.
pub fn confirm(ui: &Ui, question: &str) -> bool {
    /// Room for ` [y/N] ` and the answer.
    const ANSWER: usize = 9;
    let lines = match ui.stderr_columns() {
        Some(columns) => wrapped("", question, width(Some(columns)).saturating_sub(ANSWER)),
        None => vec![question.to_owned()],
    };
    let Some((last, above)) = lines.split_last() else { return false };
    above.iter().for_each(|line| ui.note(line));
    ui.confirm(last, false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_wrap_between_words_with_hanging_indent() {
        let text = "a ".repeat(60);
        let lines = wrapped("  read  ", &text, WIDTH);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  read  a a") && lines[1].starts_with("        a a"), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert_eq!(wrapped("", &"x".repeat(100), WIDTH), ["x".repeat(100)]);
        assert_eq!(wrapped("a", "", WIDTH), ["a"]);
    }
}
