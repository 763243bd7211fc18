//! Streams to a pod: sessions, forwarded ports and HTTP.
//!
//! Kubernetes carries them over a WebSocket that the API server proxies to the kubelet. A binary message consists of one
//! byte for the *channel*, and data: a session has channels for stdin, stdout, stderr, the final status and the
//! terminal's size; a forwarded port has one for data and one for errors.
//!
//! This module does not authorize: the [broker](crate::broker) checks the access and opens the WebSocket, and this
//! module transfers bytes over it. Each direction is independent, so that a process that does not read its input does
//! not block its output, and neither side buffers more than a few chunks.

mod channels;
pub(crate) mod http;
mod listen;
mod port;
mod session;

#[cfg(test)]
mod tests;

pub(crate) use listen::{Listening, bind};
pub(crate) use port::dial;
pub(crate) use session::{SessionSettings, session};

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

/// The maximum size of a read or a message that is sent, in bytes.
const CHUNK_BYTES: usize = 64 << 10;

/// The maximum size of a received message, in bytes. The kubelet and container runtimes send at most 32 KiB.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// The WebSocket of an upgraded connection, with lower limits than the library's 64 MiB per message.
pub(crate) async fn socket(upgraded: kube::client::Connection) -> WebSocketStream<TokioIo<Upgraded>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(CHUNK_BYTES)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    WebSocketStream::from_raw_socket(upgraded.into_stream().into_inner(), Role::Client, Some(config)).await
}
