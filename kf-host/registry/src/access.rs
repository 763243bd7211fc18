//! Credentials and certificates for private registries.
//!
//! A token belongs to an address, not to a registry: the mirrors of a registry are not trusted, and one of them must not
//! receive what another accepts. So a stored token names the scheme, host and port that it is for, and the variable
//! `KF_REGISTRY_ID_TOKEN` is for the first address of the registry. Other addresses have their passwords in `~/.netrc`,
//! which is by host. The first of these that has something is used.
//!
//! What other tools regret, and what follows for kf:
//!
//! * Credentials in URLs end up in lock files, logs and errors. [`Url::parse`] refuses them.
//! * cargo asks without its token first, and breaks on servers that answer that with 403 or 404 instead of 401. kf sends
//!   what it has with the first request.
//! * cargo sends a token as it is, and users have to know that it must begin with `Bearer`. kf always sends a bearer token,
//!   and refuses one with a space in it.
//! * A token on a command line can be seen in the list of processes and in the shell's history. There is no flag for it.
//! * Credentials that follow a redirect reach a host that they were not made for. None follows a redirect, not even to the
//!   same host, and the error of a server that then asks for one names the redirect.
//!
//! Nothing is sent over `http://`, except to this machine. Values are kept in [`SecretString`], and errors name only where
//! they come from.

use std::path::PathBuf;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use kf_core::RegistryId;
use kf_core::format::{self, Format, FormatError};
use kf_home::Home;
use kf_home::files;
use kf_home::trusted::{self, OwnPath};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::netrc;
use crate::transport::{Host, Url};

const FORMAT: u64 = 1;
const MAX_CREDENTIALS_BYTES: u64 = 256 * 1024;
const MAX_NETRC_BYTES: u64 = 1024 * 1024;
/// The largest file of certificates, in bytes. The bundles of operating systems have 200 to 500 kB.
pub const MAX_CERTIFICATES_BYTES: u64 = 4 * 1024 * 1024;

/// How to get access to a registry. It has no secret: they are read when a connection is prepared.
#[derive(Clone, Debug, Default)]
pub struct Access {
    stored: Option<Stored>,
    /// The certificates to trust instead of the system's, as PEM.
    pub(crate) certificates: Option<Vec<u8>>,
}

/// A configured registry.
#[derive(Clone, Debug)]
struct Stored {
    id: RegistryId,
    /// Its folder of settings.
    dir: OwnPath,
    first: Option<Host>,
}

/// The credentials for one request.
#[derive(Debug)]
pub(crate) enum Credentials {
    Sent {
        /// The value of the header `Authorization`.
        header: SecretString,
        /// Where they come from, for errors: `the token in KF_REGISTRY_TEAM_TOKEN`.
        source: String,
    },
    /// Why there are none.
    Missing(String),
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    format: Format<FORMAT>,
    tokens: Vec<Token>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Token {
    /// `https://registry.example:443`
    origin: String,
    token: String,
}

impl Access {
    /// Access to a configured registry with these addresses.
    pub(crate) fn of(home: &Home, id: &RegistryId, urls: &[Url]) -> Result<Self> {
        let dir = home.registry_config(id);
        let certificates = dir.at("ca.pem").read(MAX_CERTIFICATES_BYTES)?;
        let first = urls.first().and_then(Url::host);
        Ok(Self { stored: Some(Stored { id: id.clone(), dir, first }), certificates })
    }

    /// What to send to a host.
    pub(crate) fn credentials(&self, host: &Host) -> Result<Credentials> {
        let Some(stored) = &self.stored else { return Ok(Credentials::Missing("no credentials".into())) };
        let found = match stored.token(host)? {
            Some(found) => found,
            None => match login_in_netrc(&host.name)? {
                Ok((login, path)) => Credentials::Sent {
                    header: basic(&login),
                    source: format!("the password for {} in {}", host.name, path.display()),
                },
                Err(why) => return Ok(Credentials::Missing(why)),
            },
        };
        Ok(match found {
            Credentials::Sent { source, .. } if !host.accepts_credentials() => {
                Credentials::Missing(format!("{source} is not sent over http"))
            }
            found => found,
        })
    }
}

impl Stored {
    fn token(&self, host: &Host) -> Result<Option<Credentials>> {
        let variable = token_variable(&self.id);
        if self.first.as_ref() == Some(host)
            && let Some(value) = std::env::var_os(&variable).filter(|value| !value.is_empty())
        {
            let source = format!("the token in {variable}");
            let token = value.into_string().unwrap_or_default();
            return bearer(&SecretString::from(token), &source).map(Some);
        }
        let path = self.dir.at("credentials.json");
        let origin = host.to_string();
        let found = read(&path)?.into_iter().find(|token| token.origin == origin);
        let source = || format!("the stored token for {origin}");
        found.map(|found| bearer(&SecretString::from(found.token), &source())).transpose()
    }
}

/// The variable with the token of a registry: `KF_REGISTRY_MY_TEAM_TOKEN` for `my-team`.
pub fn token_variable(id: &RegistryId) -> String {
    format!("KF_REGISTRY_{}_TOKEN", id.as_str().to_ascii_uppercase().replace('-', "_"))
}

/// Stores a token for one of a registry's addresses; returns what it is for, such as `https://registry.example:443`.
///
/// # Errors
///
/// The token has spaces or other characters that no token has, or the address is neither `https://` nor this machine.
pub fn login(home: &Home, id: &RegistryId, url: &Url, token: &SecretString) -> Result<String> {
    let host = url.host().filter(Host::accepts_credentials);
    let host = host.ok_or_else(|| Error::PlainAddress { url: url.to_string() })?;
    bearer(token, "the token")?;
    let path = home.registry_config(id).at("credentials.json");
    let mut tokens = read(&path)?;
    let origin = host.to_string();
    tokens.retain(|token| token.origin != origin);
    tokens.push(Token { origin: origin.clone(), token: token.expose_secret().to_owned() });
    path.write_json(&File { format: Format, tokens })?;
    Ok(origin)
}

/// Deletes the tokens of a registry: all, or those of one address. Returns what they were for.
pub fn logout(home: &Home, id: &RegistryId, url: Option<&Url>) -> Result<Vec<String>> {
    let path = home.registry_config(id).at("credentials.json");
    let only = url.and_then(Url::host).map(|host| host.to_string());
    let is_wanted = |token: &Token| only.as_ref().is_none_or(|only| token.origin == *only);
    let (removed, kept): (Vec<Token>, Vec<Token>) = read(&path)?.into_iter().partition(is_wanted);
    match (removed.is_empty(), kept.is_empty()) {
        (true, _) => {}
        (false, true) => fs_err::remove_file(&path).map_err(|error| Error::writing(&path, error))?,
        (false, false) => path.write_json(&File { format: Format, tokens: kept })?,
    }
    Ok(removed.into_iter().map(|token| token.origin).collect())
}

fn read(path: &OwnPath) -> Result<Vec<Token>> {
    let Some(bytes) = path.read_private(MAX_CREDENTIALS_BYTES)? else { return Ok(Vec::new()) };
    let file = format::parse_json::<File>(&path.display().to_string(), &bytes, FORMAT);
    match file {
        Ok(file) => Ok(file.tokens),
        // The reason may repeat a token.
        Err(FormatError::Invalid { what, .. }) => Err(Error::invalid(what, "not as kf wrote it")),
        Err(error) => Err(error.into()),
    }
}

fn bearer(token: &SecretString, source: &str) -> Result<Credentials> {
    let text = token.expose_secret();
    let reason = match text {
        "" => "it is empty",
        text if text.len() > 16 * 1024 => "it is longer than 16 KiB",
        text if !text.bytes().all(|byte| byte.is_ascii_graphic()) => {
            "it has a space or another character that a token cannot have"
        }
        _ => {
            return Ok(Credentials::Sent {
                header: format!("Bearer {text}").into(),
                source: source.to_owned(),
            });
        }
    };
    Err(Error::BadToken { what: source.to_owned(), reason })
}

fn basic(login: &netrc::Login) -> SecretString {
    let pair = format!("{}:{}", login.user, login.password.expose_secret());
    format!("Basic {}", BASE64_STANDARD.encode(pair)).into()
}

/// The login for a host in the netrc file, or why there is none. A file that is not used does not matter, so only its
/// entry for this host makes its mode count.
fn login_in_netrc(host: &str) -> Result<Result<(netrc::Login, PathBuf), String>> {
    let none = |path: Option<&PathBuf>| match path {
        Some(path) => format!("no credentials, and none for {host} in {}", path.display()),
        None => "no credentials".to_owned(),
    };
    let Some(path) = netrc_path() else { return Ok(Err(none(None))) };
    let text = match files::read_bounded(&path, MAX_NETRC_BYTES) {
        Ok(Some(bytes)) => String::from_utf8_lossy(&bytes).into_owned(),
        Ok(None) => return Ok(Err(none(None))),
        Err(error) => return Ok(Err(format!("no credentials: {error}"))),
    };
    match netrc::find(&text, host) {
        Ok(Some(login)) => {
            trusted::check_private_file(&path)?;
            Ok(Ok((login, path)))
        }
        Ok(None) => Ok(Err(none(Some(&path)))),
        Err(error) => Ok(Err(format!("no credentials: {} is {error}", path.display()))),
    }
}

fn netrc_path() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("NETRC").or_else(|| variable("HOME").map(|home| home.join(".netrc")))
}
