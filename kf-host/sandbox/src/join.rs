//! Joins a session to the user's terminal.
//!
//! The bytes of a joined session never enter the guest: the host copies them between the container
//! and its own stdin, stdout and stderr.
//!
//! Keys are read even while the container does not read them, because some of them [leave](crate::keys).

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use kf_core::api::{
    ApiError, ErrorCode, Session, SessionEnded, SessionInput, SessionOutput, SessionStream, SessionWriter,
    TerminalSize,
};
use kf_core::terminal::{Input, Stream, Terminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::keys::Keys;
use crate::output::{OutputError, SharedOutput};

/// How much typed input is queued for a container that does not read, in bytes.
const MAX_QUEUED_BYTES: usize = 1 << 20;

/// After this time with a full queue, further input is dropped, and keys are only checked for those that leave.
const STUCK_AFTER: Duration = Duration::from_secs(3);

/// How long leaving waits for a write to the terminal, so that the terminal is not restored in the middle of it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How a session is joined.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Joining {
    pub(crate) stdin: bool,
    pub(crate) tty: bool,
    /// Make the program in the container redraw the screen.
    pub(crate) redraw: bool,
}

/// Why a session ended early.
#[derive(Debug)]
pub(crate) enum JoinError {
    Session(ApiError),
    Output(OutputError),
    /// The user left it.
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

/// Joins a session to the terminal and returns its exit code.
///
/// Dropping the future ends the session and restores the terminal.
pub(crate) async fn join(
    session: Session,
    terminal: Arc<dyn Terminal>,
    joining: Joining,
    output: &SharedOutput,
) -> Result<i32, JoinError> {
    let Session { output: session_output, input } = session;
    output.lock().flush().map_err(JoinError::Output)?;
    // Without stdin, Ctrl-C in a raw terminal would not be read, and the user cannot interact with programs
    // that draw.
    let draws = joining.tty && joining.stdin;
    let resized = if joining.tty {
        let resized = signal(SignalKind::window_change());
        Some(resized.map_err(|error| failed("cannot watch the size of the terminal", &error))?)
    } else {
        None
    };
    let _raw = if draws {
        Some(terminal.raw().map_err(|error| failed("cannot switch the terminal to raw mode", &error))?)
    } else {
        None
    };
    let typed = if joining.stdin {
        Some(terminal.input().map_err(|error| failed("cannot read stdin", &error))?)
    } else {
        None
    };
    let sizes = Sizes { terminal: Arc::clone(&terminal), resized, redraw: joining.redraw };
    let keys = draws.then(Keys::default);
    let screen = Screen::default();
    let mut showing = std::pin::pin!(show(session_output, Arc::clone(&terminal), draws, &screen));
    tokio::select! {
        code = &mut showing => return code,
        Left = send_input(typed, keys, sizes, input) => {}
    }
    screen.is_left.store(true, Ordering::Relaxed);
    let is_stuck = screen.is_writing.load(Ordering::Relaxed)
        && tokio::time::timeout(WRITE_TIMEOUT, showing).await.is_err();
    if screen.in_line.load(Ordering::Relaxed) && !is_stuck {
        let _closed = terminal.write(Stream::Stdout, true, b"\r\n");
    }
    Err(JoinError::Left)
}

/// What a session does on the screen.
#[derive(Default)]
struct Screen {
    /// The last line is unfinished.
    in_line: AtomicBool,
    is_writing: AtomicBool,
    /// The user has left: a write that has not started yet is skipped.
    is_left: Arc<AtomicBool>,
}

/// Shows the output of a session until it ends or, after the user has left, until the current write ends.
async fn show(
    mut output: SessionStream,
    terminal: Arc<dyn Terminal>,
    raw: bool,
    screen: &Screen,
) -> Result<i32, JoinError> {
    while let Some(piece) = output.next().await {
        let (stream, data) = match piece? {
            SessionOutput::Exited(code) => return Ok(code),
            SessionOutput::Stdout(data) => (Stream::Stdout, data),
            SessionOutput::Stderr(data) => (Stream::Stderr, data),
        };
        let in_line = data.last().is_some_and(|last| *last != b'\n');
        screen.is_writing.store(true, Ordering::Relaxed);
        let (terminal, is_left) = (Arc::clone(&terminal), Arc::clone(&screen.is_left));
        let write = move || match is_left.load(Ordering::Relaxed) {
            true => Ok(false),
            false => terminal.write(stream, raw, &data).map(|()| true),
        };
        // A pipe that is not read must not block typed input.
        let written = tokio::task::spawn_blocking(write).await;
        screen.is_writing.store(false, Ordering::Relaxed);
        let written = written.unwrap_or_else(|_| Err(io::Error::other("writing was cancelled")));
        if written.map_err(|error| JoinError::Output(error.into()))? {
            screen.in_line.store(in_line, Ordering::Relaxed);
        }
        if screen.is_left.load(Ordering::Relaxed) {
            return Err(JoinError::Left);
        }
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

/// The user has left the session.
struct Left;

/// Sends typed input and sizes of the terminal to the session, until the user leaves.
///
/// If keys are not checked, input is read only as fast as the container reads it.
async fn send_input(
    mut typed: Option<Input>,
    mut keys: Option<Keys>,
    mut sizes: Sizes,
    input: Arc<dyn SessionWriter>,
) -> Left {
    let mut queue = InputQueue::new(input);
    if let Some(size) = sizes.now() {
        if sizes.redraw {
            queue.push(SessionInput::Resize(TerminalSize { rows: size.rows.saturating_add(1), ..size }));
        }
        queue.push(SessionInput::Resize(size));
    }
    let max = if keys.is_some() { MAX_QUEUED_BYTES } else { 1 };
    let mut is_stuck = false;
    loop {
        let is_full = queue.bytes >= max;
        tokio::select! {
            () = queue.send() => is_stuck = false,
            chunk = chunk(&mut typed), if !is_full || is_stuck => {
                let Some(mut data) = chunk else {
                    typed = None;
                    queue.push(SessionInput::End);
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
                    queue.push(SessionInput::Data(data.into()));
                }
            }
            () = sizes.change() => {
                if let Some(size) = sizes.now() {
                    queue.push(SessionInput::Resize(size));
                }
            }
            () = tokio::time::sleep(STUCK_AFTER), if keys.is_some() && is_full && !is_stuck => is_stuck = true,
        }
    }
}

/// Input that was not sent to the session yet.
struct InputQueue {
    input: Arc<dyn SessionWriter>,
    queue: VecDeque<SessionInput>,
    /// The size of all data, including what is being sent.
    bytes: usize,
    sending: Option<(usize, Sending)>,
    is_over: bool,
}

type Sending = Pin<Box<dyn Future<Output = Result<(), SessionEnded>> + Send>>;

impl InputQueue {
    fn new(input: Arc<dyn SessionWriter>) -> Self {
        Self { input, queue: VecDeque::new(), bytes: 0, sending: None, is_over: false }
    }

    fn push(&mut self, next: SessionInput) {
        if matches!(next, SessionInput::Resize(_)) && self.queue.len() > 2 {
            // Only the last of several sizes counts.
            self.queue.retain(|queued| !matches!(queued, SessionInput::Resize(_)));
        }
        self.bytes += weight(&next);
        self.queue.push_back(next);
    }

    /// Sends the next input; never returns if there is none. Safe to cancel and call again.
    async fn send(&mut self) {
        if self.is_over {
            // The output has the reason, and the queue of a session that is over is dropped.
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

/// The next bytes; none at the end or if stdin cannot be read.
async fn chunk(typed: &mut Option<Input>) -> Option<Vec<u8>> {
    match typed {
        Some(typed) => typed.chunks.next().await.and_then(Result::ok),
        None => std::future::pending().await,
    }
}

#[cfg(test)]
#[path = "join_tests.rs"]
mod tests;
