//! Joins a session to the user's terminal.
//!
//! The bytes of a joined session never enter the guest: the host carries them between the
//! container and the process's own stdin, stdout and stderr.

use std::io;
use std::sync::Arc;

use futures_util::StreamExt as _;
use kf_core::api::{
    ApiError, ErrorCode, Session, SessionInput, SessionOutput, SessionStream, SessionWriter, TerminalSize,
};
use kf_core::terminal::{Input, Stream, Terminal};
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::output::{OutputError, SharedOutput};

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
    tokio::select! {
        code = show(said, terminal, draws) => code,
        never = listen(typed, sizes, input) => match never {},
    }
}

/// Shows what a session says until it ends.
async fn show(mut said: SessionStream, terminal: Arc<dyn Terminal>, raw: bool) -> Result<i32, JoinError> {
    while let Some(piece) = said.next().await {
        let (stream, data) = match piece? {
            SessionOutput::Exited(code) => return Ok(code),
            SessionOutput::Stdout(data) => (Stream::Stdout, data),
            SessionOutput::Stderr(data) => (Stream::Stderr, data),
        };
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

/// Hands on what is typed and how large the terminal is.
async fn listen(
    mut typed: Option<Input>,
    mut sizes: Sizes,
    input: Arc<dyn SessionWriter>,
) -> std::convert::Infallible {
    if let Some(size) = sizes.now() {
        if sizes.redraw {
            let other = TerminalSize { rows: size.rows.saturating_add(1), ..size };
            let _over = input.send(SessionInput::Resize(other)).await;
        }
        let _over = input.send(SessionInput::Resize(size)).await;
    }
    loop {
        let next = tokio::select! {
            chunk = chunk(&mut typed) => match chunk {
                Some(data) => SessionInput::Data(data.into()),
                None => {
                    typed = None;
                    SessionInput::End
                }
            },
            () = sizes.change() => match sizes.now() {
                Some(size) => SessionInput::Resize(size),
                None => continue,
            },
        };
        if input.send(next).await.is_err() {
            // The other direction tells why.
            std::future::pending::<()>().await;
        }
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
