//! Fetches a page from this machine, as a browser does.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use crate::step::{Context, Failure, Result};

/// A page of a forwarded port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    port: u16,
    path: String,
}

/// The first address of this machine in a line.
pub fn address(line: &str) -> Option<Address> {
    let rest = ["http://localhost:", "http://127.0.0.1:"].iter().find_map(|start| line.split_once(start))?.1;
    let end = rest.find(|c: char| c.is_whitespace()).unwrap_or(rest.len());
    let (host, path) = rest.get(..end)?.split_once('/').unwrap_or((rest.get(..end)?, ""));
    Some(Address { port: host.parse().ok()?, path: format!("/{path}") })
}

/// Fetches the page, or another path of the same port, and returns a line with its status and title.
pub fn fetch(address: &Address, path: Option<&str>) -> Result<String> {
    let path = path.unwrap_or(&address.path);
    let mut stream = TcpStream::connect(("127.0.0.1", address.port)).context("cannot fetch the page")?;
    stream.set_read_timeout(Some(Duration::from_secs(30))).context("cannot fetch the page")?;
    let request = format!("GET {path} HTTP/1.0\r\nHost: localhost:{}\r\n\r\n", address.port);
    stream.write_all(request.as_bytes()).context("cannot fetch the page")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).context("cannot fetch the page")?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or_default();
    if !matches!(status, "200" | "302") {
        return Err(Failure(format!("the page {path} answered {status}")));
    }
    let title = answer.split_once("<title>").and_then(|(_, rest)| rest.split_once("</title>"));
    let title = title.map(|(title, _)| format!(", {}", title.trim())).unwrap_or_default();
    Ok(format!("(the browser shows {path}: {status}{title})"))
}
