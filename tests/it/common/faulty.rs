//! An API server of which parts fail, as a test says.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Home;
use super::requests::{self, Request, accept_websocket};

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
    pub fn serve(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let asked = Arc::<Mutex<Vec<String>>>::default();
        let log = Arc::clone(&asked);
        let url = requests::serve(move |stream| answer_all(stream, &answer, &log));
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
    answer: &dyn Fn(&Request) -> Answer,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(asked) = Request::read(&mut reader) {
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
                accept_websocket(stream, asked.websocket_key().unwrap_or_default(), protocol)?;
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
