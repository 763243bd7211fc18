//! Ports of this machine that lead to a pod.
//!
//! They are bound on the loopback addresses alone, IPv4 and IPv6 at the same number: a browser may
//! take either for `localhost`, and must not meet somebody else's server there. Each connection has
//! a WebSocket of its own, so one that is slow or broken does not disturb the others.

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

use super::port::{carry, passes};

/// Connections of one forward at once. More of them wait to be accepted.
const MOST_CONNECTIONS: usize = 256;

/// Connections being opened at once: each is a TLS handshake with the API server.
const MOST_OPENING: usize = 16;

/// Times a connection is tried, as the API server may be busy or away for a moment.
const TRIES: u32 = 4;

/// What is told of troubles before somebody listens.
const MOST_TROUBLES: usize = 64;

/// Listeners that nobody serves yet.
pub(crate) struct Listening {
    pub(crate) ports: Vec<PortPair>,
    listeners: Vec<(TcpListener, u16)>,
}

/// Opens the way to one port of the pod.
pub(crate) type Opener<S> =
    Arc<dyn Fn(u16) -> BoxFuture<'static, Result<WebSocketStream<S>, ApiError>> + Send + Sync>;

/// Binds every port, or none.
pub(crate) async fn bind(wanted: &[PortPair]) -> Result<Listening, ApiError> {
    check_ports(wanted)?;
    let mut listening = Listening { ports: Vec::new(), listeners: Vec::new() };
    for pair in wanted {
        let (listeners, local) = both(pair.local).await.map_err(|error| taken(pair.local, &error))?;
        listening.ports.push(PortPair { local, ..*pair });
        listening.listeners.extend(listeners.into_iter().map(|listener| (listener, pair.remote)));
    }
    Ok(listening)
}

/// Both loopback addresses at one port; where the machine has no IPv6, one.
async fn both(port: u16) -> io::Result<(Vec<TcpListener>, u16)> {
    const TRIES: usize = 32;
    let mut tries = if port == 0 { TRIES } else { 1 };
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

fn taken(port: u16, error: &io::Error) -> ApiError {
    let message = match error.kind() {
        io::ErrorKind::AddrInUse => format!("port {port} of this machine is taken"),
        io::ErrorKind::PermissionDenied => format!("port {port} of this machine is not yours to open"),
        _ => format!("port {port} of this machine cannot be opened: {error}"),
    };
    ApiError::new(ErrorCode::Failed, message)
}

impl Listening {
    /// Serves until `gone` says why the pod is, or the forward is dropped. Must be called within a
    /// tokio runtime. `place` is the pod as a person would call it; `held` is dropped at the end.
    pub(crate) fn serve<S>(
        self,
        place: String,
        open: Opener<S>,
        gone: BoxFuture<'static, ApiError>,
        held: impl Send + 'static,
    ) -> PortForward
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let Self { ports, listeners } = self;
        let (tell, troubles) = mpsc::channel(MOST_TROUBLES);
        let shared = Arc::new(Shared {
            place,
            open,
            tell,
            connections: Arc::new(Semaphore::new(MOST_CONNECTIONS)),
            opening: Semaphore::new(MOST_OPENING),
        });
        let mut tasks = JoinSet::new();
        for (listener, remote) in listeners {
            tasks.spawn(accept(listener, remote, Arc::clone(&shared)));
        }
        // Dropping the stream drops the tasks, and with them listeners and connections.
        let state = Some((troubles, tasks, gone.fuse(), held));
        let troubles = stream::unfold(state, |state| async move {
            let (mut troubles, tasks, mut gone, held) = state?;
            tokio::select! {
                biased;
                trouble = troubles.recv() => match trouble? {
                    end @ Trouble::End(_) => Some((end, None)),
                    trouble => Some((trouble, Some((troubles, tasks, gone, held)))),
                },
                why = &mut gone => Some((Trouble::End(why), None)),
            }
        });
        PortForward { ports, troubles: troubles.boxed() }
    }
}

struct Shared<S> {
    place: String,
    open: Opener<S>,
    tell: mpsc::Sender<Trouble>,
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
            Err(error) if passes(&error) => tokio::time::sleep(Duration::from_millis(50)).await,
            Err(error) => {
                let message = format!("no connection can be taken any more: {error}");
                let _closed = shared.tell.send(Trouble::End(ApiError::new(ErrorCode::Failed, message))).await;
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
        let carried = match self.opened(remote).await {
            Ok(socket) => carry(socket, remote, &self.place, local).await,
            Err(error) => Err(error),
        };
        if let Err(error) = carried {
            let over =
                matches!(error.code, ErrorCode::NotFound | ErrorCode::Forbidden | ErrorCode::Unauthenticated);
            let trouble = if over { Trouble::End(error) } else { Trouble::Connection(error) };
            let _closed = self.tell.send(trouble).await;
        }
    }

    async fn opened(&self, remote: u16) -> Result<WebSocketStream<S>, ApiError> {
        let mut tries = 0;
        loop {
            tries += 1;
            let opened = match self.opening.acquire().await {
                Ok(_permit) => (self.open)(remote).await,
                Err(_) => return Err(ApiError::new(ErrorCode::Failed, "the port-forward has ended")),
            };
            match opened {
                Err(error)
                    if tries < TRIES
                        && matches!(error.code, ErrorCode::Unreachable | ErrorCode::TimedOut) =>
                {
                    tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                }
                opened => return opened,
            }
        }
    }
}
