//! The terminal while a session has it.
//!
//! In raw mode the terminal hands on every key and draws nothing by itself. A process that dies
//! so leaves a terminal in which a person cannot even see what they type. So the settings from
//! before are kept for the whole process, and put back by whatever comes first: the end of the
//! session, the end of kf, a panic, or a signal.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Once, mpsc};
use std::time::Duration;

use kf_core::api::TerminalSize;
use kf_core::terminal::{Input, Stream, Terminal};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::termios::{OptionalActions, isatty, tcgetattr, tcgetwinsize, tcsetattr};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::line::Line;
use super::taken::{Taken, draw, restore, taken};
use super::{Ui, browser, lock, modes};
use crate::leave;

/// Bytes read at once.
const CHUNK: usize = 64 << 10;

/// Chunks read ahead of the container.
const AHEAD: usize = 2;

/// How long an orderly end may take once a signal has asked for it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Takes the terminal until dropped.
struct Raw(Ui);

impl Raw {
    fn take(ui: &Ui) -> io::Result<Self> {
        static GUARDS: Once = Once::new();
        GUARDS.call_once(|| guard(ui));
        let before = tcgetattr(rustix::stdio::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        *taken() = Some(Taken { before, raw: raw.clone() });
        let guard = Self(ui.clone());
        ui.erase();
        *lock(&ui.shared.line) = Line::Lent;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        draw(modes::ENTER);
        Ok(guard)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
        let mut line = lock(&self.0.shared.line);
        if *line == Line::Lent {
            *line = Line::Free;
        }
    }
}

/// Whatever may end the process from now on gives the terminal back first.
fn guard(ui: &Ui) {
    let previous = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        restore();
        previous(panic);
    }));
    let ui = ui.clone();
    let (caught, is_caught) = mpsc::sync_channel(1);
    let watching = move || {
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else { return };
        let number = runtime.block_on(async {
            let signals = Signals::catch().ok()?;
            let _gone = caught.send(());
            Some(signals.ending().await)
        });
        if let Some(number) = number {
            restore();
            let code = kf_core::exit::killed_by(number);
            // Whoever writes to a pipe that nobody reads holds what an orderly end waits for.
            let late = move || {
                std::thread::sleep(PATIENCE);
                leave::gone(code)
            };
            let _thread = std::thread::Builder::new().name("late".to_owned()).spawn(late);
            leave::leave(&ui, code);
        }
    };
    // Without the thread a signal still ends kf, only less tidily.
    let _thread = std::thread::Builder::new().name("signals".to_owned()).spawn(watching);
    // A signal that came between would leave the terminal raw.
    let _failed = is_caught.recv();
}

/// The signals that end the process, and the one that lets it go on after a stop.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    quit: Signal,
    goes_on: Signal,
}

impl Signals {
    /// Catches them from now on.
    fn catch() -> io::Result<Self> {
        const SIGCONT: i32 = 18;
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            goes_on: signal(SignalKind::from_raw(SIGCONT))?,
        })
    }

    /// Waits for one that ends the process; its number. After a stop the terminal is taken again: shells give a
    /// job its terminal back as they have it.
    async fn ending(mut self) -> u8 {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => return 1,
                _ = self.terminate.recv() => return 15,
                _ = self.quit.recv() => return 3,
                _ = self.goes_on.recv() => {
                    if let Some(Taken { raw, .. }) = &*taken() {
                        let _gone = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, raw);
                    }
                }
            }
        }
    }
}

/// stdin, stdout and stderr, for the sandbox to join sessions to.
pub struct SessionTerminal(pub Ui);

impl Terminal for SessionTerminal {
    fn is_interactive(&self) -> bool {
        isatty(rustix::stdio::stdin())
    }

    fn size(&self) -> Option<TerminalSize> {
        let size =
            tcgetwinsize(rustix::stdio::stdin()).or_else(|_| tcgetwinsize(rustix::stdio::stdout())).ok()?;
        let known = size.ws_col > 0 && size.ws_row > 0;
        known.then_some(TerminalSize { columns: size.ws_col, rows: size.ws_row })
    }

    fn raw(&self) -> io::Result<Box<dyn Send>> {
        Ok(Box::new(Raw::take(&self.0)?))
    }

    fn input(&self) -> io::Result<Input> {
        let (stopped, held) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (sender, mut chunks) = tokio::sync::mpsc::channel(AHEAD);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read(&stopped, &sender))?;
        let chunks = futures_util::stream::poll_fn(move |context| chunks.poll_recv(context));
        Ok(Input { chunks: Box::pin(chunks), held: Box::new(held) })
    }

    fn write(&self, stream: Stream, raw: bool, data: &[u8]) -> io::Result<()> {
        match stream {
            Stream::Stdout => self.0.session_stdout(data, raw),
            Stream::Stderr => self.0.session_stderr(data, raw),
        }
    }

    fn open_page(&self, url: &str) -> bool {
        self.0.interactive() && browser::open(url)
    }
}

/// Reads until the end of input, or until the other end of `stopped` is dropped: what is typed
/// after a session belongs to whoever comes next.
fn read(stopped: &OwnedFd, sender: &tokio::sync::mpsc::Sender<io::Result<Vec<u8>>>) {
    let stdin = rustix::stdio::stdin();
    let mut buffer = vec![0; CHUNK];
    loop {
        let mut waiting = [PollFd::new(&stdin, PollFlags::IN), PollFd::new(stopped, PollFlags::IN)];
        match poll(&mut waiting, None) {
            Err(Errno::INTR) => continue,
            Err(_) => {}
            Ok(_) => {
                let [_, stopped] = &waiting;
                if !stopped.revents().is_empty() {
                    return;
                }
            }
        }
        let chunk = match rustix::io::read(stdin, &mut *buffer) {
            Ok(0) => return,
            Ok(length) => Ok(buffer.get(..length).unwrap_or_default().to_vec()),
            Err(Errno::INTR | Errno::AGAIN) => continue,
            Err(error) => Err(error.into()),
        };
        let failed = chunk.is_err();
        if sender.blocking_send(chunk).is_err() || failed {
            return;
        }
    }
}
