//! The channel protocols that a WebSocket handshake offers.

use http::Request;
use http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use kube::client::Body;

/// The protocols to offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Any,
    /// Only those that can close stdin.
    WithClose,
}

/// The version that can close a channel, since Kubernetes 1.30.
const V5_PROTOCOL: HeaderValue = HeaderValue::from_static("v5.channel.k8s.io");

impl Channels {
    /// A client that offers only these protocols. A server that supports none of them refuses the WebSocket before it
    /// starts the command, so no command is left waiting for the end of its stdin.
    ///
    /// kube 5.0 always offers version 4 too and has no setting for it, so its header is replaced.
    pub(super) fn client(self, client: kube::Client) -> kube::Client {
        if self == Self::Any {
            return client;
        }
        let service = tower::service_fn(move |mut request: Request<Body>| {
            let client = client.clone();
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, V5_PROTOCOL);
            async move { client.send(request).await }
        });
        kube::Client::new(service, "default")
    }
}
