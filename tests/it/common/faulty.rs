//! An API server of which parts fail, as a test says.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::Home;

/// A request, as far as an answer depends on it.
pub struct Asked {
    pub method: String,
    pub path: String,
    pub query: String,
    /// The channel protocols that are offered for a WebSocket.
    pub protocols: Option<String>,
    key: Option<String>,
}

pub enum Answer {
    Json(u16, Value),
    /// With `Retry-After`.
    Busy(u16, u64),
    Text(u16, &'static str),
    /// A WebSocket of this protocol, over which a line comes and then nothing.
    Session(&'static str),
    /// An answer that begins with this and does not end.
    Open(&'static str),
}

impl Answer {
    pub fn status(code: u16, reason: &str, message: &str) -> Self {
        Self::Json(
            code,
            json!({"kind": "Status", "status": "Failure", "code": code, "reason": reason, "message": message}),
        )
    }

    pub fn missing() -> Self {
        Self::status(404, "NotFound", "the server could not find the requested resource")
    }
}

/// A running server.
pub struct Faulty {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    pub fn serve(answer: impl Fn(&Asked) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (asked, answer) = (Arc::<Mutex<Vec<String>>>::default(), Arc::new(answer));
        let log = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
                thread::spawn(move || {
                    let _gone = answer_all(&stream, &*answer, &log);
                });
            }
        });
        Self { url, asked }
    }

    /// A kubeconfig that names it, and nobody: without TLS no credentials would be sent.
    pub fn kubeconfig(&self, home: &Home) -> String {
        let file = home.path().join("kubeconfig");
        let text = format!(
            "apiVersion: v1
kind: Config
current-context: lab
clusters: [{{name: lab, cluster: {{server: '{}'}}}}]
users: [{{name: nobody, user: {{}}}}]
contexts: [{{name: lab, context: {{cluster: lab, user: nobody, namespace: team-a}}}}]
",
            self.url
        );
        fs_err::write(&file, text).unwrap();
        file.display().to_string()
    }

    /// Method and path of what was asked so far, with the query where there is one.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn answer_all(
    stream: &TcpStream,
    answer: &dyn Fn(&Asked) -> Answer,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = read(&mut reader) {
        let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
        log.lock().unwrap().push(format!("{} {}{query}", asked.method, asked.path));
        let mut writer = stream;
        match answer(&asked) {
            Answer::Json(code, body) => say(stream, code, "", &body.to_string())?,
            Answer::Text(code, body) => say(stream, code, "", body)?,
            Answer::Busy(code, after) => {
                let body =
                    json!({"kind": "Status", "status": "Failure", "code": code, "message": "too busy"});
                say(stream, code, &format!("retry-after: {after}\r\n"), &body.to_string())?;
            }
            Answer::Session(protocol) => {
                let key = asked.key.unwrap_or_default();
                write!(
                    writer,
                    "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
                     sec-websocket-accept: {}\r\nsec-websocket-protocol: {protocol}\r\n\r\n",
                    derive_accept_key(key.as_bytes())
                )?;
                // One frame: binary, nine bytes, on stdout.
                writer.write_all(b"\x82\x09\x01started\n")?;
                return std::io::copy(&mut reader, &mut std::io::sink()).map(drop);
            }
            Answer::Open(begin) => {
                write!(writer, "HTTP/1.1 200 OK\r\n\r\n{begin}")?;
                return std::io::copy(&mut reader, &mut std::io::sink()).map(drop);
            }
        }
    }
    Ok(())
}

fn say(mut stream: &TcpStream, code: u16, headers: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {code} X\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
}

fn read(stream: &mut BufReader<&TcpStream>) -> Option<Asked> {
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
    let header = |name: &str| {
        let of = |line: &String| line.split_once(": ").map(|(n, v)| (n.to_lowercase(), v.to_owned()));
        lines.iter().filter_map(of).find(|(found, _)| found == name).map(|(_, value)| value)
    };
    let length = header("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
    std::io::copy(&mut stream.take(length), &mut std::io::sink()).ok()?;
    Some(Asked {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        protocols: header("sec-websocket-protocol"),
        key: header("sec-websocket-key"),
    })
}
