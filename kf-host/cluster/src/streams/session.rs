//! A session over its WebSocket, with two independent directions.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use kf_core::api::{ApiError, Session, SessionEnded, SessionInput, SessionOutput, SessionWriter};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::CHUNK_BYTES;
use super::channels::{self, ServerMessage};
use crate::connection::broken_stream;

/// The interval of keep-alive pings. Load balancers drop idle connections after a minute.
const PING: Duration = Duration::from_secs(20);

/// After this time without data, three unanswered pings, a session with a terminal counts as lost: in raw mode Ctrl-C
/// cannot end the wait. Without a terminal, a server may be silent while the process does not read its stdin.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(65);

/// The maximum number of inputs that wait to be sent.
const MAX_QUEUED_INPUTS: usize = 4;

pub(crate) struct SessionSettings {
    pub(crate) tty: bool,
    /// The first word of the command, for errors.
    pub(crate) program: Option<String>,
}

/// Runs a session; must be called within a tokio runtime. `held` is dropped when it ends.
pub(crate) fn session<S>(
    socket: WebSocketStream<S>,
    settings: SessionSettings,
    held: impl Send + 'static,
) -> Session
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sink, stream) = socket.split();
    let (input, waiting) = mpsc::channel(MAX_QUEUED_INPUTS);
    let sender = Sender(tokio::spawn(send(sink, waiting)).abort_handle());
    let reader = Reader { stream, settings, _sender: sender, _held: held };
    let output = stream::unfold(Some(reader), |reader| async move {
        let mut reader = reader?;
        let next = reader.next().await;
        let more = matches!(next, Ok(SessionOutput::Stdout(_) | SessionOutput::Stderr(_)));
        Some((next, more.then_some(reader)))
    });
    Session { output: output.boxed(), input: Arc::new(Input(input)) }
}

/// The input of a session.
struct Input(mpsc::Sender<SessionInput>);

#[async_trait]
impl SessionWriter for Input {
    async fn send(&self, input: SessionInput) -> Result<(), SessionEnded> {
        self.0.send(input).await.map_err(|_| SessionEnded)
    }
}

/// Aborts the sending task together with the reader, which closes the connection.
struct Sender(AbortHandle);

impl Drop for Sender {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends the input. Errors are ignored, as the reader gets an error of the broken connection too.
async fn send<S>(mut sink: SplitSink<WebSocketStream<S>, Message>, mut input: mpsc::Receiver<SessionInput>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut ping = interval(PING);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut open = true;
    loop {
        let sent = tokio::select! {
            next = input.recv(), if open => match next {
                Some(next) => forward(&mut sink, next, input.is_empty()).await,
                None => {
                    open = false;
                    Ok(())
                }
            },
            _ = ping.tick() => sink.send(Message::Ping(Bytes::new())).await,
        };
        if sent.is_err() {
            return;
        }
    }
}

async fn forward<S>(
    sink: &mut SplitSink<WebSocketStream<S>, Message>,
    input: SessionInput,
    last: bool,
) -> tokio_tungstenite::tungstenite::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    match input {
        SessionInput::Data(data) => {
            for chunk in data.chunks(CHUNK_BYTES) {
                sink.feed(Message::Binary(channels::stdin(chunk))).await?;
            }
        }
        SessionInput::End => sink.feed(Message::Binary(channels::close_stdin())).await?,
        SessionInput::Resize(size) => sink.feed(Message::Binary(channels::resize(size))).await?,
    }
    if last { sink.flush().await } else { Ok(()) }
}

struct Reader<S, H> {
    stream: SplitStream<WebSocketStream<S>>,
    settings: SessionSettings,
    _sender: Sender,
    _held: H,
}

impl<S, H> Reader<S, H>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    async fn next(&mut self) -> Result<SessionOutput, ApiError> {
        loop {
            let message = if self.settings.tty {
                let message = timeout(SILENCE_TIMEOUT, self.stream.next()).await;
                message.map_err(|_| broken_stream(&"no data for a minute"))?
            } else {
                self.stream.next().await
            };
            match message {
                None => return Err(broken_stream(&"the session ended without a status")),
                Some(Err(error)) => return Err(broken_stream(&error)),
                Some(Ok(Message::Binary(message))) => match channels::decode(message) {
                    None => {}
                    Some(ServerMessage::Stdout(data)) => return Ok(SessionOutput::Stdout(data)),
                    Some(ServerMessage::Stderr(data)) => return Ok(SessionOutput::Stderr(data)),
                    Some(ServerMessage::Status(status)) => {
                        let code = channels::exit_code(&status, self.settings.program.as_deref())?;
                        return Ok(SessionOutput::Exited(code));
                    }
                },
                Some(Ok(_)) => {}
            }
        }
    }
}
