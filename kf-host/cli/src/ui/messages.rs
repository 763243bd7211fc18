//! Writes messages to stderr, and prompts.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use kf_core::ui::{Format, Tone};
use kf_core::{Failure, Kind};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

use super::line::Line;
use super::{Ui, escape, lock, table};

impl Ui {
    /// Prints a one-line message, which may contain untrusted text.
    pub fn note(&self, text: &str) {
        self.message(&escape::line(text), Style::new());
    }

    /// Prints a one-line warning.
    pub fn warn(&self, text: &str) {
        self.message(&format!("warning: {}", escape::line(text)), AnsiColor::Yellow.on_default());
    }

    /// Prints a one-line message with a tone.
    pub fn message_toned(&self, text: &str, tone: Tone) {
        self.message(&escape::line(text), table::style(tone));
    }

    /// Prints a line unchanged.
    pub fn message_verbatim(&self, line: &str) {
        self.message(line, Style::new());
    }

    pub fn error(&self, error: &Failure) {
        if error.kind() == Kind::Interrupted {
            self.keep_echo();
        }
        if matches!(self.format, Format::Json | Format::Yaml) {
            self.message(&shown_json(error, self.verbose), Style::new());
            return;
        }
        // The user pressed Ctrl-C, so this is not shown as an error.
        if error.kind() == Kind::Interrupted {
            self.write_stderr(&format!("{}\n", escape::line(error.message())));
            return;
        }
        for line in shown_lines(error, self.verbose) {
            let style = if line.starts_with("error:") {
                AnsiColor::Red.on_default().bold()
            } else if line.starts_with("hint:") {
                AnsiColor::Cyan.on_default()
            } else {
                Style::new()
            };
            self.message_with_head(&line, style);
        }
    }

    /// Colours the word before the colon.
    fn message_with_head(&self, line: &str, style: Style) {
        match line.split_once(": ").filter(|_| style != Style::new() && self.stderr_color) {
            Some((head, rest)) => self.write_stderr(&format!("{style}{head}:{style:#} {rest}\n")),
            None => self.write_stderr(&format!("{line}\n")),
        }
    }

    fn message(&self, line: &str, style: Style) {
        if self.stderr_color && style != Style::new() {
            self.write_stderr(&format!("{style}{line}{style:#}\n"));
        } else {
            self.write_stderr(&format!("{line}\n"));
        }
    }

    /// Errors are ignored, because without stderr they cannot be reported.
    fn write_stderr(&self, text: &str) {
        if self.shared.silent {
            return;
        }
        if self.shared.stdout_terminal {
            let _gone = self.flush();
        }
        self.on_clear_line(|line| {
            let mut stderr = lock(&self.shared.stderr);
            let _gone = if line == Line::Session {
                stderr.writer.write_all(format!("\r{}", text.replace('\n', "\r\n")).as_bytes())
            } else {
                stderr.writer.write_all(text.as_bytes())
            };
        });
    }

    /// Asks a yes-or-no question. Without a terminal the answer is always no.
    pub fn confirm(&self, question: &str, default: bool) -> bool {
        if !self.interactive() {
            return false;
        }
        let choices = if default { "[Y/n]" } else { "[y/N]" };
        match self.ask(&format!("{question} {choices}")) {
            None => false,
            Some(answer) => match answer.to_ascii_lowercase().as_str() {
                "" => default,
                "y" | "yes" => true,
                _ => false,
            },
        }
    }

    /// Reads a line from the user, trimmed. None without a terminal, or at the end of input. Input from before the
    /// prompt is discarded, because it was not meant as the answer.
    pub fn ask(&self, question: &str) -> Option<String> {
        self.prompt(question).map(|answer| answer.trim().to_owned())
    }

    /// The same without trimming.
    pub(super) fn prompt(&self, question: &str) -> Option<String> {
        if !self.interactive() {
            return None;
        }
        if tcflush(rustix::stdio::stdin(), QueueSelector::IFlush).is_err() {
            return None;
        }
        self.write_stderr(&format!("{} ", escape::line(question)));
        *lock(&self.shared.line) = Line::Text;
        let answer = typed_line();
        if answer.is_some() {
            // The user's Enter has started a new line.
            *lock(&self.shared.line) = Line::Free;
        }
        self.erase();
        answer
    }
}

/// An error's lines as they are shown. Any of its texts may be untrusted.
fn shown_lines(error: &Failure, with_causes: bool) -> Vec<String> {
    let lines = if with_causes { error.lines_with_causes() } else { error.lines() };
    lines.iter().map(|line| escape::line(line)).collect()
}

/// The same as JSON.
fn shown_json(error: &Failure, with_causes: bool) -> String {
    let json = if with_causes { error.json_with_causes() } else { error.json() };
    escape::json(&json.to_string())
}

/// The next line of stdin. It is read byte by byte, because buffered input could not be discarded before the next
/// prompt.
fn typed_line() -> Option<String> {
    let mut line = Vec::new();
    let mut byte = [0];
    loop {
        match rustix::io::read(rustix::stdio::stdin(), &mut byte) {
            Ok(1..) if byte == *b"\n" => return Some(String::from_utf8_lossy(&line).into_owned()),
            Ok(1..) => line.extend_from_slice(&byte),
            Err(Errno::INTR) => {}
            Ok(0) | Err(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests {
    use kf_core::format::FormatError;
    use kf_core::manifest::ManifestError;
    use kf_core::names::NameError;
    use kf_core::text::is_unsafe;
    use kf_core::{AuthorId, Digest, PluginName, RegistryId};
    use kf_registry::Error;
    use proptest::prelude::*;

    use super::*;

    /// The errors of a registry, each with `text` where one may have text from outside.
    fn registry_errors(text: &str) -> Vec<Error> {
        let text = || text.to_owned();
        let registry = || RegistryId::parse("team").unwrap();
        let name = || PluginName::parse("hello").unwrap();
        let invalid = || FormatError::invalid(text(), text());
        let newer = FormatError::Newer { what: text(), found: 2, supported: 1 };
        let name_error = || NameError { kind: "command name", value: text(), why: "reserved" };
        vec![
            Error::Home(kf_home::Error::Format(invalid())),
            Error::Home(kf_home::Error::Format(newer)),
            Error::Home(std::io::Error::other(text()).into()),
            Error::Name(name_error()),
            Error::Manifest(ManifestError::Format(invalid())),
            Error::Manifest(ManifestError::Version(name_error())),
            Error::BadUrl { url: text(), reason: "missing host" },
            Error::BadRoot { registry: registry(), reason: text() },
            Error::Unreachable { registry: registry(), reason: text() },
            Error::TimedOut { registry: registry(), reason: text() },
            Error::Untrusted { registry: registry(), reason: text() },
            Error::UnknownPlugin { registry: registry(), name: name(), nearest: vec![text()] },
            Error::NoVersion {
                registry: registry(),
                name: name(),
                wanted: text(),
                available: vec!["1.2.3".parse().unwrap()],
            },
            Error::Blocked {
                registry: Some(registry()),
                name: name(),
                version: "1.2.3".parse().unwrap(),
                reason: text(),
            },
            Error::WrongOwner { path: text(), owner: AuthorId::parse("alice").unwrap(), found: text() },
            Error::BadReceipt { name: name(), reason: text() },
            Error::Mismatch { name: name(), reason: text() },
            Error::Gate { name: name(), version: "1.2.3".parse().unwrap(), reason: text() },
            Error::KeyExists(text().into()),
            Error::NoKey(text().into()),
            Error::WrongPassphrase(text().into()),
            Error::Publish(text()),
            Error::WrongRoot { registry: registry(), found: Digest::of(b""), pinned: Digest::of(b"") },
        ]
    }

    fn failures(text: &str) -> Vec<Failure> {
        let hinted = |error: Error| {
            let hint = kf_command::hints::find(&error);
            Failure::from(error).maybe_hint(hint)
        };
        registry_errors(text).into_iter().map(hinted).collect()
    }

    fn hostile() -> impl Strategy<Value = String> {
        let pieces = prop_oneof![
            Just("\u{1b}[2J"),
            Just("\u{1b}]0;x\u{7}"),
            Just("\u{1b}"),
            Just("\u{9b}31m"),
            Just("\r\nerror: x"),
            Just("\nhint: kf registry add evil"),
            Just("\u{2028}"),
            Just("\u{202e}"),
            Just("\u{200b}"),
            Just("\u{e0041}"),
            Just("\0"),
            Just("word "),
        ];
        let joined = proptest::collection::vec(pieces, 0..8).prop_map(|pieces| pieces.concat());
        prop_oneof![joined, any::<String>()]
    }

    proptest! {
        #[test]
        fn registry_errors_show_no_control_characters_and_add_no_line(text in hostile()) {
            for (error, plain) in failures(&text).iter().zip(failures("word")) {
                let lines = shown_lines(error, false);
                for line in lines.iter().chain(&shown_lines(error, true)) {
                    prop_assert!(!line.contains(is_unsafe), "{line:?}");
                }
                prop_assert_eq!(lines.len(), shown_lines(&plain, false).len(), "{:?}", lines);
                for with_causes in [false, true] {
                    let json = shown_json(error, with_causes);
                    prop_assert!(!json.contains(is_unsafe), "{json:?}");
                }
            }
        }
    }
}
