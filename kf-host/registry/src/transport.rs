//! Fetching bytes that nobody trusts yet.
//!
//! A mirror may be slow, endless or hostile. So every fetch has a largest size, every operation has a
//! deadline for all of its fetches together, and nothing here decides whether the bytes are good.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sigstore_tuf::transport::FetchFuture;
use ureq::tls::{RootCerts, TlsConfig};

use crate::error::{Error, Result};

/// How long one server may stay silent.
const STALL: Duration = Duration::from_secs(20);

/// Where a registry's files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Folder(PathBuf),
    Http(String),
}

impl Url {
    /// Parses `file:///folder`, `http://host/path` or `https://host/path`.
    ///
    /// Credentials, queries and fragments are refused: they would end up in logs or be lost.
    pub fn parse(text: &str) -> Result<Self> {
        let bad = |reason| Error::BadUrl { url: without_password(text), reason };
        if let Some(path) = text.strip_prefix("file://") {
            if !path.starts_with('/') {
                return Err(bad("a file address is file:// and an absolute path"));
            }
            return Ok(Self(Place::Folder(PathBuf::from(path))));
        }
        let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
            return Err(bad("it must start with https://, http:// or file://"));
        };
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.is_empty() {
            return Err(bad("the host is missing"));
        }
        if authority.contains('@') {
            return Err(bad("credentials do not belong in it"));
        }
        if text.contains(['?', '#']) || text.contains(char::is_whitespace) || !text.is_ascii() {
            return Err(bad("it must be a plain address without query or fragment"));
        }
        Ok(Self(Place::Http(text.trim_end_matches('/').to_owned())))
    }
}

fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if scheme + 3 <= at => {
            format!("{}…{}", text.get(..scheme + 3).unwrap_or_default(), text.get(at..).unwrap_or_default())
        }
        _ => text.to_owned(),
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Folder(path) => write!(f, "file://{}", path.display()),
            Place::Http(base) => f.write_str(base),
        }
    }
}

/// What a fetch is doing, for a progress bar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The file's path inside the registry.
    pub file: &'a str,
    /// Bytes received so far.
    pub received: u64,
    /// The file's length where it is known beforehand.
    pub total: Option<u64>,
}

/// Called now and then while bytes arrive.
pub type Progress = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// Why bytes did not come.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Unreachable(String),
    #[error("{file} was not complete within {} s", limit.as_secs_f32())]
    TimedOut { file: String, limit: Duration },
    #[error("{file} is longer than the {max} bytes it may have")]
    TooLong { file: String, max: u64 },
    #[error("{0:?} is not a file a registry has")]
    BadPath(String),
}

/// The moment by which all fetches of one operation must be done.
#[derive(Clone, Debug)]
pub(crate) struct Deadline(Arc<Mutex<(Instant, Duration)>>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), limit))))
    }

    /// Starts again: a new operation over the same transport.
    pub(crate) fn restart(&self, limit: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), limit);
    }

    /// What is left, or the failure to report when nothing is.
    fn left(&self, file: &str) -> Result<Duration, Failure> {
        let (start, limit) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match limit.checked_sub(start.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(Failure::TimedOut { file: file.to_owned(), limit }),
        }
    }
}

/// Fetches files below one [`Url`].
pub(crate) struct Transport {
    place: Place,
    agent: ureq::Agent,
    deadline: Deadline,
    progress: Progress,
}

impl Transport {
    pub(crate) fn new(url: &Url, deadline: Deadline, progress: Progress) -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .user_agent(concat!("kf/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .https_only(matches!(&url.0, Place::Http(base) if base.starts_with("https://")))
            .max_redirects(3)
            .timeout_per_read(Some(STALL))
            .tls_config(tls)
            .build();
        Self { place: url.0.clone(), agent: config.into(), deadline, progress }
    }

    /// One file of at most `max` bytes; `None` when the registry has no such file.
    pub(crate) fn get(&self, file: &str, max: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.get_sized(file, max, None)
    }

    /// `total` is the file's length where it is known beforehand.
    fn get_sized(&self, file: &str, max: u64, total: Option<u64>) -> Result<Option<Vec<u8>>, Failure> {
        if !is_plain_path(file) {
            return Err(Failure::BadPath(file.to_owned()));
        }
        match &self.place {
            Place::Folder(folder) => self.get_file(&folder.join(file), file, max, total),
            Place::Http(base) => self.get_http(&format!("{base}/{file}"), file, max, total),
        }
    }

    fn get_file(
        &self,
        path: &std::path::Path,
        file: &str,
        max: u64,
        total: Option<u64>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let unreachable = |e: std::io::Error| Failure::Unreachable(format!("{}: {e}", path.display()));
        // Asked before opening: opening a pipe would wait for its other end.
        match path.metadata() {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return Err(Failure::Unreachable(format!("{} is not a plain file", path.display()))),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(unreachable(e)),
        }
        let source = fs_err::File::open(path).map_err(unreachable)?;
        self.read(source, file, max, total).map(Some)
    }

    fn get_http(
        &self,
        url: &str,
        file: &str,
        max: u64,
        total: Option<u64>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let left = self.deadline.left(file)?;
        let response = self
            .agent
            .get(url)
            .config()
            .timeout_global(Some(left))
            .build()
            .call()
            .map_err(|e| self.failure(file, url, &e))?;
        let status = response.status();
        // Object stores answer 403 for what does not exist when listing is not allowed.
        if matches!(status.as_u16(), 403 | 404 | 410) {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(Failure::Unreachable(format!("{url} answered {status}")));
        }
        let body = response.into_body();
        let promised = body.content_length();
        if promised.is_some_and(|length| length > max) {
            return Err(Failure::TooLong { file: file.to_owned(), max });
        }
        self.read(body.into_reader(), file, max, total.or(promised)).map(Some)
    }

    fn read(
        &self,
        mut from: impl Read,
        file: &str,
        max: u64,
        total: Option<u64>,
    ) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        let mut chunk = vec![0; 64 * 1024];
        loop {
            self.deadline.left(file)?;
            let read = match from.read(&mut chunk) {
                Ok(0) => return Ok(bytes),
                Ok(read) => read,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(self.failure(file, file, &ureq::Error::from(e))),
            };
            bytes.extend_from_slice(chunk.get(..read).unwrap_or_default());
            if bytes.len() as u64 > max {
                return Err(Failure::TooLong { file: file.to_owned(), max });
            }
            (self.progress)(Event { file, received: bytes.len() as u64, total });
        }
    }

    fn failure(&self, file: &str, url: &str, error: &ureq::Error) -> Failure {
        let timed_out = match error {
            ureq::Error::Timeout(_) => true,
            ureq::Error::Io(e) => e.kind() == std::io::ErrorKind::TimedOut,
            _ => false,
        };
        if timed_out {
            let limit = self.deadline.0.lock().unwrap_or_else(PoisonError::into_inner).1;
            return Failure::TimedOut { file: file.to_owned(), limit };
        }
        Failure::Unreachable(format!("{url}: {error}"))
    }
}

/// Segments of letters, digits and `-._+~`; none empty, `.` or `..`.
///
/// Versions, digests, role names and the file names of a registry need no more.
fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|segment| {
        !matches!(segment, "" | "." | "..")
            && segment.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._+~".contains(&b))
    })
}

impl sigstore_tuf::Repository for Transport {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        let result = self.get(&format!("metadata/{name}"), max_length);
        Box::pin(std::future::ready(result.map_err(as_tuf)))
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        // A target's largest length is its signed length.
        let result = self.get_sized(&format!("targets/{path}"), max_length, Some(max_length));
        Box::pin(std::future::ready(result.map_err(as_tuf)))
    }
}

fn as_tuf(failure: Failure) -> sigstore_tuf::Error {
    sigstore_tuf::Error::transport_with_source("the file did not arrive", failure)
}
