//! The terminal during a session.
//!
//! In raw mode the terminal passes on every key and does not echo. If kf ended in this mode, users
//! would not see what they type. So the original settings are saved globally, and restored at the
//! end of the session, at exit, on a panic and on a signal.

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
use super::saved_terminal::{SavedTerminal, restore, saved, write_sequences};
use super::{Ui, browser, lock, modes};
use crate::shutdown;

const CHUNK_BYTES: usize = 64 << 10;

const MAX_CHUNKS_AHEAD: usize = 2;

/// The time limit of an orderly exit after a signal.
const EXIT_TIMEOUT: Duration = Duration::from_millis(500);

/// Keeps the terminal in raw mode until it is dropped.
struct Raw(Ui);

impl Raw {
    fn take(ui: &Ui) -> io::Result<Self> {
        restore_on_exit(ui);
        let original = tcgetattr(rustix::stdio::stdin())?;
        let mut raw = original.clone();
        raw.make_raw();
        *saved() = Some(SavedTerminal { original, changed: raw.clone(), is_session: true });
        let guard = Self(ui.clone());
        ui.erase();
        *lock(&ui.shared.line) = Line::Session;
        tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &raw)?;
        write_sequences(modes::ENTER);
        Ok(guard)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        restore();
        let mut line = lock(&self.0.shared.line);
        if *line == Line::Session {
            *line = Line::Free;
        }
    }
}

/// Restores the terminal on panics and signals from now on.
pub(super) fn restore_on_exit(ui: &Ui) {
    static GUARDS: Once = Once::new();
    GUARDS.call_once(|| install_guards(ui));
}

fn install_guards(ui: &Ui) {
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
            // The orderly exit waits for a lock that may be held by a blocked write to a pipe.
            let late = move || {
                std::thread::sleep(EXIT_TIMEOUT);
                shutdown::exit_process(code)
            };
            let _thread = std::thread::Builder::new().name("late".to_owned()).spawn(late);
            shutdown::exit(&ui, code);
        }
    };
    // Without the thread a signal still ends kf, but the terminal is not restored.
    let _thread = std::thread::Builder::new().name("signals".to_owned()).spawn(watching);
    // Raw mode must not start before the signals are caught.
    let _failed = is_caught.recv();
}

/// The signals that end the process, and the one that resumes it.
struct Signals {
    hangup: Signal,
    terminate: Signal,
    quit: Signal,
    resume: Signal,
}

impl Signals {
    /// Starts to catch the signals.
    fn catch() -> io::Result<Self> {
        const SIGCONT: i32 = 18;
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            resume: signal(SignalKind::from_raw(SIGCONT))?,
        })
    }

    /// Waits for a signal that ends the process, and returns its number. Raw mode is set again when the process is
    /// resumed, because shells resume a job with their own terminal settings.
    async fn ending(mut self) -> u8 {
        loop {
            tokio::select! {
                _ = self.hangup.recv() => return 1,
                _ = self.terminate.recv() => return 15,
                _ = self.quit.recv() => return 3,
                _ = self.resume.recv() => {
                    if let Some(SavedTerminal { changed, .. }) = &*saved() {
                        let _gone = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, changed);
                    }
                }
            }
        }
    }
}

/// stdin, stdout and stderr, which the sandbox connects to sessions.
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
        let (stopped, guard) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (sender, mut chunks) = tokio::sync::mpsc::channel(MAX_CHUNKS_AHEAD);
        std::thread::Builder::new().name("stdin".to_owned()).spawn(move || read(&stopped, &sender))?;
        let chunks = futures_util::stream::poll_fn(move |context| chunks.poll_recv(context));
        Ok(Input { chunks: Box::pin(chunks), held: Box::new(guard) })
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

/// Reads until the end of input, or until the other end of `stopped` is dropped: input after the session is for
/// another reader.
fn read(stopped: &OwnedFd, sender: &tokio::sync::mpsc::Sender<io::Result<Vec<u8>>>) {
    let stdin = rustix::stdio::stdin();
    let mut buffer = vec![0; CHUNK_BYTES];
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
