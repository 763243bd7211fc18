//! The `Authorization` header of every request.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use kube::config::AuthInfo;
use secrecy::ExposeSecret as _;

use super::SetupError;
use crate::kubeconfig::read_bounded;

/// How long a token from a file is cached. The kubelet replaces a pod's token minutes before it expires.
const MAX_AGE: Duration = Duration::from_secs(50);

pub(super) enum Authorization {
    Fixed(HeaderValue),
    File { path: PathBuf, last: Mutex<(HeaderValue, Instant)> },
}

impl Authorization {
    /// `None` if the user has neither a token nor a password.
    pub(super) fn of(auth: &AuthInfo) -> Result<Option<Self>, SetupError> {
        if let (Some(user), Some(password)) = (&auth.username, &auth.password) {
            let pair = STANDARD.encode(format!("{user}:{}", password.expose_secret()));
            let value = header(&format!("Basic {pair}"))
                .ok_or_else(|| SetupError::field("password", "not valid in a header"))?;
            return Ok(Some(Self::Fixed(value)));
        }
        let fixed = match &auth.token {
            Some(token) => Some(
                bearer(token.expose_secret())
                    .ok_or_else(|| SetupError::field("token", "not valid in a header"))?,
            ),
            None => None,
        };
        let Some(path) = auth.token_file.as_ref().map(PathBuf::from) else {
            return Ok(fixed.map(Self::Fixed));
        };
        // As in kubectl, the file takes precedence, and the token is used if it cannot be read.
        let value = match (read(&path), fixed) {
            (Ok(value), _) | (Err(_), Some(value)) => value,
            (Err(why), None) => return Err(SetupError::field("tokenFile", why)),
        };
        Ok(Some(Self::File { path, last: Mutex::new((value, Instant::now())) }))
    }

    /// The current header. As in kubectl, the last token stays in use if the file can no longer be read.
    pub(super) fn value(&self) -> HeaderValue {
        match self {
            Self::Fixed(value) => value.clone(),
            Self::File { path, last } => {
                let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
                if last.1.elapsed() > MAX_AGE {
                    let value = read(path).unwrap_or_else(|_| last.0.clone());
                    *last = (value, Instant::now());
                }
                last.0.clone()
            }
        }
    }
}

/// Reads a token file. The error does not repeat the path, which may contain a user name.
fn read(path: &Path) -> Result<HeaderValue, String> {
    let bytes = read_bounded(path).map_err(|why| format!("cannot read the file: {why}"))?;
    let token = String::from_utf8(bytes).unwrap_or_default();
    match token.trim() {
        "" => Err("the file contains no token".to_owned()),
        token => bearer(token).ok_or_else(|| "the token is not valid in a header".to_owned()),
    }
}

pub(super) fn bearer(token: &str) -> Option<HeaderValue> {
    header(&format!("Bearer {token}"))
}

fn header(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}
