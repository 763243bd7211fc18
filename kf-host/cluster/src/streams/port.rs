//! One connection to a port of a pod.
//!
//! The first message of each channel repeats the port. The server closes the WebSocket when the
//! pod's side has closed. It has no word for the end of our side alone, so after that the pod is
//! heard for as long as it speaks, and a little longer.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt as _, StreamExt as _};
use kf_core::api::{ApiError, ErrorCode};
use kf_core::text::one_line;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream};
use tokio::time::sleep;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;

use super::{CHUNK, channels};
use crate::connection::broken_stream;

const DATA: u8 = 0;
const ERROR: u8 = 1;

/// How long a pod may stay silent once nothing more comes from here.
const LINGER: Duration = Duration::from_secs(5);

/// How often an idle connection is kept alive.
const PING: Duration = Duration::from_secs(20);

/// Carries bytes between a pod's port and `local` until either has closed. `place` is the pod as a
/// person would call it.
pub(super) async fn carry<S, L>(
    socket: WebSocketStream<S>,
    port: u16,
    place: &str,
    local: L,
) -> Result<(), ApiError>
where
    S: AsyncRead + AsyncWrite + Unpin,
    L: AsyncRead + AsyncWrite,
{
    let (mut sink, mut messages) = socket.split();
    let (mut reader, mut writer) = tokio::io::split(local);
    let heard = AtomicBool::new(false);
    let up = async {
        let mut buffer = BytesMut::with_capacity(CHUNK);
        loop {
            buffer.reserve(CHUNK);
            tokio::select! {
                read = reader.read_buf(&mut buffer) => {
                    if !matches!(read, Ok(1..)) {
                        break;
                    }
                    let message = channels::on(DATA, &buffer.split());
                    sink.send(Message::Binary(message)).await.map_err(|error| broken_stream(&error))?;
                }
                () = sleep(PING) => {
                    let ping = Message::Ping(Bytes::new());
                    sink.send(ping).await.map_err(|error| broken_stream(&error))?;
                }
            }
        }
        loop {
            heard.store(false, Ordering::Relaxed);
            sleep(LINGER).await;
            if !heard.load(Ordering::Relaxed) {
                return Ok(());
            }
        }
    };
    let down = async {
        let mut named = [false; 2];
        while let Some(message) = messages.next().await {
            let message = match message {
                Ok(Message::Binary(message)) => message,
                Ok(Message::Close(_)) => break,
                Ok(_) => continue,
                Err(error) => return Err(broken_stream(&error)),
            };
            heard.store(true, Ordering::Relaxed);
            match take(message, &mut named, port)? {
                None => {}
                // Whoever asked is gone; that is theirs to know.
                Some((DATA, data)) if writer.write_all(&data).await.is_err() => return Ok(()),
                Some((DATA, _)) => {}
                Some((_, words)) => return Err(closed(port, place, &String::from_utf8_lossy(&words))),
            }
        }
        let _gone = writer.shutdown().await;
        Ok(())
    };
    tokio::select! {
        done = down => done,
        done = up => done,
    }
}

/// A message's channel and bytes. The first of a channel must name the port.
fn take(mut message: Bytes, named: &mut [bool; 2], port: u16) -> Result<Option<(u8, Bytes)>, ApiError> {
    let channel = message.first().copied().filter(|channel| matches!(*channel, DATA | ERROR));
    let Some(channel) = channel else { return Ok(None) };
    let data = message.split_off(1);
    if data.is_empty() {
        return Ok(None);
    }
    match named.get_mut(usize::from(channel)) {
        Some(named) if !*named => {
            *named = true;
            if *data == port.to_le_bytes() {
                Ok(None)
            } else {
                Err(broken_stream(&format!("it forwards another port than {port}")))
            }
        }
        _ => Ok(Some((channel, data))),
    }
}

/// The kubelet's words are long and name addresses of the node.
fn closed(port: u16, place: &str, words: &str) -> ApiError {
    let message = if words.contains("connection refused") {
        format!("nothing listens on port {port} of {place}")
    } else {
        format!("port {port} of {place} cannot be reached: {}", one_line(words))
    };
    ApiError::new(ErrorCode::Failed, message)
}

/// A connection to a pod's port as a stream of bytes, for a client that lives in this process. What
/// went wrong is in the result of the task.
pub(crate) fn dial<S>(
    socket: WebSocketStream<S>,
    port: u16,
    place: String,
) -> (DuplexStream, tokio::task::JoinHandle<Result<(), ApiError>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (here, there) = tokio::io::duplex(CHUNK);
    (here, tokio::spawn(async move { carry(socket, port, &place, there).await }))
}

/// Whether accepting may be tried again.
pub(super) fn passes(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, OutOfMemory};
    const EMFILE: i32 = 24;
    const ENFILE: i32 = 23;
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | OutOfMemory)
        || matches!(error.raw_os_error(), Some(EMFILE | ENFILE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_port_that_was_asked_for_is_carried() {
        let mut named = [false; 2];
        let message = |bytes: &'static [u8]| Bytes::from_static(bytes);
        assert_eq!(take(message(b"\x00"), &mut named, 8080).unwrap(), None);
        assert_eq!(take(message(b"\x00\x90\x1f"), &mut named, 8080).unwrap(), None);
        assert_eq!(take(message(b"\x00hi"), &mut named, 8080).unwrap(), Some((DATA, message(b"hi"))));
        assert_eq!(take(message(b"\x07hi"), &mut named, 8080).unwrap(), None);
        assert!(take(message(b"\x01\x91\x1f"), &mut named, 8080).is_err());
    }

    #[test]
    fn a_closed_port_is_one_plain_line() {
        let words = "error forwarding port 80 to pod 3f, uid : failed to execute portforward in network namespace \
                     \"/var/run/netns/cni-1\": failed to connect to localhost:80 inside namespace: dial tcp4 \
                     127.0.0.1:80: connect: connection refused";
        let error = closed(80, "pod web-0 in team-a", words);
        assert_eq!(error.message, "nothing listens on port 80 of pod web-0 in team-a");
        let error = closed(80, "pod web-0", "no\n\u{1b}way");
        assert_eq!(error.message, "port 80 of pod web-0 cannot be reached: no way");
    }
}
