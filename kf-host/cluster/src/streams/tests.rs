//! Sessions and ports against the other end of a WebSocket that is played by the test.

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

use super::channels::on;
use super::listen::Opener;
use super::port::carry;
use super::*;

type Socket = WebSocketStream<DuplexStream>;

/// How long a busy machine may take for what has to come.
const PATIENCE: Duration = Duration::from_secs(300);

/// Both ends of a WebSocket; ours first.
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

async fn say(server: &mut Socket, channel: u8, data: &[u8]) {
    server.send(Message::Binary(on(channel, data))).await.unwrap();
}

async fn next(session: &mut Session) -> Result<SessionOutput, ApiError> {
    session.output.next().await.unwrap()
}

#[tokio::test]
async fn a_session_tells_what_is_said_and_the_exit_code() {
    let (mut session, mut server) = started(false).await;
    for channel in 0..4 {
        say(&mut server, channel, b"").await;
    }
    say(&mut server, 1, b"out\x00\xff").await;
    say(&mut server, 2, b"err").await;
    let status = br#"{"status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"7"}]}}"#;
    say(&mut server, 3, status).await;
    assert_eq!(next(&mut session).await.unwrap(), SessionOutput::Stdout(Bytes::from_static(b"out\x00\xff")));
    assert_eq!(next(&mut session).await.unwrap(), SessionOutput::Stderr(Bytes::from_static(b"err")));
    assert_eq!(next(&mut session).await.unwrap(), SessionOutput::Exited(7));
    assert!(session.output.next().await.is_none());
}

#[tokio::test]
async fn a_session_that_breaks_off_is_no_success() {
    let (mut session, mut server) = started(false).await;
    say(&mut server, 1, b"half").await;
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
    let mut heard = Vec::new();
    while heard.len() < 3 {
        if let Message::Binary(message) = server.next().await.unwrap().unwrap() {
            heard.push(message);
        }
    }
    assert!(heard[0].starts_with(b"\x04{"));
    assert_eq!(heard[1], b"\x00ls\n"[..]);
    assert_eq!(heard[2], b"\xff\x00"[..]);
}

/// Everything in flight is more than any buffer holds: with one loop for both directions this
/// would stop for ever. The clock is paused, so time passes only once nobody can go on.
#[tokio::test(start_paused = true)]
async fn what_is_typed_and_what_is_said_do_not_wait_for_each_other() {
    const SIZE: usize = 3 << 20;
    let (session, server) = started(false).await;
    let Session { mut output, input } = session;
    let (mut sink, mut stream) = server.split();
    let echo = tokio::spawn(async move {
        let mut echoed = 0;
        while echoed < SIZE {
            let Message::Binary(message) = stream.next().await.unwrap().unwrap() else { continue };
            echoed += message.len() - 1;
            sink.send(Message::Binary(on(1, &message[1..]))).await.unwrap();
        }
        sink.send(Message::Binary(on(3, br#"{"status":"Success"}"#))).await.unwrap();
        sink
    });
    let typing = tokio::spawn(async move {
        input.send(SessionInput::Data(Bytes::from(vec![7; SIZE]))).await.unwrap();
        input
    });
    // Nobody listens until every buffer is full.
    tokio::time::sleep(Duration::from_millis(1)).await;
    let mut heard = 0;
    loop {
        match output.next().await.unwrap().unwrap() {
            SessionOutput::Stdout(data) => heard += data.len(),
            other => {
                assert_eq!(other, SessionOutput::Exited(0));
                break;
            }
        }
    }
    assert_eq!(heard, SIZE);
    drop((echo.await.unwrap(), typing.await.unwrap()));
}

#[tokio::test]
async fn dropping_a_session_closes_its_connection() {
    let (session, mut server) = started(false).await;
    let Session { output, input } = session;
    drop(output);
    assert!(!matches!(server.next().await, Some(Ok(_))));
    let refused = async { while input.send(SessionInput::End).await.is_ok() {} };
    tokio::time::timeout(PATIENCE, refused).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_terminal_does_not_wait_for_ever_for_a_dead_server() {
    let (mut session, _server) = started(true).await;
    assert_eq!(next(&mut session).await.unwrap_err().code, ErrorCode::Unreachable);
}

/// A pod's side of a port: names it on both channels.
async fn named(server: &mut Socket, port: u16) {
    say(server, 0, &port.to_le_bytes()).await;
    say(server, 1, &port.to_le_bytes()).await;
}

#[tokio::test]
async fn a_port_carries_bytes_until_the_pod_closes() {
    let (here, mut server) = sockets().await;
    let (mut local, other) = tokio::io::duplex(64);
    let carried = tokio::spawn(async move { carry(here, 8080, "pod web", other).await });
    named(&mut server, 8080).await;
    local.write_all(b"GET").await.unwrap();
    let heard = loop {
        if let Message::Binary(message) = server.next().await.unwrap().unwrap() {
            break message;
        }
    };
    assert_eq!(heard, b"\x00GET"[..]);
    say(&mut server, 0, b"200").await;
    server.close(None).await.unwrap();
    let mut answer = Vec::new();
    local.read_to_end(&mut answer).await.unwrap();
    assert_eq!(answer, b"200");
    carried.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_port_that_refuses_says_so_once() {
    let (here, mut server) = sockets().await;
    let (_local, other) = tokio::io::duplex(64);
    named(&mut server, 8080).await;
    say(&mut server, 1, b"dial tcp4 127.0.0.1:8080: connect: connection refused").await;
    let error = carry(here, 8080, "pod web", other).await.unwrap_err();
    assert_eq!(error.message, "nothing listens on port 8080 of pod web");
}

/// A client that has said all it wants still hears the answer; a pod that says nothing is left.
#[tokio::test(start_paused = true)]
async fn the_end_of_our_side_is_not_the_end_of_the_pod_s() {
    let (here, mut server) = sockets().await;
    let (mut local, other) = tokio::io::duplex(64);
    let carried = tokio::spawn(async move { carry(here, 8080, "pod web", other).await });
    named(&mut server, 8080).await;
    local.shutdown().await.unwrap();
    tokio::time::sleep(Duration::from_secs(2)).await;
    say(&mut server, 0, b"late").await;
    let mut answer = [0; 4];
    local.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, b"late");
    carried.await.unwrap().unwrap();
}

/// A pod whose ports repeat what they hear. One that is odd refuses.
fn echoing() -> Opener<DuplexStream> {
    Arc::new(|port| {
        let opening = async move {
            let (here, mut server) = sockets().await;
            tokio::spawn(async move {
                named(&mut server, port).await;
                if port % 2 == 1 {
                    say(&mut server, 1, b"connection refused").await;
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
async fn many_connections_at_once_are_all_served() {
    let mut forward = forward(&[ANY]).await;
    let port = forward.ports[0].local;
    let asked = (0..200u32).map(|number| {
        tokio::spawn(async move {
            let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
            let word = format!("request {number:08}");
            stream.write_all(word.as_bytes()).await.unwrap();
            let mut answer = vec![0; word.len()];
            stream.read_exact(&mut answer).await.unwrap();
            assert_eq!(answer, word.as_bytes());
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
async fn a_refused_connection_is_told_and_the_others_go_on() {
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
async fn dropping_a_forward_closes_ports_and_connections() {
    let forward = forward(&[ANY]).await;
    let port = forward.ports[0].local;
    let mut open = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    open.write_all(b"x").await.unwrap();
    drop(forward);
    assert!(matches!(open.read(&mut [0; 8]).await, Ok(0) | Err(_)));
    assert!(TcpStream::connect(("127.0.0.1", port)).await.is_err());
}

#[tokio::test]
async fn the_pod_s_end_is_the_forward_s() {
    let gone = ApiError::new(ErrorCode::NotFound, "gone");
    let listening = bind(&[ANY]).await.unwrap();
    let mut forward =
        listening.serve("pod web".into(), echoing(), std::future::ready(gone.clone()).boxed(), ());
    assert_eq!(forward.troubles.next().await, Some(Trouble::End(gone)));
    assert_eq!(forward.troubles.next().await, None);
    assert!(TcpStream::connect(("127.0.0.1", forward.ports[0].local)).await.is_err());
}

#[tokio::test]
async fn ports_are_bound_on_loopback_all_or_none() {
    let first = forward(&[ANY]).await;
    let taken = PortPair { local: first.ports[0].local, remote: 80 };
    let error = bind(&[ANY, taken]).await.err().unwrap();
    assert_eq!(error.message, format!("port {} of this machine is taken", taken.local));
    for wrong in [&[][..], &[PortPair { local: 0, remote: 0 }], &[ANY; 17]] {
        assert_eq!(bind(wrong).await.err().unwrap().code, ErrorCode::Invalid);
    }
}

#[test]
fn a_page_is_one_of_this_machine() {
    let port = PortPair { local: 8888, remote: 80 };
    assert_eq!(port.page("/lab?token=x").unwrap(), "http://localhost:8888/lab?token=x");
    for path in ["", "lab", "//evil.example", "@evil.example", "/a b", "/a\n", ":80@evil.example/", "/#x"] {
        assert!(port.page(path).is_err(), "{path:?}");
    }
}
