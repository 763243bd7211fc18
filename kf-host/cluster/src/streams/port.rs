//! One connection to a port of a pod.
//!
//! The first message of each channel repeats the port. The server closes the WebSocket when the pod closes its side.
//! The protocol cannot close only our side, so after that we keep reading until the pod is silent for [`LINGER`].

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

use super::{CHUNK_BYTES, channels};
use crate::connection::broken_stream;

const DATA: u8 = 0;
const ERROR: u8 = 1;

/// How long a pod can be silent after our side was closed.
const LINGER: Duration = Duration::from_secs(5);

/// The interval of keep-alive pings on an idle connection.
const PING: Duration = Duration::from_secs(20);

/// Transfers bytes between a pod's port and `local` until either is closed. `place` is the display name of the pod.
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
    let received = AtomicBool::new(false);
    let up = async {
        let mut buffer = BytesMut::with_capacity(CHUNK_BYTES);
        loop {
            buffer.reserve(CHUNK_BYTES);
            tokio::select! {
                read = reader.read_buf(&mut buffer) => {
                    if !matches!(read, Ok(1..)) {
                        break;
                    }
                    let message = channels::channel_message(DATA, &buffer.split());
                    sink.send(Message::Binary(message)).await.map_err(|error| broken_stream(&error))?;
                }
                () = sleep(PING) => {
                    let ping = Message::Ping(Bytes::new());
                    sink.send(ping).await.map_err(|error| broken_stream(&error))?;
                }
            }
        }
        loop {
            received.store(false, Ordering::Relaxed);
            sleep(LINGER).await;
            if !received.load(Ordering::Relaxed) {
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
            received.store(true, Ordering::Relaxed);
            match decode(message, &mut named, port)? {
                None => {}
                // The local client has closed the connection, which is not an error.
                Some((DATA, data)) if writer.write_all(&data).await.is_err() => return Ok(()),
                Some((DATA, _)) => {}
                Some((_, message)) => {
                    return Err(port_error(port, place, &String::from_utf8_lossy(&message)));
                }
            }
        }
        let _closed = writer.shutdown().await;
        Ok(())
    };
    tokio::select! {
        done = down => done,
        done = up => done,
    }
}

/// Decodes a message. The first of each channel must repeat the port.
fn decode(mut message: Bytes, named: &mut [bool; 2], port: u16) -> Result<Option<(u8, Bytes)>, ApiError> {
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
                Err(broken_stream(&format!("unexpected port in the stream of port {port}")))
            }
        }
        _ => Ok(Some((channel, data))),
    }
}

/// The error for an unreachable port. The kubelet's message is long and contains addresses of the node.
fn port_error(port: u16, place: &str, message: &str) -> ApiError {
    let text = if message.contains("connection refused") {
        format!("nothing listens on port {port} of {place}")
    } else {
        format!("cannot connect to port {port} of {place}: {}", one_line(message))
    };
    ApiError::new(ErrorCode::Failed, text)
}

/// A connection to a pod's port as a byte stream, for a client in this process. The result of the task has the error.
pub(crate) fn dial<S>(
    socket: WebSocketStream<S>,
    port: u16,
    place: String,
) -> (DuplexStream, tokio::task::JoinHandle<Result<(), ApiError>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (here, there) = tokio::io::duplex(CHUNK_BYTES);
    (here, tokio::spawn(async move { carry(socket, port, &place, there).await }))
}

/// Whether to retry accepting connections.
pub(super) fn is_transient(error: &io::Error) -> bool {
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
    fn only_requested_port_is_accepted() {
        let mut named = [false; 2];
        let message = |bytes: &'static [u8]| Bytes::from_static(bytes);
        assert_eq!(decode(message(b"\x00"), &mut named, 8080).unwrap(), None);
        assert_eq!(decode(message(b"\x00\x90\x1f"), &mut named, 8080).unwrap(), None);
        assert_eq!(decode(message(b"\x00hi"), &mut named, 8080).unwrap(), Some((DATA, message(b"hi"))));
        assert_eq!(decode(message(b"\x07hi"), &mut named, 8080).unwrap(), None);
        assert!(decode(message(b"\x01\x91\x1f"), &mut named, 8080).is_err());
    }

    #[test]
    fn port_error_is_one_short_line() {
        let words = "error forwarding port 80 to pod 3f, uid : failed to execute portforward in network namespace \
                     \"/var/run/netns/cni-1\": failed to connect to localhost:80 inside namespace: dial tcp4 \
                     127.0.0.1:80: connect: connection refused";
        let error = port_error(80, "pod web-0 in team-a", words);
        assert_eq!(error.message, "nothing listens on port 80 of pod web-0 in team-a");
        let error = port_error(80, "pod web-0", "no\n\u{1b}way");
        assert_eq!(error.message, "cannot connect to port 80 of pod web-0: no way");
    }
}
