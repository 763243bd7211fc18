//! HTTP for fake API servers, read by hand so that a test can send any response.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

/// A request without its body, which is read and discarded.
pub struct Request {
    pub method: String,
    pub path: String,
    pub query: String,
    /// Names are in lower case.
    headers: Vec<(String, String)>,
}

impl Request {
    /// The next request of a connection; none at its end.
    pub fn read(stream: &mut BufReader<&TcpStream>) -> Option<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if stream.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let mut words = lines.first()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |line: &String| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned()));
        let headers = lines.iter().filter_map(header).collect();
        let request = Self { method, path: path.to_owned(), query: query.to_owned(), headers };
        let length = request.header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        std::io::copy(&mut stream.take(length), &mut std::io::sink()).ok()?;
        Some(request)
    }

    /// A header, by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// Set if the request asks for a WebSocket.
    pub fn websocket_key(&self) -> Option<&str> {
        self.header("sec-websocket-key")
    }
}

/// Serves each connection on its own thread and returns the URL. Clients may disconnect early.
pub fn serve(answer: impl Fn(&TcpStream) -> std::io::Result<()> + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let answer = Arc::clone(&answer);
            thread::spawn(move || {
                let _gone = answer(&stream);
            });
        }
    });
    url
}

/// Accepts a WebSocket with this protocol.
pub fn accept_websocket(mut stream: &TcpStream, key: &str, protocol: &str) -> std::io::Result<()> {
    write!(
        stream,
        "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-accept: {}\r\nsec-websocket-protocol: {protocol}\r\n\r\n",
        derive_accept_key(key.as_bytes())
    )
}
