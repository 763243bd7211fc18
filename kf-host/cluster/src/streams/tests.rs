//! Tests sessions and ports with a WebSocket whose server side is the test.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use kf_core::api::{
    ApiError, ErrorCode, PortForward, PortPair, Session, SessionInput, SessionOutput, TerminalSize, Trouble,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::Role;

use super::channels::channel_message;
use super::listen::Opener;
use super::port::carry;
use super::*;

type Socket = WebSocketStream<DuplexStream>;

/// A timeout that a busy machine does not reach.
const TIMEOUT: Duration = Duration::from_secs(300);

/// Both ends of a WebSocket, ours first.
async fn sockets() -> (Socket, Socket) {
    let (here, there) = tokio::io::duplex(16 << 10);
    (
        WebSocketStream::from_raw_socket(here, Role::Client, None).await,
        WebSocketStream::from_raw_socket(there, Role::Server, None).await,
    )
}

async fn started(tty: bool) -> (Session, Socket) {
    let (here, there) = sockets().await;
    let settings = SessionSettings { tty, program: Some("sh".into()) };
    (session(here, settings, ()), there)
}

async fn send(server: &mut Socket, channel: u8, data: &[u8]) {
    server.send(Message::Binary(channel_message(channel, data))).await.unwrap();
}

async fn next(session: &mut Session) -> Result<SessionOutput, ApiError> {
    session.output.next().await.unwrap()
}

#[tokio::test]
async fn session_returns_output_and_exit_code() {
    let (mut session, mut server) = started(false).await;
    for channel in 0..4 {
        send(&mut server, channel, b"").await;
    }
    send(&mut server, 1, b"out\x00\xff").await;
    send(&mut server, 2, b"err").await;
    let status = br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
    send(&mut server, 3, status).await;
    assert_eq!(next(&mut session).await.unwrap(), SessionOutput::Stdout(Bytes::from_static(b"out\x00\xff")));
    assert_eq!(next(&mut session).await.unwrap(), SessionOutput::Stderr(Bytes::from_static(b"err")));
    assert_eq!(next(&mut session).await.unwrap(), SessionOutput::Exited(7));
    assert!(session.output.next().await.is_none());
}

#[tokio::test]
async fn broken_session_is_an_error() {
    let (mut session, mut server) = started(false).await;
    send(&mut server, 1, b"half").await;
    drop(server);
    assert!(next(&mut session).await.is_ok());
    assert_eq!(next(&mut session).await.unwrap_err().code, ErrorCode::Unreachable);
    assert!(session.output.next().await.is_none());
}

#[tokio::test]
async fn input_arrives_in_order_and_ends() {
    let (session, mut server) = started(true).await;
    let size = TerminalSize { columns: 80, rows: 24 };
    for input in
        [SessionInput::Resize(size), SessionInput::Data(Bytes::from_static(b"ls\n")), SessionInput::End]
    {
        session.input.send(input).await.unwrap();
    }
    let mut received = Vec::new();
    while received.len() < 3 {
        if let Message::Binary(message) = server.next().await.unwrap().unwrap() {
            received.push(message);
        }
    }
    assert!(received[0].starts_with(b"\x04{"));
    assert_eq!(received[1], b"\x00ls\n"[..]);
    assert_eq!(received[2], b"\xff\x00"[..]);
}

/// The data exceeds all buffers, so one loop for both directions would deadlock. The clock is paused, so time only
/// advances when no task can continue.
#[tokio::test(start_paused = true)]
async fn input_and_output_do_not_block_each_other() {
    const SIZE: usize = 3 << 20;
    let (session, server) = started(false).await;
    let Session { mut output, input } = session;
    let (mut sink, mut stream) = server.split();
    let echo = tokio::spawn(async move {
        let mut echoed = 0;
        while echoed < SIZE {
            let Message::Binary(message) = stream.next().await.unwrap().unwrap() else { continue };
            echoed += message.len() - 1;
            sink.send(Message::Binary(channel_message(1, &message[1..]))).await.unwrap();
        }
        sink.send(Message::Binary(channel_message(3, br#"{"status":"Success"}"#))).await.unwrap();
        sink
    });
    let typing = tokio::spawn(async move {
        input.send(SessionInput::Data(Bytes::from(vec![7; SIZE]))).await.unwrap();
        input
    });
    // Read only once all buffers are full.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut received = 0;
    loop {
        match output.next().await.unwrap().unwrap() {
            SessionOutput::Stdout(data) => received += data.len(),
            other => {
                assert_eq!(other, SessionOutput::Exited(0));
                break;
            }
        }
    }
    assert_eq!(received, SIZE);
    drop((echo.await.unwrap(), typing.await.unwrap()));
}

#[tokio::test]
async fn dropped_session_closes_connection() {
    let (session, mut server) = started(false).await;
    let Session { output, input } = session;
    drop(output);
    assert!(!matches!(server.next().await, Some(Ok(_))));
    let refused = async { while input.send(SessionInput::End).await.is_ok() {} };
    tokio::time::timeout(TIMEOUT, refused).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn session_with_terminal_times_out_without_server() {
    let (mut session, _server) = started(true).await;
    assert_eq!(next(&mut session).await.unwrap_err().code, ErrorCode::Unreachable);
}

/// The first messages of a pod's port, which repeat it on both channels.
async fn named(server: &mut Socket, port: u16) {
    send(server, 0, &port.to_le_bytes()).await;
    send(server, 1, &port.to_le_bytes()).await;
}

#[tokio::test]
async fn port_transfers_bytes_until_pod_closes() {
    let (here, mut server) = sockets().await;
    let (mut local, other) = tokio::io::duplex(64);
    let carried = tokio::spawn(async move { carry(here, 8080, "pod web", other).await });
    named(&mut server, 8080).await;
    local.write_all(b"GET").await.unwrap();
    let received = loop {
        if let Message::Binary(message) = server.next().await.unwrap().unwrap() {
            break message;
        }
    };
    assert_eq!(received, b"\x00GET"[..]);
    send(&mut server, 0, b"200").await;
    server.close(None).await.unwrap();
    let mut answer = Vec::new();
    local.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"200");
    carried.await.unwrap().unwrap();
}

#[tokio::test]
async fn refused_port_is_one_error() {
    let (here, mut server) = sockets().await;
    let (_local, other) = tokio::io::duplex(64);
    named(&mut server, 8080).await;
    send(&mut server, 1, b"dial tcp4 127.0.0.1:8080: connect: connection refused").await;
    let error = carry(here, 8080, "pod web", other).await.unwrap_err();
    assert_eq!(error.message, "nothing listens on port 8080 of pod web");
}

/// A client that has closed its side still receives the response, but does not wait for a silent pod.
#[tokio::test(start_paused = true)]
async fn closing_our_side_does_not_close_side_of_pod() {
    let (here, mut server) = sockets().await;
    let (mut local, other) = tokio::io::duplex(64);
    let carried = tokio::spawn(async move { carry(here, 8080, "pod web", other).await });
    named(&mut server, 8080).await;
    local.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    send(&mut server, 0, b"late").await;
    let mut answer = [0; 4];
    local.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"late");
    carried.await.unwrap().unwrap();
}

/// A pod whose ports echo what they receive. Odd ports refuse connections.
fn echoing() -> Opener<DuplexStream> {
    Arc::new(|port| {
        let opening = async move {
            let (here, mut server) = sockets().await;
            tokio::spawn(async move {
                named(&mut server, port).await;
                if port % 2 == 1 {
                    send(&mut server, 1, b"connection refused").await;
                }
                while let Some(Ok(message)) = server.next().await {
                    if matches!(message, Message::Binary(_)) && server.send(message).await.is_err() {
                        return;
                    }
                }
            });
            Ok(here)
        };
        opening.boxed()
    })
}

async fn forward(ports: &[PortPair]) -> PortForward {
    let listening = bind(ports).await.unwrap();
    listening.serve("pod web".into(), echoing(), std::future::pending().boxed(), ())
}

const ANY: PortPair = PortPair { local: 0, remote: 80 };

#[tokio::test]
async fn concurrent_connections_are_all_served() {
    let mut forward = forward(&[ANY]).await;
    let port = forward.ports[0].local;
    let asked = (0..200u32).map(|number| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let text = format!("request {number:08}");
            stream.write_all(text.as_bytes()).await.unwrap();
            let mut answer = vec![0; text.len()];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, text.as_bytes());
        })
    });
    let asked: Vec<_> = asked.collect();
    let all = futures_util::future::join_all(asked);
    tokio::select! {
        answers = all => assert!(answers.iter().all(Result::is_ok)),
        trouble = forward.troubles.next() => panic!("{trouble:?}"),
    }
}

#[tokio::test]
async fn refused_connection_is_reported_and_others_continue() {
    let mut forward = forward(&[ANY, PortPair { local: 0, remote: 81 }]).await;
    let mut refused = TcpStream::connect(("127.0.0.1", forward.ports[1].local)).await.unwrap();
    let trouble = forward.troubles.next().await.unwrap();
    let Trouble::Connection(error) = trouble else { panic!("{trouble:?}") };
    assert_eq!(error.message, "nothing listens on port 81 of pod web");
    assert_eq!(refused.read(&mut [0]).await.unwrap(), 0);
    let mut good = TcpStream::connect(("127.0.0.1", forward.ports[0].local)).await.unwrap();
    good.write_all(b"x").await.unwrap();
    let mut answer = [0];
    tokio::select! {
        read = good.read_exact(&mut answer) => assert_eq!(read.unwrap(), 1),
        trouble = forward.troubles.next() => panic!("{trouble:?}"),
    }
}

#[tokio::test]
async fn dropped_forward_closes_ports_and_connections() {
    let forward = forward(&[ANY]).await;
    let port = forward.ports[0].local;
    let mut open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    open.write_all(b"x").await.unwrap();
    drop(forward);
    assert!(matches!(open.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn forward_ends_when_pod_is_gone() {
    let gone = ApiError::new(ErrorCode::NotFound, "gone");
    let listening = bind(&[ANY]).await.unwrap();
    let mut forward =
        listening.serve("pod web".into(), echoing(), std::future::ready(gone.clone()).boxed(), ());
    assert_eq!(forward.troubles.next().await, Some(Trouble::End(gone)));
    assert_eq!(forward.troubles.next().await, None);
    assert!(TcpStream::connect(("127.0.0.1", forward.ports[0].local)).await.is_err());
}

#[tokio::test]
async fn ports_are_bound_all_or_none() {
    let first = forward(&[ANY]).await;
    let taken = PortPair { local: first.ports[0].local, remote: 80 };
    let error = bind(&[ANY, taken]).await.err().unwrap();
    assert_eq!(error.message, format!("local port {} is already in use", taken.local));
    for wrong in [&[][..], &[PortPair { local: 0, remote: 0 }], &[ANY; 17]] {
        assert_eq!(bind(wrong).await.err().unwrap().code, ErrorCode::Invalid);
    }
}

#[test]
fn page_url_is_on_localhost() {
    let port = PortPair { local: 8888, remote: 80 };
    assert_eq!(port.page("/lab?token=x").unwrap(), "http://localhost:8888/lab?token=x");
    for path in ["", "lab", "//evil.example", "@evil.example", "/a b", "/a\n", ":80@evil.example/", "/#x"] {
        assert!(port.page(path).is_err(), "{path:?}");
    }
}
