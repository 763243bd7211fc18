//! An API server that sends a command as much data as it can.
//!
//! Requests that kf makes for itself get normal responses, so that the command runs.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use super::requests::{self, Request, accept_websocket};

/// What it does to a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Payload {
    /// Nothing: a normal response.
    None,
    /// Two million items, or fields.
    Items,
    /// Objects with as many values as kf parses.
    Values,
    /// Long strings.
    Text,
    /// Numbers that get longer when they are serialized again.
    Numbers,
    /// A response that never ends.
    Endless,
    /// One byte in each chunk.
    Bytes,
    /// An error with a million causes.
    Error,
    /// Long headers.
    Headers,
}

pub const PAYLOADS: [Payload; 9] = [
    Payload::None,
    Payload::Items,
    Payload::Values,
    Payload::Text,
    Payload::Numbers,
    Payload::Endless,
    Payload::Bytes,
    Payload::Error,
    Payload::Headers,
];

const MIB: usize = 1 << 20;

/// Starts one and returns its URL.
pub fn serve(payload: Payload) -> String {
    requests::serve(move |stream| answer_all(stream, payload))
}

fn answer_all(stream: &TcpStream, payload: Payload) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        let is_commands = request.header("user-agent").is_some_and(|agent| agent.contains("plugin/"));
        let payload = if is_commands { payload } else { Payload::None };
        let path = &request.path;
        match request.websocket_key() {
            Some(_) if payload == Payload::Error => say(stream, "403 Forbidden", &error(path))?,
            Some(key) => return websocket(stream, key, path, payload),
            None if request.query.contains("watch=true") => return watch(stream, payload),
            None if path.ends_with("/log") => return log(stream, payload),
            None => document(stream, &request, payload)?,
        }
    }
    Ok(())
}

fn say(mut stream: &TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn document(mut stream: &TcpStream, request: &Request, payload: Payload) -> std::io::Result<()> {
    let normal = normal(request);
    let is_list = request.query.contains("limit=");
    let object = |spec: &str| normal.replacen('{', &format!("{{\"spec\":{spec},"), 1);
    let list = |item: &str, count: usize| {
        format!("{{\"metadata\":{{}},\"items\":[{}]}}", vec![item; count].join(","))
    };
    match payload {
        Payload::None => say(stream, "200 OK", &normal),
        Payload::Items if is_list => say(stream, "200 OK", &list("{}", 2_000_000)),
        Payload::Items => say(stream, "200 OK", &object(&format!("[{}0]", "0,".repeat(2_000_000)))),
        Payload::Values if is_list => {
            say(stream, "200 OK", &list(&format!("[{}0]", "{\"\":0},".repeat(17_000)), 20))
        }
        // Also as a discovery document, with as many kinds and versions.
        Payload::Values => {
            let kind = |n| format!("{{\"name\":\"a{n}\",\"kind\":\"A{n}\",\"namespaced\":true}}");
            let kinds: Vec<String> = (0..4_000).map(kind).collect();
            let bomb = format!("[{}0]", "{\"\":0},".repeat(10_000));
            let versions = "{\"version\":\"v1\"}";
            let more =
                format!("\"versions\":[{versions}],\"resources\":[{}],\"spec\":{bomb},", kinds.join(","));
            say(stream, "200 OK", &normal.replacen('{', &format!("{{{more}"), 1))
        }
        Payload::Text if is_list => {
            say(stream, "200 OK", &list(&format!("{{\"a\":\"{}\"}}", "x".repeat(3 * MIB)), 5))
        }
        Payload::Text => say(stream, "200 OK", &object(&format!("\"{}\"", "x".repeat(3 * MIB)))),
        Payload::Numbers if is_list => {
            say(stream, "200 OK", &list(&format!("[{}0]", "1e15,".repeat(6_000)), 500))
        }
        Payload::Numbers => say(stream, "200 OK", &object(&format!("[{}0]", "1e15,".repeat(40_000)))),
        Payload::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{{\"items\":[")?;
            loop {
                stream.write_all("{\"a\":0},".repeat(8_000).as_bytes())?;
            }
        }
        Payload::Bytes => {
            write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let body = object(&format!("\"{}\"", "x".repeat(50 << 10)));
            for part in body.as_bytes().chunks(1 << 16) {
                let chunks: Vec<u8> =
                    part.iter().flat_map(|b| [b'1', b'\r', b'\n', *b, b'\r', b'\n']).collect();
                stream.write_all(&chunks)?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        Payload::Error => say(stream, "422 Unprocessable Entity", &error(&request.path)),
        Payload::Headers => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n", normal.len())?;
            for n in 0..90 {
                write!(stream, "warning: 299 - \"{n}{}\"\r\n", "w".repeat(4_000))?;
            }
            write!(stream, "\r\n{normal}")
        }
    }
}

/// A `Status` of the largest size accepted, and larger.
fn error(path: &str) -> String {
    let causes = if path.contains("many") { 200 } else { 4 * MIB };
    let causes = "{},".repeat(causes);
    let message = "m".repeat(MIB);
    format!(
        "{{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"{message}\",\"details\":{{\"causes\":[{causes}{{}}]}}}}"
    )
}

/// A normal response, as far as kf reads it.
fn normal(request: &Request) -> String {
    let audiences = if request.path.ends_with("/token") {
        r#","spec":{"audiences":["own"]},"status":{"token":"abc.def"}"#
    } else {
        r#","status":{"allowed":true,"phase":"Running","userInfo":{"username":"ada"}}"#
    };
    let items = if request.method == "GET" { r#","items":[]"# } else { "" };
    format!("{{\"metadata\":{{\"name\":\"web\",\"uid\":\"1\",\"resourceVersion\":\"1\"}}{audiences}{items}}}")
}

fn watch(mut stream: &TcpStream, payload: Payload) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
    let event = |object: &str| {
        format!(
            "{{\"type\":\"ADDED\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"2\"}},\"spec\":{object}}}}}\n"
        )
    };
    let text = match payload {
        Payload::None => return wait(stream),
        // An event that never ends.
        Payload::Endless | Payload::Error => loop {
            stream.write_all(&[b'x'; 1 << 16])?;
        },
        Payload::Items | Payload::Headers => event("0"),
        Payload::Values | Payload::Numbers => event(&format!("[{}0]", "{\"\":0},".repeat(17_000))),
        Payload::Text => event(&format!("\"{}\"", "x".repeat(4 * MIB - 1_000))),
        // All but the last byte.
        Payload::Bytes => {
            let begin = event(&format!("\"{}\"", "x".repeat(4 * MIB - 1_000)));
            stream.write_all(&begin.as_bytes()[..begin.len() - 1])?;
            return wait(stream);
        }
    };
    loop {
        stream.write_all(text.as_bytes())?;
    }
}

fn log(mut stream: &TcpStream, payload: Payload) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
    let line = if payload == Payload::Endless { [b'x'; 1 << 16] } else { [b'\n'; 1 << 16] };
    // Finite, for a test that waits for the end.
    for _ in 0..40 {
        stream.write_all(&line)?;
    }
    Ok(())
}

/// Waits until the other end closes.
fn wait(mut stream: &TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

fn websocket(mut stream: &TcpStream, key: &str, path: &str, payload: Payload) -> std::io::Result<()> {
    accept_websocket(stream, key, "v5.channel.k8s.io")?;
    let mut message = |channel: u8, data: &[u8]| -> std::io::Result<()> {
        let length = u64::try_from(data.len() + 1).unwrap();
        let mut frame = vec![0x82, 127];
        frame.extend(length.to_be_bytes());
        frame.push(channel);
        frame.extend(data);
        stream.write_all(&frame)
    };
    if path.ends_with("/portforward") {
        message(0, &[80, 0])?;
        message(1, &[80, 0])?;
        let head = match payload {
            Payload::Headers => format!("x: {}\r\n", "x".repeat(3_000)).repeat(60),
            _ => String::new(),
        };
        message(0, format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes())?;
        let chunk = vec![b'x'; 32 << 10];
        let megabytes = if payload == Payload::Endless { 1_000 } else { 16 };
        for _ in 0..32 * megabytes - 1 {
            message(0, &chunk)?;
        }
        return Ok(());
    }
    match payload {
        // A message that never ends.
        Payload::Endless | Payload::Error => {
            let mut head = vec![0x82, 127];
            head.extend((1_u64 << 40).to_be_bytes());
            stream.write_all(&head)?;
            loop {
                stream.write_all(&[1; 1 << 16])?;
            }
        }
        Payload::None => {
            message(3, b"{\"status\":\"Success\"}")?;
            wait(stream)
        }
        // A status of the largest size accepted.
        Payload::Items | Payload::Values => {
            let causes = "{},".repeat(80_000);
            message(
                3,
                format!("{{\"status\":\"Failure\",\"details\":{{\"causes\":[{causes}{{}}]}}}}").as_bytes(),
            )?;
            wait(stream)
        }
        Payload::Text | Payload::Numbers | Payload::Bytes | Payload::Headers => {
            let data = vec![b'x'; (256 << 10) - 1];
            for _ in 0..400 {
                message(1, &data)?;
            }
            message(3, b"{\"status\":\"Success\"}")?;
            wait(stream)
        }
    }
}
