//! A command that forwards a local port to a web page, and the responses of the page.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::Receiver;
use std::time::Instant;

use super::lines::lines_of;
use super::{TIMEOUT, wait_for_exit};

/// A running `kf … --no-browser`, and the address it printed.
pub struct Opened {
    child: Child,
    notes: Receiver<String>,
    seen: Vec<String>,
    pub url: String,
}

impl Opened {
    /// Starts it and waits for the address.
    #[track_caller]
    pub fn start(mut program: Command) -> Self {
        let mut child = program.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let notes = lines_of(child.stderr.take().unwrap());
        let url = lines_of(child.stdout.take().unwrap()).recv_timeout(TIMEOUT).unwrap_or_default();
        let mut opened = Self { child, notes, seen: Vec::new(), url };
        if !opened.url.starts_with("http://localhost:") {
            let status = wait_for_exit(&mut opened.child);
            opened.seen.extend(opened.notes.iter());
            panic!("expected an address, got `{}`, {status}: {}", opened.url, opened.seen.join("\n"));
        }
        opened
    }

    pub fn port(&self) -> u16 {
        let rest = self.url.trim_start_matches("http://localhost:");
        rest.split('/').next().unwrap().parse().unwrap()
    }

    /// The path of the address, joined with another.
    pub fn path(&self, more: &str) -> String {
        let rest = self.url.trim_start_matches("http://localhost:");
        format!("/{}{more}", rest.split_once('/').map_or("", |(_, path)| path))
    }

    /// Status and body of a GET. kf prints the address once the page responds, so the first request succeeds.
    #[track_caller]
    pub fn get(&self, path: &str) -> (u16, String) {
        get(self.port(), path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// Waits for a line on stderr that contains this.
    #[track_caller]
    pub fn expect(&mut self, text: &str) {
        let started = Instant::now();
        while !self.seen.iter().any(|line| line.contains(text)) {
            let left = TIMEOUT.saturating_sub(started.elapsed());
            match self.notes.recv_timeout(left) {
                Ok(line) => self.seen.push(line),
                Err(error) => panic!("no `{text}`, {error}: {}", self.seen.join("\n")),
            }
        }
    }

    /// Waits until it ends by itself; returns its exit code and stderr.
    pub fn finish(mut self) -> (Option<i32>, String) {
        let status = wait_for_exit(&mut self.child);
        self.seen.extend(self.notes.iter());
        (status.code(), self.seen.join("\n"))
    }

    /// Sends SIGINT and returns the exit code.
    pub fn interrupt(mut self) -> Option<i32> {
        let pid = nix::unistd::Pid::from_raw(i32::try_from(self.child.id()).unwrap());
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGINT).unwrap();
        wait_for_exit(&mut self.child).code()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One request on its own connection.
pub fn get(port: u16, path: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost:{port}\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    let text = String::from_utf8_lossy(&answer);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head.split_whitespace().nth(1).and_then(|status| status.parse().ok());
    status.map(|status| (status, body.to_owned())).ok_or_else(|| std::io::Error::other("no answer"))
}
