//! Talk, on stderr, and questions.

use std::io::{self, BufRead, Write};

use anstyle::{AnsiColor, Style};
use kf_core::ui::{Format, Tone};
use kf_core::{Failure, Kind};

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
        self.erase();
        let lent = *lock(&self.shared.line) == Line::Lent;
        let mut stderr = lock(&self.shared.stderr);
        let _gone = if lent {
            stderr.writer.write_all(format!("\r{}", text.replace('\n', "\r\n")).as_bytes())
        } else {
            stderr.writer.write_all(text.as_bytes())
        };
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
    /// of input.
    pub fn ask(&self, question: &str) -> Option<String> {
        if !self.interactive() {
            return None;
        }
        self.raw_talk(&format!("{} ", escape::line(question)));
        *lock(&self.shared.line) = Line::Kept;
        let mut answer = String::new();
        let read = io::stdin().lock().read_line(&mut answer);
        if answer.ends_with('\n') {
            // The terminal has gone to the next line by itself.
            *lock(&self.shared.line) = Line::Free;
        }
        self.erase();
        match read {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(answer.trim().to_owned()),
        }
    }
}
