//! What passes through a pod: sessions, forwarded ports and HTTP.
//!
//! Kubernetes carries all of them over a WebSocket that the API server hands on to the kubelet. A
//! binary message is one byte that names a *channel*, and the bytes on it: a session has stdin,
//! stdout, stderr, the status at its end and the terminal's size; a forwarded port has its data and
//! the reason why it cannot be reached.
//!
//! Nothing here decides who may: the [broker](crate::broker) opens a WebSocket once it has checked
//! the access, and this module carries bytes over it. Each direction is driven on its own, so a
//! process that does not read never keeps what it says from being heard, and neither side holds
//! more than a few chunks for the other.

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

/// The most that is read or sent at once, in bytes.
const CHUNK: usize = 64 << 10;

/// The largest message that is taken in, in bytes. The kubelet and container runtimes send 32 KiB at most.
const MAX_MESSAGE_BYTES: usize = 256 << 10;

/// The socket of an upgraded connection, on which nothing was said yet, with limits of its own: the library's are
/// 64 MiB for a message.
pub(crate) async fn socket(upgraded: kube::client::Connection) -> WebSocketStream<TokioIo<Upgraded>> {
    let config = WebSocketConfig::default()
        .read_buffer_size(CHUNK)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    WebSocketStream::from_raw_socket(upgraded.into_stream().into_inner(), Role::Client, Some(config)).await
}
