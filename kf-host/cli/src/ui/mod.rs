//! How kf talks: data on stdout, talk on stderr, colour only where a person's eye should land.

pub mod browser;
mod data;
pub mod escape;
mod fold;
pub mod guest;
mod line;
mod live_table;
mod modes;
mod progress;
mod reporter;
mod sink;
mod table;
pub mod taken;
mod talk;
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

/// What `--color` asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// The person's terminal, or the pipes in its place. Clones talk to the same one.
#[derive(Clone)]
pub struct Ui {
    shared: Arc<Shared>,
    format: Format,
    stdout_color: bool,
    stderr_color: bool,
    /// Errors are shown with their causes.
    verbose: bool,
}

type Stdout = Sink<io::BufWriter<io::Stdout>>;

struct Shared {
    stdout: Mutex<Stdout>,
    stderr: Mutex<Sink<io::Stderr>>,
    line: Mutex<Line>,
    /// The waits that have begun and not ended, the last of which is shown.
    waits: Mutex<Vec<u64>>,
    stdout_terminal: bool,
    stderr_terminal: bool,
    /// An echo of Ctrl-C was seen to.
    echo_kept: AtomicBool,
    stdin_terminal: bool,
    /// Nobody is there to be told or asked anything.
    mute: bool,
    /// A column that only `-o wide` shows was shown.
    shown_wide: AtomicBool,
    /// A document was printed.
    shown_document: AtomicBool,
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
                waits: Mutex::default(),
                stdout_terminal,
                stderr_terminal,
                echo_kept: AtomicBool::new(false),
                stdin_terminal: !mute && io::stdin().is_terminal(),
                mute,
                shown_wide: AtomicBool::new(false),
                shown_document: AtomicBool::new(false),
            }),
            format,
            stdout_color: colored(stdout_terminal),
            stderr_color: colored(stderr_terminal),
            verbose: false,
        }
    }

    /// The same terminal with what a command line settled.
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

    /// Whether somebody can be asked.
    pub fn interactive(&self) -> bool {
        self.shared.stdin_terminal && self.shared.stderr_terminal
    }

    pub fn is_mute(&self) -> bool {
        self.shared.mute
    }

    /// Whether data is shown in colour.
    pub fn colors_data(&self) -> bool {
        self.stdout_color
    }

    pub fn stdout_is_terminal(&self) -> bool {
        self.shared.stdout_terminal
    }

    /// How wide the terminal is that talk goes to; none if there is none, or it does not say.
    pub fn talk_columns(&self) -> Option<usize> {
        self.shared.stderr_terminal.then(|| progress::columns(rustix::stdio::stderr())).flatten()
    }

    /// The same of data.
    pub fn data_columns(&self) -> Option<usize> {
        self.shared.stdout_terminal.then(|| progress::columns(rustix::stdio::stdout())).flatten()
    }

    /// A wait, shown after 300 ms and only to a person.
    pub fn progress(&self, label: &str, total: Option<u64>) -> Progress {
        Progress::start(self.clone(), label, total)
    }

    fn shows_progress(&self) -> bool {
        self.shared.stderr_terminal && !env::dumb_terminal()
    }
}
