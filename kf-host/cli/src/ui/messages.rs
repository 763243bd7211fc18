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
            let json = if self.verbose { error.json_with_causes() } else { error.json() };
            self.message(&escape::json(&json.to_string()), Style::new());
            return;
        }
        // The user pressed Ctrl-C, so this is not shown as an error.
        if error.kind() == Kind::Interrupted {
            self.write_stderr(&format!("{}\n", escape::line(error.message())));
            return;
        }
        let lines = if self.verbose { error.lines_with_causes() } else { error.lines() };
        for line in lines {
            let shown = escape::line(&line);
            let style = if line.starts_with("error:") {
                AnsiColor::Red.on_default().bold()
            } else if line.starts_with("hint:") {
                AnsiColor::Cyan.on_default()
            } else {
                Style::new()
            };
            self.message_with_head(&shown, style);
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
