//! Removes escape sequences from text of commands, registries and clusters.
//!
//! An escape sequence can overwrite lines above, set the clipboard, or rename the window. So on a terminal kf
//! passes only printable text, tabs and line ends. It removes whole escape sequences and the characters of
//! [`is_unsafe`], which registries also refuse. An unterminated sequence ends with its line, so that it cannot
//! hide later output. A lone carriage return becomes a line end, so that nothing is overwritten. Output to pipes
//! and files is not changed.

use kf_core::text::is_unsafe;

/// A filter for a stream that may be split anywhere, even within a character or a sequence.
#[derive(Debug, Default)]
pub struct EscapeFilter {
    state: State,
    /// The first bytes of an incomplete character.
    partial: Vec<u8>,
    after_return: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In a control sequence: ESC [ … final byte.
    Control,
    /// In a string sequence (OSC, DCS, SOS, PM, APC), which ends with BEL or ST.
    String,
    /// After ESC inside a string sequence.
    StringEscape,
}

impl EscapeFilter {
    /// Appends the safe part of `input` to `output`.
    pub fn feed(&mut self, input: &[u8], output: &mut Vec<u8>) {
        if self.plain_so_far() && input.iter().all(|byte| matches!(byte, b'\n' | b'\t' | b' '..=b'~')) {
            output.extend_from_slice(input);
            return;
        }
        let mut bytes = std::mem::take(&mut self.partial);
        bytes.extend_from_slice(input);
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            match std::str::from_utf8(rest) {
                Ok(text) => {
                    self.text(text, output);
                    break;
                }
                Err(error) => {
                    let (valid, broken) = rest.split_at(error.valid_up_to());
                    self.text(std::str::from_utf8(valid).unwrap_or_default(), output);
                    let Some(length) = error.error_len() else {
                        self.partial = broken.to_vec();
                        break;
                    };
                    self.character(char::REPLACEMENT_CHARACTER, output);
                    rest = broken.get(length..).unwrap_or_default();
                }
            }
        }
    }

    fn plain_so_far(&self) -> bool {
        self.state == State::Text && self.partial.is_empty() && !self.after_return
    }

    fn text(&mut self, text: &str, output: &mut Vec<u8>) {
        for character in text.chars() {
            self.character(character, output);
        }
    }

    fn character(&mut self, character: char, output: &mut Vec<u8>) {
        self.state = match (self.state, character) {
            (State::Text, '\u{1b}') => State::Escape,
            (State::Text, '\u{9b}') => State::Control,
            (State::Text, '\u{90}' | '\u{98}' | '\u{9d}' | '\u{9e}' | '\u{9f}') => State::String,
            (State::Text, _) => {
                self.shown(character, output);
                State::Text
            }
            (State::Escape, '[') => State::Control,
            (State::Escape, ']' | 'P' | 'X' | '^' | '_') => State::String,
            // Intermediate bytes of the sequence.
            (State::Escape, ' '..='/') => State::Escape,
            (State::Control, '0'..='?' | ' '..='/') => State::Control,
            (State::Control | State::Escape, '\u{1b}') => State::Escape,
            (State::Control | State::Escape | State::String | State::StringEscape, '\n') => {
                self.shown('\n', output);
                State::Text
            }
            (State::Escape | State::Control, _) => State::Text,
            (State::String, '\u{7}' | '\u{9c}') => State::Text,
            (State::String, '\u{1b}') => State::StringEscape,
            (State::String, _) => State::String,
            (State::StringEscape, '\\') => State::Text,
            (State::StringEscape, '\u{1b}') => State::StringEscape,
            (State::StringEscape, _) => State::String,
        };
    }

    fn shown(&mut self, character: char, output: &mut Vec<u8>) {
        let after_return = std::mem::take(&mut self.after_return);
        match character {
            '\r' => {
                output.push(b'\n');
                self.after_return = true;
            }
            '\n' if after_return => {}
            '\n' | '\t' => output.push(character as u8),
            _ if is_unsafe(character) => {}
            _ => output.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// JSON that is safe on a terminal. Unsafe characters can be only in strings, where they are replaced with JSON
/// escapes, which does not change the value.
pub fn json(document: &str) -> String {
    let mut shown = String::with_capacity(document.len());
    for character in document.chars() {
        if is_unsafe(character) && character != '\n' {
            for unit in character.encode_utf16(&mut [0; 2]) {
                shown.push_str(&format!("\\u{unit:04x}"));
            }
        } else {
            shown.push(character);
        }
    }
    shown
}

/// The safe part of a text.
pub fn filtered(text: &str) -> String {
    let mut shown = Vec::with_capacity(text.len());
    EscapeFilter::default().feed(text.as_bytes(), &mut shown);
    String::from_utf8_lossy(&shown).into_owned()
}

/// The text as one safe line, with line ends replaced by spaces.
pub fn line(text: &str) -> String {
    filtered(text.trim_end()).replace(['\n', '\t'], " ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(input: &[u8]) -> String {
        let mut output = Vec::new();
        EscapeFilter::default().feed(input, &mut output);
        String::from_utf8(output).unwrap()
    }

    #[test]
    fn escape_sequences_are_removed() {
        assert_eq!(shown(b"a\x1b[31mred\x1b[0m b"), "ared b");
        assert_eq!(shown(b"\x1b]0;title\x07text"), "text");
        assert_eq!(shown(b"\x1b]52;c;aGk=\x1b\\text"), "text");
        assert_eq!(shown("\u{9d}0;title\u{9c}text".as_bytes()), "text");
        assert_eq!(shown(b"a\x07\x08\x7fb"), "ab");
        assert_eq!(shown("abc\u{202e}def".as_bytes()), "abcdef");
        assert_eq!(shown("a\u{200b}b\u{ad}c\u{2028}d\u{e0041}\u{e007f}e".as_bytes()), "abcde");
        assert_eq!(shown("👩\u{200d}💻 ✔\u{fe0f}".as_bytes()), "👩💻 ✔");
        assert_eq!(shown(b"\x1b(Btext"), "text");
    }

    #[test]
    fn json_escapes_keep_value_and_hold_no_control_characters() {
        let message = "a\u{1b}[2J\u{7f}\u{9b}31m\u{202e}b\u{61c}\n漢\u{200b}\u{e0041}";
        let shown = json(&serde_json::json!({ "message": message }).to_string());
        assert!(!shown.chars().any(is_unsafe), "{shown:?}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap()["message"], message);
    }

    #[test]
    fn filter_removes_exactly_what_registry_refuses() {
        for character in (0..=0x10_ffff).filter_map(char::from_u32) {
            let text = format!("a{character}b");
            let refused = kf_core::manifest::check_line("summary", &text, 80).is_err();
            let changed = filtered(&text) != text && json(&text) != text;
            assert_eq!(changed, refused && !matches!(character, '\n' | '\t'), "{character:?}");
        }
    }

    #[test]
    fn carriage_return_becomes_line_end() {
        assert_eq!(shown(b"safe\rfake"), "safe\nfake");
        assert_eq!(shown(b"dos\r\nline"), "dos\nline");
    }

    #[test]
    fn invalid_utf8_is_replaced() {
        assert_eq!(shown(b"a\x9bb\xff"), "a\u{fffd}b\u{fffd}");
    }

    #[test]
    fn unterminated_sequence_hides_only_rest_of_its_line() {
        assert_eq!(shown(b"a\x1b[3\nb"), "a\nb");
        for begin in ["\x1b]0;", "\x1bP", "\x1b_", "\u{9d}", "\x1b]0;\x1b"] {
            let lines = format!("[web-0] a{begin}hidden\n[web-1] no space left\n");
            assert_eq!(shown(lines.as_bytes()), "[web-0] a\n[web-1] no space left\n", "{begin:?}");
        }
    }

    proptest! {
        #[test]
        fn split_input_gives_same_output(input: Vec<u8>, cut: prop::sample::Index) {
            let at = if input.is_empty() { 0 } else { cut.index(input.len()) };
            let mut filter = EscapeFilter::default();
            let mut output = Vec::new();
            filter.feed(&input[..at], &mut output);
            filter.feed(&input[at..], &mut output);
            let mut whole = Vec::new();
            EscapeFilter::default().feed(&input, &mut whole);
            prop_assert_eq!(output, whole);
        }

        #[test]
        fn filtered_output_has_no_control_characters(input: Vec<u8>) {
            let output = shown(&input);
            prop_assert!(output.chars().all(|c| c == '\n' || c == '\t' || (!is_unsafe(c))));
        }

        #[test]
        fn printable_text_is_unchanged(input in "[ -~äλ漢🙂\n\t]*") {
            prop_assert_eq!(shown(input.as_bytes()), input);
        }
    }
}
