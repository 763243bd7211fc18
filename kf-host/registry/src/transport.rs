//! Fetching untrusted bytes.
//!
//! A mirror may be slow, endless or malicious. So every fetch has a size limit and every operation a deadline
//! for all of its fetches. Bytes are not verified here.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use kf_core::no_proxy::is_loopback;
use kf_home::files;
use secrecy::ExposeSecret as _;
use sigstore_tuf::transport::FetchFuture;
use ureq::ResponseExt as _;
use ureq::http::header::AUTHORIZATION;
use ureq::http::{HeaderValue, Uri};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

use crate::access::{Access, Credentials};
use crate::error::{Error, Result};
use crate::proxy::ProxyVariables;

/// How long to wait for the next bytes of a server.
const READ_TIMEOUT: Duration = Duration::from_secs(20);

/// The location of a registry's files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url(Location);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Location {
    Folder(PathBuf),
    /// Links in it are refused.
    Removable(PathBuf),
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
        let url = Self(Location::Http(text.trim_end_matches('/').to_owned()));
        url.host().map(|_| url).ok_or_else(|| bad("invalid host or port"))
    }

    /// The server; none for a folder.
    pub(crate) fn host(&self) -> Option<Host> {
        let Location::Http(base) = &self.0 else { return None };
        let uri: Uri = base.parse().ok()?;
        let authority = uri.authority()?;
        let name = authority.host();
        let is_tls = base.starts_with("https://");
        let port = match authority.as_str().strip_prefix(name) {
            Some("") if is_tls => 443,
            Some("") => 80,
            _ => authority.port_u16()?,
        };
        (!name.is_empty()).then(|| Host { is_tls, name: name.to_ascii_lowercase(), port })
    }

    /// A folder that was brought here, for example on a USB stick. Links in it are refused: they could point to any file
    /// of this machine.
    pub fn removable(folder: impl Into<PathBuf>) -> Self {
        Self(Location::Removable(folder.into()))
    }
}

/// A server: scheme, name or address, and port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) is_tls: bool,
    /// In lower case; an IPv6 address is in brackets.
    pub(crate) name: String,
    pub(crate) port: u16,
}

impl Host {
    /// Whether credentials may be sent to it: no one else can read them on the way.
    pub(crate) fn accepts_credentials(&self) -> bool {
        self.is_tls || is_loopback(&self.name)
    }
}

/// As the origin of a URL: `https://registry.example:443`.
impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_tls { "https" } else { "http" };
        write!(f, "{scheme}://{}:{}", self.name, self.port)
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
            Location::Folder(path) | Location::Removable(path) => write!(f, "file://{}", path.display()),
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
    /// A file that the registry signs.
    #[error("{0} is missing")]
    Missing(String),
    /// A link or a device in a removable folder.
    #[error("{0}")]
    Unsafe(String),
    /// The server's certificate is not trusted.
    #[error("{0}")]
    Certificate(String),
    /// The server does not know who the user is.
    #[error("{0}")]
    Unauthenticated(String),
    /// The server does not let the user read.
    #[error("{0}")]
    Denied(String),
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

/// The files that every registry has.
const ALWAYS_PRESENT: [&str; 2] = ["metadata/timestamp.json", "metadata/1.root.json"];

/// Certificates from a PEM file, which are the only ones to trust.
///
/// # Errors
///
/// It has none, or one that cannot be parsed.
pub(crate) fn certificates(pem: &[u8]) -> Result<RootCerts> {
    let bad = |reason: &str| Error::BadCertificates { reason: reason.to_owned() };
    let mut found: Vec<Certificate<'static>> = Vec::new();
    for item in parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| bad(&error.to_string()))? {
            found.push(certificate);
        }
    }
    let mut roots = rustls::RootCertStore::empty();
    let (usable, _) = roots.add_parsable_certificates(found.iter().map(|found| found.der().to_vec().into()));
    if usable == 0 {
        return Err(bad("it has no certificate in PEM format"));
    }
    Ok(RootCerts::new_with_certs(&found))
}

/// Fetches files below one [`Url`].
pub(crate) struct Transport {
    place: Location,
    agent: ureq::Agent,
    credentials: Credentials,
    deadline: Deadline,
    progress: Progress,
}

impl Transport {
    /// Reads the proxy and the credentials for a URL. Nothing is sent yet.
    pub(crate) fn new(url: &Url, access: &Access, deadline: Deadline, progress: Progress) -> Result<Self> {
        let (mut proxy, mut roots) = (None, RootCerts::PlatformVerifier);
        let mut credentials = Credentials::Missing("no credentials".into());
        if let Some(host) = url.host() {
            proxy = ProxyVariables::from_env().proxy_of(&host)?;
            credentials = access.credentials(&host)?;
            if let Some(pem) = &access.certificates {
                roots = certificates(pem)?;
            }
        }
        let tls = TlsConfig::builder()
            .root_certs(roots)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .build();
        let config = ureq::Agent::config_builder()
            .user_agent(concat!("kf/", env!("CARGO_PKG_VERSION")))
            .http_status_as_error(false)
            .https_only(matches!(&url.0, Location::Http(base) if base.starts_with("https://")))
            .max_redirects(3)
            .proxy(proxy)
            .timeout_per_read(Some(READ_TIMEOUT))
            .tls_config(tls)
            .build();
        Ok(Self { place: url.0.clone(), agent: config.into(), credentials, deadline, progress })
    }

    /// Fetches a file of at most `max` bytes; `None` if the registry has no such file.
    pub(crate) fn get(&self, file: &str, max: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.get_sized(file, max, None)
    }

    /// The same for `sigstore-tuf`. `total` is the file's length, if known.
    pub(crate) fn fetch(&self, file: &str, max: u64, total: Option<u64>) -> FetchFuture<'static> {
        Box::pin(std::future::ready(self.get_sized(file, max, total).map_err(as_tuf)))
    }

    fn get_sized(&self, file: &str, max: u64, total: Option<u64>) -> Result<Option<Vec<u8>>, Failure> {
        if !is_plain_path(file) {
            return Err(Failure::BadPath(file.to_owned()));
        }
        match &self.place {
            Location::Folder(folder) => self.get_file(&folder.join(file), file, max, total),
            Location::Removable(folder) => self.get_removable(folder, file, max),
            Location::Http(base) => self.get_http(&format!("{base}/{file}"), file, max, total),
        }
    }

    fn get_file(
        &self,
        path: &Path,
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

    fn get_removable(&self, folder: &Path, file: &str, max: u64) -> Result<Option<Vec<u8>>, Failure> {
        self.deadline.remaining(file)?;
        files::read_below(folder, Path::new(file), max).map_err(|error| match error {
            kf_home::Error::Io(_) => Failure::Unreachable(error.to_string()),
            kf_home::Error::Format(_) => Failure::TooLong { file: file.to_owned(), max },
            _ => Failure::Unsafe(error.to_string()),
        })
    }

    fn get_http(
        &self,
        url: &str,
        file: &str,
        max: u64,
        total: Option<u64>,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let left = self.deadline.remaining(file)?;
        let mut request = self.agent.get(url).config().timeout_global(Some(left)).build();
        if let Credentials::Sent { header, source } = &self.credentials {
            let mut value = HeaderValue::from_str(header.expose_secret())
                .map_err(|_| Failure::Unauthenticated(format!("{source} cannot be sent in a header")))?;
            value.set_sensitive(true);
            // Never sent again after a redirect.
            request = request.header(AUTHORIZATION, value);
        }
        let response = request.call().map_err(|e| self.failure(file, url, &e))?;
        let status = response.status();
        match status.as_u16() {
            401 | 407 => return Err(Failure::Unauthenticated(self.refusal(url, &response))),
            // Object stores answer 403 for a missing object if listing is not allowed. This file is never missing.
            403 if ALWAYS_PRESENT.contains(&file) => {
                return Err(Failure::Denied(self.refusal(url, &response)));
            }
            403 | 404 | 410 => return Ok(None),
            _ => {}
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

    /// Why a server may have refused a request, without any secret.
    fn refusal(&self, url: &str, response: &ureq::http::Response<ureq::Body>) -> String {
        let status = response.status();
        let target = response.get_uri();
        let is_redirected = *target != url;
        match &self.credentials {
            _ if is_redirected => {
                let host = target.host().unwrap_or_default();
                format!(
                    "{url} redirects to {host}, which returned {status}; credentials do not follow redirects"
                )
            }
            Credentials::Sent { source, .. } => format!("{url} returned {status} for {source}"),
            Credentials::Missing(why) => format!("{url} returned {status}; {why}"),
        }
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
        let reason = format!("{url}: {error}");
        if is_untrusted_certificate(error) {
            Failure::Certificate(reason)
        } else {
            Failure::Unreachable(reason)
        }
    }
}

/// Whether TLS failed because no trusted authority signed the server's certificate.
fn is_untrusted_certificate(error: &ureq::Error) -> bool {
    let tls = match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()),
        _ => None,
    };
    matches!(tls, Some(rustls::Error::InvalidCertificate(_)))
}

/// Segments of letters, digits, `-._+~` and percent-encoded bytes; none empty, `.` or `..`.
///
/// That is enough for the versions, digests, role names and file names of a registry. A role whose name is no plain word
/// arrives encoded. It is never decoded here, so a file of that name is inside the folder.
pub(crate) fn is_plain_path(path: &str) -> bool {
    path.split('/').all(|segment| !matches!(segment, "" | "." | "..") && is_plain_segment(segment))
}

fn is_plain_segment(segment: &str) -> bool {
    let mut bytes = segment.bytes();
    let is_hex = |b: Option<u8>| b.is_some_and(|b| matches!(b, b'0'..=b'9' | b'A'..=b'F'));
    while let Some(byte) = bytes.next() {
        let plain = byte.is_ascii_alphanumeric() || b"-._+~".contains(&byte);
        let encoded = byte == b'%' && is_hex(bytes.next()) && is_hex(bytes.next());
        if !plain && !encoded {
            return false;
        }
    }
    true
}

impl sigstore_tuf::Repository for Transport {
    fn fetch_metadata<'a>(&'a self, name: &'a str, max_length: u64) -> FetchFuture<'a> {
        self.fetch(&format!("metadata/{name}"), max_length, None)
    }

    fn fetch_target<'a>(&'a self, path: &'a str, max_length: u64) -> FetchFuture<'a> {
        // The size limit of a target is its signed length.
        let result = self.get_sized(&format!("targets/{path}"), max_length, Some(max_length));
        let found = result.and_then(|found| found.ok_or_else(|| Failure::Missing(path.to_owned())));
        Box::pin(std::future::ready(found.map(Some).map_err(as_tuf)))
    }
}

fn as_tuf(failure: Failure) -> sigstore_tuf::Error {
    sigstore_tuf::Error::transport_with_source("fetch failed", failure)
}
