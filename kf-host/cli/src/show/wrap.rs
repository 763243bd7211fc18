//! Lines of a width that is known beforehand.

use kf_core::ui::Tone;

use crate::ui::Ui;

/// As wide as a terminal is at least, and as nothing else says.
pub const WIDTH: usize = 80;

/// Lines for a terminal of so many columns. Longer ones than the last are hard to read.
pub fn width(columns: Option<usize>) -> usize {
    columns.map_or(WIDTH, |columns| columns.clamp(40, 120))
}

/// Breaks a text between words. The first line begins with `head`, the others with as much room.
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

/// Talk that a terminal would break inside a word. In a pipe it is one line, whatever its length.
pub fn tell(ui: &Ui, head: &str, text: &str, tone: Tone) {
    match ui.talk_columns() {
        Some(columns) if head.chars().count() + text.chars().count() > columns => {
            let lines = wrapped(head, text, width(Some(columns)));
            lines.iter().for_each(|line| ui.talk_toned(line, tone));
        }
        _ => ui.talk_toned(&format!("{head}{text}"), tone),
    }
}

/// Asks for a yes, in lines that fit.
pub fn confirm(ui: &Ui, question: &str) -> bool {
    /// ` [y/N] ` and the answer.
    const ANSWER: usize = 9;
    let lines = match ui.talk_columns() {
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
    fn lines_break_between_words_and_hang() {
        let text = "a ".repeat(60);
        let lines = wrapped("  read  ", &text, WIDTH);
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  read  a a") && lines[1].starts_with("        a a"), "{lines:?}");
        assert!(lines.iter().all(|line| line.len() <= WIDTH), "{lines:?}");
        assert_eq!(wrapped("", &"x".repeat(100), WIDTH), ["x".repeat(100)]);
        assert_eq!(wrapped("a", "", WIDTH), ["a"]);
    }
}
