//! Reads properties of credentials, such as their expiry.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use kube::config::AuthInfo;
use secrecy::ExposeSecret as _;
use x509_cert::Certificate;
use x509_cert::der::DecodePem as _;

use crate::kubeconfig::read_bounded;

/// When the credentials expire, in milliseconds since 1970. With a token and a certificate, the token counts.
pub(super) fn expiry(auth: &AuthInfo) -> Option<u64> {
    match token(auth) {
        Some(token) => token_expiry(&token),
        None => certificate_expiry(&certificate(auth)?),
    }
}

/// All credentials as bytes, to distinguish users. Only a digest of it leaves the process.
pub(super) fn bytes(auth: &AuthInfo) -> Vec<u8> {
    serde_json::to_value(auth).map(|value| value.to_string().into_bytes()).unwrap_or_default()
}

/// The minimum length of a secret to search for in text. Shorter ones occur in ordinary text.
const MIN_SECRET_BYTES: usize = 8;

/// The tokens and passwords, to detect whether a text contains one.
pub(super) fn secrets(auth: &AuthInfo) -> Vec<String> {
    let password = auth.password.as_ref().map(|password| password.expose_secret().to_owned());
    let token = token(auth).map(|token| token.trim().to_owned());
    token.into_iter().chain(password).filter(|secret| secret.len() >= MIN_SECRET_BYTES).collect()
}

fn token(auth: &AuthInfo) -> Option<String> {
    let of_file = |file: &String| String::from_utf8(read_bounded(file.as_ref()).ok()?).ok();
    let token = || auth.token.as_ref().map(|token| token.expose_secret().to_owned());
    auth.token_file.as_ref().and_then(of_file).or_else(token)
}

/// The unverified `exp` of a JSON Web Token, for messages.
fn token_expiry(token: &str) -> Option<u64> {
    claims(token)?.get("exp")?.as_u64()?.checked_mul(1000)
}

fn claims(token: &str) -> Option<serde_json::Value> {
    let payload = URL_SAFE_NO_PAD.decode(token.trim().split('.').nth(1)?).ok()?;
    serde_json::from_slice(&payload).ok()
}

fn certificate(auth: &AuthInfo) -> Option<Vec<u8>> {
    match (&auth.client_certificate_data, &auth.client_certificate) {
        (Some(data), _) => STANDARD.decode(data).ok(),
        (None, Some(file)) => read_bounded(file.as_ref()).ok(),
        (None, None) => None,
    }
}

fn certificate_expiry(pem: &[u8]) -> Option<u64> {
    let certificate = Certificate::from_pem(first_pem(pem)?).ok()?;
    let end = certificate.tbs_certificate.validity.not_after.to_unix_duration();
    u64::try_from(end.as_millis()).ok()
}

/// The first block of a chain: the client's own certificate.
fn first_pem(pem: &[u8]) -> Option<&[u8]> {
    const END: &[u8] = b"-----END CERTIFICATE-----";
    let end = pem.windows(END.len()).position(|window| window == END)? + END.len();
    pem.get(..end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_expiry_is_read_from_claims() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"alice","exp":1700000000}"#);
        let auth = AuthInfo { token: Some(format!("h.{payload}.s").into()), ..AuthInfo::default() };
        assert_eq!(expiry(&auth), Some(1_700_000_000_000));
        for opaque in ["abc", "a.b.c", ""] {
            let auth = AuthInfo { token: Some(opaque.to_owned().into()), ..AuthInfo::default() };
            assert_eq!(expiry(&auth), None);
        }
    }

    #[test]
    fn different_credentials_have_different_bytes() {
        let token = |t: &str| bytes(&AuthInfo { token: Some(t.to_owned().into()), ..AuthInfo::default() });
        assert_ne!(token("a"), token("b"));
        assert_eq!(token("a"), token("a"));
    }
}
