//! Local ports that are forwarded to a pod.
//!
//! They are bound to the loopback addresses only, with the same number for IPv4 and IPv6: a browser may use either for
//! `localhost`, and must not reach another user's server there. Each connection has its own WebSocket, so a slow or
//! broken one does not affect the others.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::{BoxFuture, FutureExt as _};
use futures_util::stream;
use kf_core::api::{ApiError, ErrorCode, PortForward, PortPair, Trouble};
use kf_core::request::check_ports;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;

use super::port::{carry, is_transient};

/// The maximum number of concurrent connections of one forward. Further ones wait to be accepted.
const MAX_CONNECTIONS: usize = 256;

/// The maximum number of connections being opened: each is a TLS handshake with the API server.
const MAX_OPENING: usize = 16;

/// How often to try to open a connection, as the API server may be briefly unavailable.
const MAX_TRIES: u32 = 4;

/// The maximum number of troubles that wait to be read.
const MAX_TROUBLES: usize = 64;

/// Bound listeners that are not served yet.
pub(crate) struct Listening {
    pub(crate) ports: Vec<PortPair>,
    listeners: Vec<(TcpListener, u16)>,
}

/// Opens a connection to one port of the pod.
pub(crate) type Opener<S> =
    Arc<dyn Fn(u16) -> BoxFuture<'static, Result<WebSocketStream<S>, ApiError>> + Send + Sync>;

/// Binds all ports, or none.
pub(crate) async fn bind(ports: &[PortPair]) -> Result<Listening, ApiError> {
    check_ports(ports)?;
    let mut listening = Listening { ports: Vec::new(), listeners: Vec::new() };
    for pair in ports {
        let (listeners, local) =
            bind_loopback(pair.local).await.map_err(|error| bind_error(pair.local, &error))?;
        listening.ports.push(PortPair { local, ..*pair });
        listening.listeners.extend(listeners.into_iter().map(|listener| (listener, pair.remote)));
    }
    Ok(listening)
}

/// Binds a port on both loopback addresses, or on IPv4 alone if the machine has no IPv6.
async fn bind_loopback(port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    const MAX_TRIES: usize = 32;
    let mut tries = if port == 0 { MAX_TRIES } else { 1 };
    loop {
        let four = TcpListener::bind(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)).await?;
        let bound = four.local_addr()?.port();
        match TcpListener::bind(SocketAddr::new(IpAddr::V6(Ipv6Addr::LOCALHOST), bound)).await {
            Ok(six) => return Ok((vec![four, six], bound)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tries -= 1;
                if tries == 0 {
                    return Err(error);
                }
            }
            Err(_) => return Ok((vec![four], bound)),
        }
    }
}

fn bind_error(port: u16, error: &io::Error) -> ApiError {
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => format!("local port {port} is already in use"),
        io::ErrorKind::PermissionDenied => format!("cannot open local port {port}: permission denied"),
        _ => format!("cannot open local port {port}: {error}"),
    };
    ApiError::new(ErrorCode::Failed, message)
}

impl Listening {
    /// Serves until `pod_gone` resolves, or the forward is dropped. Must be called within a tokio runtime. `place` is the
    /// display name of the pod; `held` is dropped at the end.
    pub(crate) fn serve<S>(
        self,
        place: String,
        open: Opener<S>,
        pod_gone: BoxFuture<'static, ApiError>,
        held: impl Send + 'static,
    ) -> PortForward
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { ports, listeners } = self;
        let (trouble_sender, troubles) = mpsc::channel(MAX_TROUBLES);
        let shared = Arc::new(Shared {
            place,
            open,
            trouble_sender,
            connections: Arc::new(Semaphore::new(MAX_CONNECTIONS)),
            opening: Semaphore::new(MAX_OPENING),
        });
        let mut tasks = JoinSet::new();
        for (listener, remote) in listeners {
            tasks.spawn(accept(listener, remote, Arc::clone(&shared)));
        }
        // Dropping the stream drops the tasks, and with them the listeners and connections.
        let state = Some((troubles, tasks, pod_gone.fuse(), held));
        let troubles = stream::unfold(state, |state| async move {
            let (mut troubles, tasks, mut pod_gone, held) = state?;
            tokio::select! {
                biased;
                trouble = troubles.recv() => match trouble? {
                    end @ Trouble::End(_) => Some((end, None)),
                    trouble => Some((trouble, Some((troubles, tasks, pod_gone, held)))),
                },
                why = &mut pod_gone => Some((Trouble::End(why), None)),
            }
        });
        PortForward { ports, troubles: troubles.boxed() }
    }
}

struct Shared<S> {
    place: String,
    open: Opener<S>,
    trouble_sender: mpsc::Sender<Trouble>,
    connections: Arc<Semaphore>,
    opening: Semaphore,
}

async fn accept<S>(listener: TcpListener, remote: u16, shared: Arc<Shared<S>>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    // Dropped with this task, which ends every connection.
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&shared.connections).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((local, _)) => {
                let shared = Arc::clone(&shared);
                connections.spawn(async move {
                    shared.connection(local, remote).await;
                    drop(permit);
                });
            }
            Err(error) if is_transient(&error) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => {
                let message = format!("cannot accept connections: {error}");
                let _closed =
                    shared.trouble_sender.send(Trouble::End(ApiError::new(ErrorCode::Failed, message))).await;
                return;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

impl<S> Shared<S>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    async fn connection(&self, local: TcpStream, remote: u16) {
        let _slower = local.set_nodelay(true);
        let carried = match self.open_with_retries(remote).await {
            Ok(socket) => carry(socket, remote, &self.place, local).await,
            Err(error) => Err(error),
        };
        if let Err(error) = carried {
            let over =
                matches!(error.code, ErrorCode::NotFound | ErrorCode::Forbidden | ErrorCode::Unauthenticated);
            let trouble = if over { Trouble::End(error) } else { Trouble::Connection(error) };
            let _closed = self.trouble_sender.send(trouble).await;
        }
    }

    async fn open_with_retries(&self, remote: u16) -> Result<WebSocketStream<S>, ApiError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let opened = match self.opening.acquire().await {
                Ok(_permit) => (self.open)(remote).await,
                Err(_) => return Err(ApiError::new(ErrorCode::Failed, "the port-forward has ended")),
            };
            match opened {
                Err(error)
                    if tries < MAX_TRIES
                        && matches!(error.code, ErrorCode::Unreachable | ErrorCode::TimedOut) =>
                {
                    tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                }
                opened => return opened,
            }
        }
    }
}
