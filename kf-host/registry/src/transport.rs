//! Fetching untrusted bytes.
//!
//! A mirror may be slow, endless or malicious. So every fetch has a size limit and every operation a deadline
//! for all of its fetches. Bytes are not verified here.

use std::fmt;
use std::io::Read;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sigstore_tuf::transport::FetchFuture;
use ureq::tls::{RootCerts, TlsConfig};

use crate::error::{Error, Result};

/// How long to wait for the next bytes of a server.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// The location of a registry's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Location);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Location {
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
                return Err(bad("file:// must be followed by an absolute path"));
            }
            return Ok(Self(Location::Folder(PathBuf::from(path))));
        }
        let Some(rest) = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")) else {
            return Err(bad("must start with https://, http:// or file://"));
        };
        let authority = rest.split('/').next().unwrap_or_default();
        if authority.is_empty() {
            return Err(bad("missing host"));
        }
        if authority.contains('@') {
            return Err(bad("credentials are not allowed"));
        }
        if text.contains(['?', '#']) || text.contains(char::is_whitespace) || !text.is_ascii() {
            return Err(bad("query, fragment, spaces and non-ASCII characters are not allowed"));
        }
        Ok(Self(Location::Http(text.trim_end_matches('/').to_owned())))
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
            Location::Folder(path) => write!(f, "file://{}", path.display()),
            Location::Http(base) => f.write_str(base),
        }
    }
}

/// The progress of a fetch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The file's path inside the registry.
    pub file: &'a str,
    /// Bytes received so far.
    pub received: u64,
    /// The file's length, if known.
    pub total: Option<u64>,
}

/// Called repeatedly while bytes arrive.
pub type Progress = Arc<dyn Fn(Event<'_>) + Send + Sync>;

/// Why a fetch failed.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error("{0}")]
    Unreachable(String),
    #[error("{file} was not received within {} s", limit.as_secs_f32())]
    TimedOut { file: String, limit: Duration },
    #[error("{file} is longer than {max} bytes")]
    TooLong { file: String, max: u64 },
    #[error("invalid path {0:?} in a registry")]
    BadPath(String),
}

/// The deadline for all fetches of one operation.
#[derive(Clone, Debug)]
pub(crate) struct Deadline(Arc<Mutex<(Instant, Duration)>>);

impl Deadline {
    pub(crate) fn after(limit: Duration) -> Self {
        Self(Arc::new(Mutex::new((Instant::now(), limit))))
    }

    /// Starts again, for a new operation over the same transport.
    pub(crate) fn restart(&self, limit: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (Instant::now(), limit);
    }

    /// The remaining time, or a failure if there is none.
    fn remaining(&self, file: &str) -> Result<Duration, Failure> {
        let (start, limit) = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match limit.checked_sub(start.elapsed()) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(Failure::TimedOut { file: file.to_owned(), limit }),
        }
    }
}

/// Fetches files below one [`Url`].
pub(crate) struct Transport {
    place: Location,
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
            .https_only(matches!(&url.0, Location::Http(base) if base.starts_with("https://")))
            .max_redirects(3)
            .timeout_per_read(Some(READ_TIMEOUT))
            .tls_config(tls)
            .build();
        Self { place: url.0.clone(), agent: config.into(), deadline, progress }
    }

    /// Fetches a file of at most `max` bytes; `None` if the registry has no such file.
    pub(crate) fn get(&self, file: &str, max: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.get_sized(file, max, None)
    }

    /// `total` is the file's length, if known.
    fn get_sized(&self, file: &str, max: u64, total: Option<u64>) -> Result<Option<Vec<u8>>, Failure> {
        if !is_plain_path(file) {
            return Err(Failure::BadPath(file.to_owned()));
        }
        match &self.place {
            Location::Folder(folder) => self.get_file(&folder.join(file), file, max, total),
            Location::Http(base) => self.get_http(&format!("{base}/{file}"), file, max, total),
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
        // Checked before opening: opening a pipe would block.
        match path.metadata() {
            Ok(meta) if meta.is_file() => {}
            Ok(_) => return Err(Failure::Unreachable(format!("{} is not a regular file", path.display()))),
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
        let left = self.deadline.remaining(file)?;
        let response = self
            .agent
            .get(url)
            .config()
            .timeout_global(Some(left))
            .build()
            .call()
            .map_err(|e| self.failure(file, url, &e))?;
        let status = response.status();
        // Object stores answer 403 for a missing object if listing is not allowed.
        if matches!(status.as_u16(), 403 | 404 | 410) {
            return Ok(None);
        }
        if !status.is_success() {
            return Err(Failure::Unreachable(format!("{url} returned {status}")));
        }
        let body = response.into_body();
        let content_length = body.content_length();
        if content_length.is_some_and(|length| length > max) {
            return Err(Failure::TooLong { file: file.to_owned(), max });
        }
        self.read(body.into_reader(), file, max, total.or(content_length)).map(Some)
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
            self.deadline.remaining(file)?;
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
/// That is enough for the versions, digests, role names and file names of a registry.
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
        // The size limit of a target is its signed length.
        let result = self.get_sized(&format!("targets/{path}"), max_length, Some(max_length));
        Box::pin(std::future::ready(result.map_err(as_tuf)))
    }
}

fn as_tuf(failure: Failure) -> sigstore_tuf::Error {
    sigstore_tuf::Error::transport_with_source("fetch failed", failure)
}
