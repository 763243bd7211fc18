//! Talk, on stderr, and questions.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use kf_core::ui::{Format, Tone};
use kf_core::{Failure, Kind};
use rustix::io::Errno;
use rustix::termios::{QueueSelector, tcflush};

use super::line::Line;
use super::{Ui, escape, lock, table};

impl Ui {
    /// One line of talk. Text of any origin may be in it.
    pub fn note(&self, text: &str) {
        self.talk(&escape::line(text), Style::new());
    }

    /// One line of talk that a person should not miss.
    pub fn warn(&self, text: &str) {
        self.talk(&format!("warning: {}", escape::line(text)), AnsiColor::Yellow.on_default());
    }

    /// A line of talk with a tone for the eye.
    pub fn talk_toned(&self, text: &str, tone: Tone) {
        self.talk(&escape::line(text), table::style(tone));
    }

    /// A line of talk as it is, spaces and all.
    pub fn talk_plain(&self, line: &str) {
        self.talk(line, Style::new());
    }

    pub fn error(&self, error: &Failure) {
        if error.kind() == Kind::Interrupted {
            self.keep_echo();
        }
        if matches!(self.format, Format::Json | Format::Yaml) {
            let json = if self.verbose { error.json_with_causes() } else { error.json() };
            self.talk(&escape::json(&json.to_string()), Style::new());
            return;
        }
        // Who pressed Ctrl-C knows why; it is no error.
        if error.kind() == Kind::Interrupted {
            self.raw_talk(&format!("{}\n", escape::line(error.message())));
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
            self.talk_head(&shown, style);
        }
    }

    /// Colours the word before the colon.
    fn talk_head(&self, line: &str, style: Style) {
        match line.split_once(": ").filter(|_| style != Style::new() && self.stderr_color) {
            Some((head, rest)) => self.raw_talk(&format!("{style}{head}:{style:#} {rest}\n")),
            None => self.raw_talk(&format!("{line}\n")),
        }
    }

    fn talk(&self, line: &str, style: Style) {
        if self.stderr_color && style != Style::new() {
            self.raw_talk(&format!("{style}{line}{style:#}\n"));
        } else {
            self.raw_talk(&format!("{line}\n"));
        }
    }

    /// Nobody can be told when stderr is gone, so a failure to write talk is let go.
    fn raw_talk(&self, text: &str) {
        if self.shared.mute {
            return;
        }
        if self.shared.stdout_terminal {
            let _gone = self.flush();
        }
        self.on_clear_line(|line| {
            let mut stderr = lock(&self.shared.stderr);
            let _gone = if line == Line::Lent {
                stderr.writer.write_all(format!("\r{}", text.replace('\n', "\r\n")).as_bytes())
            } else {
                stderr.writer.write_all(text.as_bytes())
            };
        });
    }

    /// Yes or no. Without a terminal the answer is no, whatever the default.
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

    /// A line typed by the person, without the ends' spaces. None without a terminal, or at the end
    /// of input. What was typed or pasted before the question answers something else, so it is dropped.
    pub fn ask(&self, question: &str) -> Option<String> {
        if !self.interactive() {
            return None;
        }
        if tcflush(rustix::stdio::stdin(), QueueSelector::IFlush).is_err() {
            return None;
        }
        self.raw_talk(&format!("{} ", escape::line(question)));
        *lock(&self.shared.line) = Line::Kept;
        let answer = typed_line();
        if answer.is_some() {
            // The terminal has gone to the next line by itself.
            *lock(&self.shared.line) = Line::Free;
        }
        self.erase();
        answer.map(|answer| answer.trim().to_owned())
    }
}

/// The next line of stdin. It is read byte by byte: what a buffer held back would answer the next question,
/// and a terminal does not drop it.
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
