//! The user's client certificate and its key.

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube::config::AuthInfo;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SigningKey};
use secrecy::ExposeSecret as _;
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};

use super::SetupError;
use crate::kubeconfig::read_bounded;

const CERTIFICATE: &str = "client-certificate";
const KEY: &str = "client-key";

/// `None` if the user has no certificate.
pub(super) fn identity(
    auth: &AuthInfo,
    provider: &CryptoProvider,
) -> Result<Option<Arc<CertifiedKey>>, SetupError> {
    let certificate =
        read_pem(CERTIFICATE, auth.client_certificate_data.as_deref(), auth.client_certificate.as_deref())?;
    let key = read_pem(
        KEY,
        auth.client_key_data.as_ref().map(|data| data.expose_secret()),
        auth.client_key.as_deref(),
    )?;
    let (Some(certificate), Some(key)) = (certificate, key) else { return Ok(None) };
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&certificate).collect();
    let chain = chain.map_err(|_| SetupError::field(CERTIFICATE, "not valid PEM"))?;
    let Some(first) = chain.first() else {
        return Err(SetupError::field(CERTIFICATE, "contains no certificate"));
    };
    let key = signing_key(&key, provider)?;
    if !key_matches(first, key.as_ref())? {
        return Err(SetupError::field(KEY, "does not match the client certificate"));
    }
    // Where rustls (0.23) checks this itself, it rejects X.509 v1 certificates. Servers accept them.
    Ok(Some(Arc::new(CertifiedKey::new(chain, key))))
}

/// Reads PEM from data, or else from a file.
fn read_pem(
    field: &'static str,
    data: Option<&str>,
    file: Option<&str>,
) -> Result<Option<Vec<u8>>, SetupError> {
    match (data, file) {
        (Some(data), _) => {
            STANDARD.decode(data).map(Some).map_err(|_| SetupError::field(field, "not base64"))
        }
        // The error does not repeat the path, which may contain a user name.
        (None, Some(file)) => read_bounded(Path::new(file))
            .map(Some)
            .map_err(|why| SetupError::field(field, format!("cannot read the file: {why}"))),
        (None, None) => Ok(None),
    }
}

fn signing_key(pem: &[u8], provider: &CryptoProvider) -> Result<Arc<dyn SigningKey>, SetupError> {
    let unusable = |_| match pem.windows(9).any(|window| window == b"ENCRYPTED") {
        true => SetupError::field(KEY, "encrypted, and kf cannot ask for the password"),
        false => SetupError::field(KEY, "not a private key in PEM"),
    };
    let key = PrivateKeyDer::from_pem_slice(pem).map_err(unusable)?;
    provider
        .key_provider
        .load_private_key(key)
        .map_err(|_| SetupError::field(KEY, "not a private key of a type that TLS supports"))
}

fn key_matches(certificate: &CertificateDer<'_>, key: &dyn SigningKey) -> Result<bool, SetupError> {
    let Some(public) = key.public_key() else { return Ok(true) };
    let parsed = Certificate::from_der(certificate)
        .map_err(|_| SetupError::field(CERTIFICATE, "not an X.509 certificate"))?;
    let listed = parsed.tbs_certificate.subject_public_key_info.to_der().unwrap_or_default();
    Ok(listed == public.as_ref())
}
