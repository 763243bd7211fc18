//! Joins a session to the user's terminal.
//!
//! The bytes of a joined session never enter the guest: the host carries them between the
//! container and the process's own stdin, stdout and stderr.
//!
//! Keys are read even while the container takes none, because some of them [leave](crate::keys).

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kf_core::api::{
    ApiError, ErrorCode, Session, SessionInput, SessionOutput, SessionOver, SessionStream, SessionWriter,
    TerminalSize,
};
use kf_core::terminal::{Input, Stream, Terminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::keys::Keys;
use crate::output::{OutputError, SharedOutput};

/// What may wait for a container that does not read, in bytes, when keys are typed.
const MAX_WAITING: usize = 1 << 20;

/// A container that has taken nothing for so long, with all of that waiting, gets no more: keys are only
/// looked at for those that leave.
const STUCK: Duration = Duration::from_secs(3);

/// How a session is joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joining {
    pub(crate) stdin: bool,
    pub(crate) tty: bool,
    /// What is drawn already was drawn for nobody: have it drawn again.
    pub(crate) redraw: bool,
}

/// How a session ended early.
#[derive(Debug)]
pub(crate) enum JoinError {
    Session(ApiError),
    Output(OutputError),
    /// The person left it.
    Left,
}

impl From<ApiError> for JoinError {
    fn from(error: ApiError) -> Self {
        Self::Session(error)
    }
}

fn failed(what: &str, error: &io::Error) -> ApiError {
    ApiError::new(ErrorCode::Failed, format!("{what}: {error}"))
}

/// Joins a session to the terminal; its exit code.
///
/// Dropping the future ends the session and gives the terminal back.
pub(crate) async fn join(
    session: Session,
    terminal: Arc<dyn Terminal>,
    joining: Joining,
    output: &SharedOutput,
) -> Result<i32, JoinError> {
    let Session { output: said, input } = session;
    output.lock().flush().map_err(JoinError::Output)?;
    // Without stdin nobody would read the Ctrl-C of a raw terminal, and nobody works in the container
    // for whom its programs may draw.
    let draws = joining.tty && joining.stdin;
    let resized = if joining.tty {
        let resized = signal(SignalKind::window_change());
        Some(resized.map_err(|error| failed("the terminal's size cannot be followed", &error))?)
    } else {
        None
    };
    let _raw = if draws {
        Some(terminal.raw().map_err(|error| failed("the terminal cannot be taken over", &error))?)
    } else {
        None
    };
    let typed = if joining.stdin {
        Some(terminal.input().map_err(|error| failed("stdin cannot be read", &error))?)
    } else {
        None
    };
    let sizes = Sizes { terminal: Arc::clone(&terminal), resized, redraw: joining.redraw };
    let keys = draws.then(Keys::default);
    let in_line = AtomicBool::new(false);
    tokio::select! {
        code = show(said, Arc::clone(&terminal), draws, &in_line) => code,
        Left = listen(typed, keys, sizes, input) => {
            if in_line.load(Ordering::Relaxed) {
                let _gone = terminal.write(Stream::Stdout, true, b"\r\n");
            }
            Err(JoinError::Left)
        }
    }
}

/// Shows what a session says until it ends. `in_line` is whether the last line has no end yet.
async fn show(
    mut said: SessionStream,
    terminal: Arc<dyn Terminal>,
    raw: bool,
    in_line: &AtomicBool,
) -> Result<i32, JoinError> {
    while let Some(piece) = said.next().await {
        let (stream, data) = match piece? {
            SessionOutput::Exited(code) => return Ok(code),
            SessionOutput::Stdout(data) => (Stream::Stdout, data),
            SessionOutput::Stderr(data) => (Stream::Stderr, data),
        };
        in_line.store(data.last().is_some_and(|last| *last != b'\n'), Ordering::Relaxed);
        let terminal = Arc::clone(&terminal);
        // A pipe that nobody reads must not stop what is typed.
        let written = tokio::task::spawn_blocking(move || terminal.write(stream, raw, &data)).await;
        let written = written.unwrap_or_else(|_| Err(io::Error::other("writing was given up")));
        written.map_err(|error| JoinError::Output(error.into()))?;
    }
    let message = "the session ended without an exit code".to_owned();
    Err(ApiError::new(ErrorCode::Unreachable, message).into())
}

struct Sizes {
    terminal: Arc<dyn Terminal>,
    resized: Option<Signal>,
    redraw: bool,
}

impl Sizes {
    async fn change(&mut self) {
        match &mut self.resized {
            Some(resized) => {
                resized.recv().await;
            }
            None => std::future::pending().await,
        }
    }

    fn now(&self) -> Option<TerminalSize> {
        self.resized.as_ref().and_then(|_| self.terminal.size())
    }
}

/// A person has left the session.
struct Left;

/// Hands on what is typed and how large the terminal is, until a person leaves.
///
/// Without keys to look at, no more is read than the container takes.
async fn listen(
    mut typed: Option<Input>,
    mut keys: Option<Keys>,
    mut sizes: Sizes,
    input: Arc<dyn SessionWriter>,
) -> Left {
    let mut waiting = Waiting::new(input);
    if let Some(size) = sizes.now() {
        if sizes.redraw {
            waiting.push(SessionInput::Resize(TerminalSize { rows: size.rows.saturating_add(1), ..size }));
        }
        waiting.push(SessionInput::Resize(size));
    }
    let max = if keys.is_some() { MAX_WAITING } else { 1 };
    let mut is_stuck = false;
    loop {
        let is_full = waiting.bytes >= max;
        tokio::select! {
            () = waiting.send() => is_stuck = false,
            chunk = chunk(&mut typed), if !is_full || is_stuck => {
                let Some(mut data) = chunk else {
                    typed = None;
                    waiting.push(SessionInput::End);
                    continue;
                };
                if let Some(keys) = &mut keys {
                    let read = keys.read(&data, Instant::now());
                    if read.leaves {
                        return Left;
                    }
                    data = read.forward;
                }
                if !is_full && !data.is_empty() {
                    waiting.push(SessionInput::Data(data.into()));
                }
            }
            () = sizes.change() => {
                if let Some(size) = sizes.now() {
                    waiting.push(SessionInput::Resize(size));
                }
            }
            () = tokio::time::sleep(STUCK), if keys.is_some() && is_full && !is_stuck => is_stuck = true,
        }
    }
}

/// What a session has yet to take.
struct Waiting {
    input: Arc<dyn SessionWriter>,
    queue: VecDeque<SessionInput>,
    /// Of data, with what is being sent.
    bytes: usize,
    sending: Option<(usize, Sending)>,
    is_over: bool,
}

type Sending = Pin<Box<dyn Future<Output = Result<(), SessionOver>> + Send>>;

impl Waiting {
    fn new(input: Arc<dyn SessionWriter>) -> Self {
        Self { input, queue: VecDeque::new(), bytes: 0, sending: None, is_over: false }
    }

    fn push(&mut self, next: SessionInput) {
        if matches!(next, SessionInput::Resize(_)) && self.queue.len() > 2 {
            // Of many sizes the last one counts.
            self.queue.retain(|waiting| !matches!(waiting, SessionInput::Resize(_)));
        }
        self.bytes += weight(&next);
        self.queue.push_back(next);
    }

    /// Sends the next one; waits for ever if there is none. May be dropped and called again.
    async fn send(&mut self) {
        if self.is_over {
            // The other direction tells why, and nothing is kept for a session that is over.
            self.queue.clear();
            self.bytes = 0;
            return std::future::pending().await;
        }
        let (bytes, sending) = match &mut self.sending {
            Some(sending) => sending,
            none => match self.queue.pop_front() {
                Some(next) => {
                    let (bytes, input) = (weight(&next), Arc::clone(&self.input));
                    none.insert((bytes, Box::pin(async move { input.send(next).await })))
                }
                None => return std::future::pending().await,
            },
        };
        self.is_over = sending.await.is_err();
        self.bytes = self.bytes.saturating_sub(*bytes);
        self.sending = None;
    }
}

fn weight(input: &SessionInput) -> usize {
    match input {
        SessionInput::Data(data) => data.len(),
        SessionInput::Resize(_) | SessionInput::End => 0,
    }
}

/// The next bytes; none at the end, also where stdin cannot be read any more.
async fn chunk(typed: &mut Option<Input>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.chunks.next().await.and_then(Result::ok),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
