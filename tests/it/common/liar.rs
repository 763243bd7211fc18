//! An API server that answers a command with as much as it can.
//!
//! What kf asks on its own account it answers plainly, so that the command runs.

use std::io::{BufReader, Write};
use std::net::TcpStream;

use super::requests::{self, Request, accept_websocket};

/// What it does to an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lie {
    /// Nothing.
    None,
    /// Two million items, or fields.
    Items,
    /// Objects of as many values as are parsed.
    Values,
    /// Long texts.
    Text,
    /// Numbers that are longer when they are written again.
    Numbers,
    /// No end.
    Endless,
    /// One byte in each chunk.
    Bytes,
    /// An error with a million causes.
    Error,
    /// Long headers.
    Headers,
}

pub const LIES: [Lie; 9] = [
    Lie::None,
    Lie::Items,
    Lie::Values,
    Lie::Text,
    Lie::Numbers,
    Lie::Endless,
    Lie::Bytes,
    Lie::Error,
    Lie::Headers,
];

const MIB: usize = 1 << 20;

/// Starts one; its URL.
pub fn serve(lie: Lie) -> String {
    requests::serve(move |stream| answer_all(stream, lie))
}

fn answer_all(stream: &TcpStream, lie: Lie) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    while let Some(request) = Request::read(&mut reader) {
        let is_commands = request.header("user-agent").is_some_and(|agent| agent.contains("plugin/"));
        let lie = if is_commands { lie } else { Lie::None };
        let path = &request.path;
        match request.websocket_key() {
            Some(_) if lie == Lie::Error => say(stream, "403 Forbidden", &error(path))?,
            Some(key) => return websocket(stream, key, path, lie),
            None if request.query.contains("watch=true") => return watch(stream, lie),
            None if path.ends_with("/log") => return log(stream, lie),
            None => document(stream, &request, lie)?,
        }
    }
    Ok(())
}

fn say(mut stream: &TcpStream, status: &str, body: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

fn document(mut stream: &TcpStream, request: &Request, lie: Lie) -> std::io::Result<()> {
    let plain = plain(request);
    let is_list = request.query.contains("limit=");
    let object = |spec: &str| plain.replacen('{', &format!("{{\"spec\":{spec},"), 1);
    let list = |item: &str, count: usize| {
        format!("{{\"metadata\":{{}},\"items\":[{}]}}", vec![item; count].join(","))
    };
    match lie {
        Lie::None => say(stream, "200 OK", &plain),
        Lie::Items if is_list => say(stream, "200 OK", &list("{}", 2_000_000)),
        Lie::Items => say(stream, "200 OK", &object(&format!("[{}0]", "0,".repeat(2_000_000)))),
        Lie::Values if is_list => {
            say(stream, "200 OK", &list(&format!("[{}0]", "{\"\":0},".repeat(17_000)), 20))
        }
        // Wherever it is looked for: as a discovery document it names as many kinds and versions.
        Lie::Values => {
            let kind = |n| format!("{{\"name\":\"a{n}\",\"kind\":\"A{n}\",\"namespaced\":true}}");
            let kinds: Vec<String> = (0..4_000).map(kind).collect();
            let bomb = format!("[{}0]", "{\"\":0},".repeat(10_000));
            let versions = "{\"version\":\"v1\"}";
            let more =
                format!("\"versions\":[{versions}],\"resources\":[{}],\"spec\":{bomb},", kinds.join(","));
            say(stream, "200 OK", &plain.replacen('{', &format!("{{{more}"), 1))
        }
        Lie::Text if is_list => {
            say(stream, "200 OK", &list(&format!("{{\"a\":\"{}\"}}", "x".repeat(3 * MIB)), 5))
        }
        Lie::Text => say(stream, "200 OK", &object(&format!("\"{}\"", "x".repeat(3 * MIB)))),
        Lie::Numbers if is_list => {
            say(stream, "200 OK", &list(&format!("[{}0]", "1e15,".repeat(6_000)), 500))
        }
        Lie::Numbers => say(stream, "200 OK", &object(&format!("[{}0]", "1e15,".repeat(40_000)))),
        Lie::Endless => {
            write!(stream, "HTTP/1.1 200 OK\r\n\r\n{{\"items\":[")?;
            loop {
                stream.write_all("{\"a\":0},".repeat(8_000).as_bytes())?;
            }
        }
        Lie::Bytes => {
            write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")?;
            let body = object(&format!("\"{}\"", "x".repeat(50 << 10)));
            for part in body.as_bytes().chunks(1 << 16) {
                let chunks: Vec<u8> =
                    part.iter().flat_map(|b| [b'1', b'\r', b'\n', *b, b'\r', b'\n']).collect();
                stream.write_all(&chunks)?;
            }
            stream.write_all(b"0\r\n\r\n")
        }
        Lie::Error => say(stream, "422 Unprocessable Entity", &error(&request.path)),
        Lie::Headers => {
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n", plain.len())?;
            for n in 0..90 {
                write!(stream, "warning: 299 - \"{n}{}\"\r\n", "w".repeat(4_000))?;
            }
            write!(stream, "\r\n{plain}")
        }
    }
}

/// A `Status` as large as it may be, and larger.
fn error(path: &str) -> String {
    let causes = if path.contains("many") { 200 } else { 4 * MIB };
    let causes = "{},".repeat(causes);
    let message = "m".repeat(MIB);
    format!(
        "{{\"kind\":\"Status\",\"status\":\"Failure\",\"message\":\"{message}\",\"details\":{{\"causes\":[{causes}{{}}]}}}}"
    )
}

/// What an honest server answers, as far as kf looks at it.
fn plain(request: &Request) -> String {
    let audiences = if request.path.ends_with("/token") {
        r#","spec":{"audiences":["own"]},"status":{"token":"abc.def"}"#
    } else {
        r#","status":{"allowed":true,"phase":"Running","userInfo":{"username":"ada"}}"#
    };
    let items = if request.method == "GET" { r#","items":[]"# } else { "" };
    format!("{{\"metadata\":{{\"name\":\"web\",\"uid\":\"1\",\"resourceVersion\":\"1\"}}{audiences}{items}}}")
}

fn watch(mut stream: &TcpStream, lie: Lie) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
    let event = |object: &str| {
        format!(
            "{{\"type\":\"ADDED\",\"object\":{{\"metadata\":{{\"resourceVersion\":\"2\"}},\"spec\":{object}}}}}\n"
        )
    };
    let text = match lie {
        Lie::None => return wait(stream),
        // One that does not end.
        Lie::Endless | Lie::Error => loop {
            stream.write_all(&[b'x'; 1 << 16])?;
        },
        Lie::Items | Lie::Headers => event("0"),
        Lie::Values | Lie::Numbers => event(&format!("[{}0]", "{\"\":0},".repeat(17_000))),
        Lie::Text => event(&format!("\"{}\"", "x".repeat(4 * MIB - 1_000))),
        // Just not the last byte.
        Lie::Bytes => {
            let begin = event(&format!("\"{}\"", "x".repeat(4 * MIB - 1_000)));
            stream.write_all(&begin.as_bytes()[..begin.len() - 1])?;
            return wait(stream);
        }
    };
    loop {
        stream.write_all(text.as_bytes())?;
    }
}

fn log(mut stream: &TcpStream, lie: Lie) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 200 OK\r\n\r\n")?;
    let line = if lie == Lie::Endless { [b'x'; 1 << 16] } else { [b'\n'; 1 << 16] };
    // For a test that waits for the end.
    for _ in 0..40 {
        stream.write_all(&line)?;
    }
    Ok(())
}

/// Until the other end closes.
fn wait(mut stream: &TcpStream) -> std::io::Result<()> {
    std::io::copy(&mut stream, &mut std::io::sink()).map(drop)
}

fn websocket(mut stream: &TcpStream, key: &str, path: &str, lie: Lie) -> std::io::Result<()> {
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
        let head = match lie {
            Lie::Headers => format!("x: {}\r\n", "x".repeat(3_000)).repeat(60),
            _ => String::new(),
        };
        message(0, format!("HTTP/1.1 200 OK\r\n{head}\r\n").as_bytes())?;
        let chunk = vec![b'x'; 32 << 10];
        let megabytes = if lie == Lie::Endless { 1_000 } else { 16 };
        for _ in 0..32 * megabytes - 1 {
            message(0, &chunk)?;
        }
        return Ok(());
    }
    match lie {
        // A message that does not end.
        Lie::Endless | Lie::Error => {
            let mut head = vec![0x82, 127];
            head.extend((1_u64 << 40).to_be_bytes());
            stream.write_all(&head)?;
            loop {
                stream.write_all(&[1; 1 << 16])?;
            }
        }
        Lie::None => {
            message(3, b"{\"status\":\"Success\"}")?;
            wait(stream)
        }
        // A status as large as it may be.
        Lie::Items | Lie::Values => {
            let causes = "{},".repeat(80_000);
            message(
                3,
                format!("{{\"status\":\"Failure\",\"details\":{{\"causes\":[{causes}{{}}]}}}}").as_bytes(),
            )?;
            wait(stream)
        }
        Lie::Text | Lie::Numbers | Lie::Bytes | Lie::Headers => {
            let data = vec![b'x'; (256 << 10) - 1];
            for _ in 0..400 {
                message(1, &data)?;
            }
            message(3, b"{\"status\":\"Success\"}")?;
            wait(stream)
        }
    }
}
