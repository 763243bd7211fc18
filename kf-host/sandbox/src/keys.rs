//! The keys that leave a terminal session, no matter which program runs in it.
//!
//! kf reads every key before the container does. `~.` at the beginning of a line leaves, as in ssh, and so do
//! three Ctrl-C within a second. `~~` sends one `~`.
//!
//! A program can make the terminal send keys as escape sequences instead: with kitty's keyboard protocol, xterm's
//! `modifyOtherKeys` and Windows' `win32-input-mode`. These are parsed too, so that no program can keep the user in
//! its session. Only a plain `~` is held back until the next key; a sequence is passed on at once.

use std::time::{Duration, Instant};

/// The time within which three Ctrl-C leave.
const INTERRUPT_WINDOW: Duration = Duration::from_secs(1);

/// The longest escape sequence of a key.
const MAX_SEQUENCE_BYTES: usize = 64;

const CTRL_C: char = '\u{3}';

/// The result of reading typed bytes.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Typed {
    /// What to send to the container.
    pub(crate) forward: Vec<u8>,
    /// Whether the user leaves.
    pub(crate) leaves: bool,
}

/// Reads keys on their way to a session.
#[derive(Debug, Default)]
pub(crate) struct Keys {
    line: Line,
    sequence: Sequence,
    /// The times of the last two Ctrl-C.
    interrupts: [Option<Instant>; 2],
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Line {
    #[default]
    Beginning,
    /// After a `~` at the beginning.
    Tilde {
        held: bool,
    },
    Inside,
}

#[derive(Debug, Default)]
enum Sequence {
    #[default]
    None,
    /// After ESC.
    Escape,
    /// After ESC [, with its parameters.
    Control(Vec<u8>),
}

/// The key of a control sequence.
enum Key {
    Char(char),
    /// An arrow, a function key, a reply of the terminal.
    Other,
    /// A released key, or only a modifier.
    Nothing,
}

impl Keys {
    /// Reads bytes that were typed at a time.
    pub(crate) fn read(&mut self, bytes: &[u8], now: Instant) -> Typed {
        let mut typed = Typed::default();
        for byte in bytes {
            if self.byte(*byte, now, &mut typed.forward) {
                typed.leaves = true;
                break;
            }
        }
        typed
    }

    fn byte(&mut self, byte: u8, now: Instant, forward: &mut Vec<u8>) -> bool {
        match (std::mem::take(&mut self.sequence), byte) {
            (Sequence::Control(mut parameters), b' '..=b'?') => {
                forward.push(byte);
                parameters.push(byte);
                if parameters.len() <= MAX_SEQUENCE_BYTES {
                    self.sequence = Sequence::Control(parameters);
                }
                false
            }
            (Sequence::Control(parameters), b'@'..=b'~') => {
                forward.push(byte);
                match key(&parameters, byte) {
                    Key::Char(CTRL_C) => self.interrupts(now),
                    Key::Char(character) => self.sent(character),
                    Key::Other => self.sent('\0'),
                    Key::Nothing => false,
                }
            }
            (Sequence::Escape, b'[') => {
                forward.push(byte);
                self.sequence = Sequence::Control(Vec::new());
                false
            }
            (_, b'\x1b') => {
                self.release(forward);
                forward.push(byte);
                self.sequence = Sequence::Escape;
                false
            }
            (_, b'\x03') => {
                self.release(forward);
                forward.push(byte);
                self.line = Line::Inside;
                self.interrupts(now)
            }
            (Sequence::Escape, _) => {
                forward.push(byte);
                self.sent('\0')
            }
            (_, b'~') if self.line == Line::Beginning => {
                self.line = Line::Tilde { held: true };
                false
            }
            // `~~`: one of them.
            (_, b'~') if self.line == (Line::Tilde { held: true }) => {
                forward.push(byte);
                self.line = Line::Inside;
                false
            }
            (_, b'.') if matches!(self.line, Line::Tilde { .. }) => true,
            _ => {
                self.release(forward);
                forward.push(byte);
                self.sent(char::from(byte))
            }
        }
    }

    /// Passes on a held `~` that is not part of `~.` or `~~`.
    fn release(&mut self, forward: &mut Vec<u8>) {
        if self.line == (Line::Tilde { held: true }) {
            forward.push(b'~');
            self.line = Line::Tilde { held: false };
        }
    }

    /// Handles a key that was passed on.
    fn sent(&mut self, character: char) -> bool {
        let leaves = character == '.' && matches!(self.line, Line::Tilde { .. });
        self.line = match (self.line, character) {
            (_, '\r' | '\n') => Line::Beginning,
            (Line::Beginning, '~') => Line::Tilde { held: false },
            _ => Line::Inside,
        };
        leaves
    }

    fn interrupts(&mut self, now: Instant) -> bool {
        let [first, second] = self.interrupts;
        self.interrupts = [second, Some(now)];
        first.is_some_and(|first| now.saturating_duration_since(first) <= INTERRUPT_WINDOW)
    }
}

/// `CSI code ; modifiers : event ; text u`, `CSI 27 ; modifiers ; code ~` and
/// `CSI key ; scan ; character ; down ; … _`.
fn key(parameters: &[u8], last: u8) -> Key {
    let numbers: Vec<Vec<u32>> = parameters
        .split(|byte| *byte == b';')
        .map(|parameter| parameter.split(|byte| *byte == b':').map(number).collect())
        .collect();
    let part = |parameter: usize, part: usize| {
        numbers.get(parameter).and_then(|parts| parts.get(part)).copied().filter(|number| *number != 0)
    };
    match last {
        b'u' if part(1, 1) == Some(RELEASED) => Key::Nothing,
        b'u' if part(0, 0).is_some_and(|code| MODIFIER_KEYS.contains(&code)) => Key::Nothing,
        b'u' => {
            let shifted = part(0, 1).filter(|_| modifiers(part(1, 0)) == SHIFT);
            let code = part(2, 0).or(shifted).or(part(0, 0));
            // On a layout without Latin letters, the letter of that key on a Latin layout.
            character(part(0, 2).or(part(0, 0)), part(1, 0), code)
        }
        b'~' if part(0, 0) == Some(27) => character(part(2, 0), part(1, 0), part(2, 0)),
        b'_' if part(3, 0).is_none() || part(2, 0).is_none() => Key::Nothing,
        b'_' => part(2, 0).and_then(char::from_u32).map_or(Key::Other, Key::Char),
        _ => Key::Other,
    }
}

const RELEASED: u32 = 3;
const SHIFT: u32 = 0b1;
const CTRL: u32 = 0b100;

/// Kitty's numbers for keys such as Shift and Caps Lock.
const MODIFIER_KEYS: std::ops::RangeInclusive<u32> = 57_358..=57_454;

/// The modifiers without the locks; terminals add one.
fn modifiers(number: Option<u32>) -> u32 {
    number.unwrap_or(1).saturating_sub(1) & 0b11_1111
}

/// The character of a key with modifiers; `typed` is the one without Ctrl.
fn character(code: Option<u32>, held: Option<u32>, typed: Option<u32>) -> Key {
    let known = |number: Option<u32>| number.and_then(char::from_u32);
    match (modifiers(held), known(code)) {
        (CTRL, Some('c' | 'C')) => Key::Char(CTRL_C),
        (0 | SHIFT, _) => known(typed).map_or(Key::Other, Key::Char),
        _ => Key::Other,
    }
}

fn number(digits: &[u8]) -> u32 {
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(keys: &mut Keys, bytes: &[u8]) -> (String, bool) {
        let Typed { forward, leaves } = keys.read(bytes, Instant::now());
        (String::from_utf8(forward).unwrap(), leaves)
    }

    fn leaves(bytes: &str) -> bool {
        read(&mut Keys::default(), bytes.as_bytes()).1
    }

    #[test]
    fn tilde_dot_at_beginning_of_line_leaves() {
        assert_eq!(read(&mut Keys::default(), b"~."), (String::new(), true));
        assert_eq!(read(&mut Keys::default(), b"ls\r~.never"), ("ls\r".to_owned(), true));
        assert_eq!(read(&mut Keys::default(), b"ls\n~."), ("ls\n".to_owned(), true));
        for stays in ["a~.", "\r ~.", "\x1b[A~.", "~ .", "~a.", "~~.", "~\r."] {
            assert!(!leaves(stays), "{stays:?}");
        }
    }

    #[test]
    fn other_keys_are_passed_on() {
        for (typed, passed) in [
            ("~/bin/x", "~/bin/x"),
            ("~~", "~"),
            ("~~/x", "~/x"),
            ("a~~", "a~~"),
            ("~\x1b[A", "~\x1b[A"),
            ("~\r~\r", "~\r~\r"),
            ("\x1bOP\x1b[15~\x1b[200~", "\x1bOP\x1b[15~\x1b[200~"),
            ("ä日🙂", "ä日🙂"),
        ] {
            assert_eq!(read(&mut Keys::default(), typed.as_bytes()), (passed.to_owned(), false), "{typed:?}");
        }
        // Held until the next key is known.
        let mut keys = Keys::default();
        assert_eq!(read(&mut keys, b"~").0, "");
        assert_eq!(read(&mut keys, b"x").0, "~x");
    }

    #[test]
    fn three_ctrl_c_within_a_second_leave() {
        let start = Instant::now();
        let after = |pauses: [u64; 2]| {
            let mut keys = Keys::default();
            let mut now = start;
            let first = keys.read(b"\x03", now);
            now += Duration::from_millis(pauses[0]);
            let second = keys.read(b"\x03", now);
            now += Duration::from_millis(pauses[1]);
            let third = keys.read(b"\x03", now);
            assert_eq!((first.forward, first.leaves), (b"\x03".to_vec(), false));
            assert_eq!((second.forward, second.leaves), (b"\x03".to_vec(), false));
            third.leaves
        };
        assert!(after([0, 0]) && after([500, 500]) && after([999, 1]));
        assert!(!after([500, 501]) && !after([2000, 0]) && !after([0, 2000]));
        // A fourth counts if the first was too early.
        let mut keys = Keys::default();
        let times = [0, 5000, 5100, 5200].map(|ms| start + Duration::from_millis(ms));
        assert_eq!(times.map(|now| keys.read(b"\x03", now).leaves), [false, false, false, true]);
        assert!(leaves("\x03x\x03\x1b\x03"), "other keys in between do not matter");
    }

    #[test]
    fn keys_sent_as_sequences_leave() {
        let kitty = ["\x1b[99;5u", "\x1b[99;5:2u", "\x1b[99;133u", "\x1b[1089::99;69:1u"];
        let others = ["\x1b[27;5;99~", "\x1b[67;46;3;1;8;1_"];
        for interrupt in kitty.iter().chain(&others) {
            assert!(leaves(&interrupt.repeat(3)), "{interrupt:?}");
            assert!(!leaves(&interrupt.repeat(2)), "{interrupt:?}");
        }
        for way_out in [
            "\x1b[13u\x1b[96:126;2u\x1b[46u",
            "\x1b[57441;2u\x1b[126u\x1b[126;1:3u.",
            "\x1b[96;2;126u\x1b[46;;46u",
            "\x1b[27;2;126~\x1b[46u",
            "\x1b[16;42;0;1;16;1_\x1b[192;41;126;1;16;1_\x1b[192;41;126;0;16;1_\x1b[190;52;46;1;0;1_",
        ] {
            assert!(leaves(way_out), "{way_out:?}");
        }
        for stays in [
            "\x1b[99;5:3u\x1b[99;5:3u\x1b[99;5:3u",
            "\x1b[99u\x1b[99u\x1b[99u",
            "\x1b[99;3u\x1b[99;3u\x1b[99;3u",
            "\x1b[67;46;3;0;8;1_\x1b[67;46;3;0;8;1_\x1b[67;46;3;0;8;1_",
            "x\x1b[126u\x1b[46u",
        ] {
            assert!(!leaves(stays), "{stays:?}");
        }
    }

    proptest! {
        #[test]
        fn split_input_is_read_like_whole_input(
            parts in prop::collection::vec(
                prop::sample::select(vec!["~", ".", "\r", "a", "\x03", "\x1b[99;5u", "\x1b[46u", "\x1b[126u", "\x1b"]), 0..12,
            ),
            cut: prop::sample::Index,
        ) {
            let now = Instant::now();
            let bytes = parts.concat().into_bytes();
            let at = if bytes.is_empty() { 0 } else { cut.index(bytes.len()) };
            let mut keys = Keys::default();
            let mut typed = keys.read(&bytes[..at], now);
            if !typed.leaves {
                let rest = keys.read(&bytes[at..], now);
                typed.forward.extend(rest.forward);
                typed.leaves = rest.leaves;
            }
            prop_assert_eq!(typed, Keys::default().read(&bytes, now));
        }

        #[test]
        fn any_bytes_do_not_panic_or_grow(bytes: Vec<u8>) {
            let typed = Keys::default().read(&bytes, Instant::now());
            prop_assert!(typed.forward.len() <= bytes.len());
        }
    }
}
