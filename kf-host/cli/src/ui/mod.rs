//! kf's output: data on stdout, messages on stderr, and colour only for what needs attention.

pub mod browser;
mod data;
pub mod escape;
mod fold;
pub mod guest;
mod hidden_input;
mod line;
mod live_table;
mod messages;
mod modes;
mod progress;
mod reporter;
pub mod saved_terminal;
mod sink;
mod table;
pub mod terminal;

use std::io::{self, IsTerminal};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kf_core::ui::Format;

use crate::env;
use line::Line;
pub use live_table::LiveTable;
pub use progress::Progress;
use sink::Sink;

/// The value of `--color`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// The user's terminal, or the pipes in its place. Clones share it.
#[derive(Clone)]
pub struct Ui {
    shared: Arc<Shared>,
    format: Format,
    stdout_color: bool,
    stderr_color: bool,
    /// Whether errors are shown with their causes.
    verbose: bool,
}

type Stdout = Sink<io::BufWriter<io::Stdout>>;

struct Shared {
    stdout: Mutex<Stdout>,
    stderr: Mutex<Sink<io::Stderr>>,
    line: Mutex<Line>,
    /// The ids of the active progresses. The last one is shown.
    progresses: Mutex<Vec<u64>>,
    stdout_terminal: bool,
    stderr_terminal: bool,
    /// Whether an echo of Ctrl-C was kept.
    echo_kept: AtomicBool,
    stdin_terminal: bool,
    /// No messages and no prompts.
    silent: bool,
    /// Whether a column of `-o wide` was shown.
    shown_wide: AtomicBool,
    /// Whether a document was printed.
    shown_document: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Ui {
    pub fn new(color: ColorChoice, format: Format) -> Self {
        Self::build(color, format, false)
    }

    /// Without messages and prompts, for completion: the shell reads the output.
    pub fn silent() -> Self {
        Self::build(ColorChoice::Never, Format::Table, true)
    }

    fn build(color: ColorChoice, format: Format, silent: bool) -> Self {
        let stdout_terminal = !silent && io::stdout().is_terminal();
        let stderr_terminal = !silent && io::stderr().is_terminal();
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
                progresses: Mutex::default(),
                stdout_terminal,
                stderr_terminal,
                echo_kept: AtomicBool::new(false),
                stdin_terminal: !silent && io::stdin().is_terminal(),
                silent,
                shown_wide: AtomicBool::new(false),
                shown_document: AtomicBool::new(false),
            }),
            format,
            stdout_color: colored(stdout_terminal),
            stderr_color: colored(stderr_terminal),
            verbose: false,
        }
    }

    /// The same terminal with the options of a command line.
    pub fn with(&self, color: ColorChoice, format: Format, verbose: bool) -> Self {
        let mut ui = Self { format, verbose, ..self.clone() };
        if color != ColorChoice::Auto {
            ui.stdout_color = color == ColorChoice::Always;
            ui.stderr_color = ui.stdout_color;
        }
        ui
    }

    pub fn format(&self) -> Format {
        self.format
    }

    /// Whether the user can be prompted.
    pub fn interactive(&self) -> bool {
        self.shared.stdin_terminal && self.shared.stderr_terminal
    }

    pub fn is_silent(&self) -> bool {
        self.shared.silent
    }

    /// Whether data is shown in colour.
    pub fn colors_data(&self) -> bool {
        self.stdout_color
    }

    pub fn stdout_is_terminal(&self) -> bool {
        self.shared.stdout_terminal
    }

    /// The width of the terminal on stderr; none if there is no terminal, or it reports none.
    pub fn stderr_columns(&self) -> Option<usize> {
        self.shared.stderr_terminal.then(|| progress::columns(rustix::stdio::stderr())).flatten()
    }

    /// The same for stdout.
    pub fn stdout_columns(&self) -> Option<usize> {
        self.shared.stdout_terminal.then(|| progress::columns(rustix::stdio::stdout())).flatten()
    }

    /// Shows progress, after 300 ms and only on a terminal.
    pub fn progress(&self, label: &str, total: Option<u64>) -> Progress {
        Progress::start(self.clone(), label, total)
    }

    fn shows_progress(&self) -> bool {
        self.shared.stderr_terminal && !env::dumb_terminal()
    }
}
