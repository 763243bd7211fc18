//! A folder over HTTP, as any web server has it.

use std::io::{BufRead, BufReader, Result, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// A request with its answer.
#[derive(Clone, Debug)]
pub struct Exchange {
    /// The path in the URL.
    pub path: String,
    /// The bytes of the request and of the answer, with their heads.
    pub bytes: u64,
}

/// A registry's files over HTTP.
#[derive(Debug)]
pub struct FileServer {
    pub url: String,
    folder: Arc<Mutex<PathBuf>>,
    exchanges: Arc<Mutex<Vec<Exchange>>>,
}

impl FileServer {
    /// Serves `folder` from this machine until the process ends.
    pub fn serve(folder: &Path) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let folder = Arc::new(Mutex::new(folder.to_owned()));
        let server = Self { url, folder, exchanges: Arc::default() };
        let (folder, exchanges) = (Arc::clone(&server.folder), Arc::clone(&server.exchanges));
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (folder, exchanges) = (Arc::clone(&folder), Arc::clone(&exchanges));
                // The client may disconnect early.
                thread::spawn(move || answer(&stream, &folder, &exchanges));
            }
        });
        Ok(server)
    }

    /// Serves another folder from now on.
    pub fn change_to(&self, folder: &Path) {
        folder.clone_into(&mut lock(&self.folder));
    }

    /// The exchanges since the last call.
    pub fn taken(&self) -> Vec<Exchange> {
        std::mem::take(&mut lock(&self.exchanges))
    }
}

/// Answers requests until the client disconnects.
fn answer(mut stream: &TcpStream, folder: &Mutex<PathBuf>, exchanges: &Mutex<Vec<Exchange>>) -> Result<()> {
    let mut lines = BufReader::new(stream);
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if lines.read_line(&mut head)? == 0 {
                return Ok(());
            }
        }
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let file = lock(folder).join(path.trim_start_matches('/'));
        let (status, content) = match fs_err::read(file) {
            Ok(content) => ("200 OK", content),
            Err(_) => ("404 Not Found", Vec::new()),
        };
        let answer = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n", content.len());
        let bytes = (head.len() + answer.len() + content.len()) as u64;
        // Before it is sent, so that no exchange is missing when the client ends.
        lock(exchanges).push(Exchange { path, bytes });
        stream.write_all(answer.as_bytes())?;
        stream.write_all(&content)?;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
