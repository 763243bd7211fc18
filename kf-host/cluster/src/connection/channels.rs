//! The channel protocols that a WebSocket is offered with.

use http::Request;
use http::header::{HeaderValue, SEC_WEBSOCKET_PROTOCOL};
use kube::client::Body;

/// Which protocols a WebSocket may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Channels {
    Any,
    /// Only those that can say that stdin has ended.
    WithClose,
}

/// The version that can close a channel; Kubernetes has it since 1.30.
const CLOSING: HeaderValue = HeaderValue::from_static("v5.channel.k8s.io");

impl Channels {
    /// A client that offers them and no others. A server picks one before it starts the command, and refuses the
    /// WebSocket where it speaks none of those that are offered: so nothing is started that could not be ended.
    ///
    /// kube 5.0 always offers version 4 as well and has no setting for it, so its header is replaced on the way out.
    pub(super) fn client(self, client: kube::Client) -> kube::Client {
        if self == Self::Any {
            return client;
        }
        let service = tower::service_fn(move |mut request: Request<Body>| {
            let client = client.clone();
            request.headers_mut().insert(SEC_WEBSOCKET_PROTOCOL, CLOSING);
            async move { client.send(request).await }
        });
        kube::Client::new(service, "default")
    }
}
