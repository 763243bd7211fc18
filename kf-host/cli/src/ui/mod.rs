//! How kf talks: data on stdout, talk on stderr, colour only where a person's eye should land.

pub mod browser;
pub mod escape;
pub mod guest;
mod live_table;
mod progress;
mod reporter;
mod table;
pub mod taken;
pub mod terminal;

use std::io::{self, BufRead, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anstyle::{AnsiColor, Style};
use kf_core::Kind;
use kf_core::failure::Failure;
use kf_core::ui::{Column, Format, Row, Tone};
use serde_json::Value;

use crate::env;
use escape::EscapeFilter;
pub use live_table::LiveTable;
pub use progress::Progress;

/// What `--color` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// Where a byte goes and what may be in it.
struct Sink<W> {
    writer: W,
    /// Set when a terminal reads along.
    filter: Option<EscapeFilter>,
    scratch: Vec<u8>,
}

impl<W: Write> Sink<W> {
    fn new(writer: W, terminal: bool) -> Self {
        Self { writer, filter: terminal.then(EscapeFilter::default), scratch: Vec::new() }
    }

    /// Text of unknown origin.
    fn write_foreign(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.filter {
            None => self.writer.write_all(bytes),
            Some(filter) => {
                self.scratch.clear();
                filter.feed(bytes, &mut self.scratch);
                self.writer.write_all(&self.scratch)?;
                self.writer.flush()
            }
        }
    }
}

/// The person's terminal, or the pipes in its place. Clones talk to the same one.
#[derive(Clone)]
pub struct Ui {
    shared: Arc<Shared>,
    format: Format,
    stdout_color: bool,
    stderr_color: bool,
}

/// What the last line of the terminal is taken by.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Line {
    Free,
    /// A wait, which goes before anything else is written.
    Wait,
    /// Something that stays, such as a question; what is written next starts below it.
    Kept,
    /// A session has the whole terminal, in raw mode.
    Lent,
    /// kf is leaving; nothing is drawn any more.
    Closed,
}

struct Shared {
    stdout: Mutex<Sink<io::BufWriter<io::Stdout>>>,
    stderr: Mutex<Sink<io::Stderr>>,
    line: Mutex<Line>,
    stdout_terminal: bool,
    stderr_terminal: bool,
    stdin_terminal: bool,
    /// Nobody is there to be told or asked anything.
    mute: bool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ui {
    pub fn new(color: ColorChoice, format: Format) -> Self {
        Self::made(color, format, false)
    }

    /// For a shell that completes: it reads candidates, so kf says nothing and asks nothing.
    pub fn mute() -> Self {
        Self::made(ColorChoice::Never, Format::Table, true)
    }

    fn made(color: ColorChoice, format: Format, mute: bool) -> Self {
        let stdout_terminal = !mute && io::stdout().is_terminal();
        let stderr_terminal = !mute && io::stderr().is_terminal();
        let auto = color == ColorChoice::Auto && env::var(env::NO_COLOR).is_none() && !env::dumb_terminal();
        let colored = |terminal: bool| color == ColorChoice::Always || (auto && terminal);
        Self {
            shared: Arc::new(Shared {
                stdout: Mutex::new(Sink::new(
                    io::BufWriter::with_capacity(64 * 1024, io::stdout()),
                    stdout_terminal,
                )),
                stderr: Mutex::new(Sink::new(io::stderr(), stderr_terminal)),
                line: Mutex::new(Line::Free),
                stdout_terminal,
                stderr_terminal,
                stdin_terminal: !mute && io::stdin().is_terminal(),
                mute,
            }),
            format,
            stdout_color: colored(stdout_terminal),
            stderr_color: colored(stderr_terminal),
        }
    }

    /// The same terminal with the format and colour that a command line settled.
    pub fn with(&self, color: ColorChoice, format: Format) -> Self {
        let mut ui = Self { shared: Arc::clone(&self.shared), ..self.clone() };
        ui.format = format;
        if color != ColorChoice::Auto {
            ui.stdout_color = color == ColorChoice::Always;
            ui.stderr_color = ui.stdout_color;
        }
        ui
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether somebody can be asked.
    pub fn interactive(&self) -> bool {
        self.shared.stdin_terminal && self.shared.stderr_terminal
    }

    pub fn is_mute(&self) -> bool {
        self.shared.mute
    }

    pub fn stdout_is_terminal(&self) -> bool {
        self.shared.stdout_terminal
    }

    /// Data to stdout, byte-exact unless a terminal reads it.
    pub fn data(&self, bytes: &[u8]) -> io::Result<()> {
        self.erase();
        lock(&self.shared.stdout).write_foreign(bytes)
    }

    /// A line of data made by kf, with colours where they are wanted.
    pub fn data_line(&self, line: &str) -> io::Result<()> {
        self.erase();
        let mut stdout = lock(&self.shared.stdout);
        stdout.writer.write_all(line.as_bytes())?;
        stdout.writer.write_all(b"\n")
    }

    /// A line of data with a tone for the eye.
    pub fn data_toned(&self, text: &str, tone: Tone) -> io::Result<()> {
        let style = table::style(tone);
        if self.stdout_color && style != Style::new() {
            self.data_line(&format!("{style}{}{style:#}", escape::filtered(text)))
        } else {
            self.data(format!("{text}\n").as_bytes())
        }
    }

    /// Draws lines over the last `drawn` ones.
    fn replace_lines(&self, drawn: usize, lines: &[String]) -> io::Result<()> {
        self.erase();
        let mut stdout = lock(&self.shared.stdout);
        if drawn > 0 {
            write!(stdout.writer, "\x1b[{drawn}A")?;
        }
        for line in lines {
            writeln!(stdout.writer, "\x1b[2K{line}")?;
        }
        write!(stdout.writer, "\x1b[J")?;
        stdout.writer.flush()
    }

    pub fn flush(&self) -> io::Result<()> {
        lock(&self.shared.stdout).writer.flush()
    }

    /// Prints one JSON or YAML document.
    pub fn document(&self, value: &Value) -> io::Result<()> {
        let text = match self.format {
            Format::Yaml => serde_saphyr::to_string(value).map_err(io::Error::other)?,
            _ => format!("{value:#}\n"),
        };
        self.data(text.as_bytes())
    }

    /// Prints rows as a table, or their objects or names, by the format.
    pub fn table(&self, columns: &[Column], rows: &[Row]) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Yaml => {
                let objects = rows.iter().map(|row| row.object.clone()).collect();
                self.document(&Value::Array(objects))
            }
            Format::Name => self.names(rows),
            Format::Table | Format::Wide => {
                for line in table::render(columns, rows, self.format == Format::Wide, self.stdout_color) {
                    self.data_line(&line)?;
                }
                Ok(())
            }
        }
    }

    /// Prints one thing: its fields below each other, or its object or name, by the format.
    pub fn record(&self, fields: &[Column], value: &Row) -> io::Result<()> {
        match self.format {
            Format::Json | Format::Yaml => self.document(&value.object),
            Format::Name => self.names(std::slice::from_ref(value)),
            Format::Table | Format::Wide => {
                for line in
                    table::render_record(fields, value, self.format == Format::Wide, self.stdout_color)
                {
                    self.data_line(&line)?;
                }
                Ok(())
            }
        }
    }

    fn names(&self, rows: &[Row]) -> io::Result<()> {
        rows.iter().try_for_each(|row| self.data(format!("{}\n", row.name).as_bytes()))
    }

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
            self.talk(&escape::json(&error.json().to_string()), Style::new());
            return;
        }
        for line in error.lines() {
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

    /// What a session says on stdout, shown at once. `raw` bytes are drawn by the container's
    /// programs and reach the terminal as they are.
    fn session_stdout(&self, bytes: &[u8], raw: bool) -> io::Result<()> {
        self.erase();
        let mut stdout = lock(&self.shared.stdout);
        if raw {
            stdout.writer.write_all(bytes)?;
        } else {
            stdout.write_foreign(bytes)?;
        }
        stdout.writer.flush()
    }

    /// What a session says on stderr.
    fn session_stderr(&self, bytes: &[u8], raw: bool) -> io::Result<()> {
        self.erase();
        let mut stderr = lock(&self.shared.stderr);
        if raw { stderr.writer.write_all(bytes) } else { stderr.write_foreign(bytes) }
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

    /// A wait, shown after 300 ms and only to a person.
    pub fn progress(&self, label: &str, total: Option<u64>) -> Progress {
        Progress::start(self.clone(), label, total)
    }

    fn draw(&self, text: &str) {
        let mut line = lock(&self.shared.line);
        if matches!(*line, Line::Free | Line::Wait) {
            let _gone = lock(&self.shared.stderr).writer.write_all(format!("\r\x1b[2K{text}").as_bytes());
            *line = Line::Wait;
        }
    }

    fn erase(&self) {
        self.clear(Line::Free);
    }

    /// Leaves the terminal as a shell wants to find it. Nothing is drawn afterwards.
    pub fn close(&self) {
        self.clear(Line::Closed);
    }

    /// The terminal has written `^C` where the cursor was.
    fn keep_echo(&self) {
        let mut line = lock(&self.shared.line);
        if self.shared.stderr_terminal && *line == Line::Free {
            *line = Line::Kept;
        }
    }

    fn clear(&self, next: Line) {
        let mut line = lock(&self.shared.line);
        let end: &[u8] = match *line {
            Line::Closed => return,
            Line::Lent if next != Line::Closed => return,
            Line::Lent => b"",
            Line::Free => b"",
            Line::Wait => b"\r\x1b[2K",
            Line::Kept => b"\n",
        };
        if !end.is_empty() {
            let _gone = lock(&self.shared.stderr).writer.write_all(end);
        }
        *line = next;
    }

    fn shows_progress(&self) -> bool {
        self.shared.stderr_terminal && !env::dumb_terminal()
    }
}
