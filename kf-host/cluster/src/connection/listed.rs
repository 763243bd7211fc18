//! Verifies servers whose own certificate is listed in the kubeconfig.
//!
//! Go trusts any certificate in the pool, no matter who signed it, and many self-managed clusters list the server's own
//! certificate. webpki (0.103) only treats listed certificates as authorities: it requires a signature by one of them,
//! and refuses a server certificate that can sign others. So a certificate that is identical to a listed one is accepted
//! here after the checks that Go makes: its dates, the host name, and its purpose. All others are left to webpki. Proof
//! of the private key is required in either case.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_name;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::Decode as _;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::oid::db::rfc5280::{ANY_EXTENDED_KEY_USAGE, ID_KP_SERVER_AUTH};
use x509_cert::ext::pkix::{BasicConstraints, ExtendedKeyUsage, KeyUsage};

/// Accepts servers whose certificate is listed, or signed by a listed authority.
#[derive(Debug)]
pub(super) struct ListedVerifier {
    certificates: Vec<CertificateDer<'static>>,
    /// `None` if no listed certificate is an authority.
    signed: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl ListedVerifier {
    pub(super) fn new(certificates: &[Vec<u8>], provider: &Arc<CryptoProvider>) -> Self {
        let certificates: Vec<_> = certificates.iter().cloned().map(CertificateDer::from).collect();
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(certificates.iter().filter(|der| can_sign_others(der)).cloned());
        let signed = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider));
        Self { certificates, signed: signed.build().ok(), provider: Arc::clone(provider) }
    }
}

impl ServerCertVerifier for ListedVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        if self.certificates.contains(end_entity) {
            return check_listed(end_entity, server_name, now).map(|()| ServerCertVerified::assertion());
        }
        match &self.signed {
            Some(signed) => {
                signed.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
            }
            None => Err(CertificateError::UnknownIssuer.into()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// Whether a certificate is an authority, decided as in Go. webpki would accept signatures by any listed certificate,
/// including a server's own. Certificates that cannot be parsed here are left to webpki, which is more lenient.
fn can_sign_others(der: &CertificateDer<'_>) -> bool {
    let Ok(certificate) = Certificate::from_der(der) else { return true };
    let certificate = certificate.tbs_certificate;
    // Version 1 has no extensions to restrict it.
    if certificate.version == Version::V1 {
        return true;
    }
    let is_authority =
        matches!(certificate.get::<BasicConstraints>(), Ok(Some((_, constraints))) if constraints.ca);
    let may_sign = match certificate.get::<KeyUsage>() {
        Ok(usage) => usage.is_none_or(|(_, usage)| usage.key_cert_sign()),
        Err(_) => false,
    };
    is_authority && may_sign
}

fn check_listed(der: &CertificateDer<'_>, name: &ServerName<'_>, now: UnixTime) -> Result<(), Error> {
    // As in Go, this rejects unknown critical extensions.
    let parsed = ParsedCertificate::try_from(der)?;
    let certificate = Certificate::from_der(der).map_err(|_| CertificateError::BadEncoding)?;
    let validity = &certificate.tbs_certificate.validity;
    if now.as_secs() < validity.not_before.to_unix_duration().as_secs() {
        return Err(CertificateError::NotValidYet.into());
    }
    if now.as_secs() > validity.not_after.to_unix_duration().as_secs() {
        return Err(CertificateError::Expired.into());
    }
    verify_server_name(&parsed, name)?;
    if is_for_servers(&certificate) { Ok(()) } else { Err(CertificateError::InvalidPurpose.into()) }
}

/// Without the extension, a certificate is valid for any purpose.
fn is_for_servers(certificate: &Certificate) -> bool {
    let fits = |usage: &ObjectIdentifier| [ID_KP_SERVER_AUTH, ANY_EXTENDED_KEY_USAGE].contains(usage);
    match certificate.tbs_certificate.get::<ExtendedKeyUsage>() {
        Ok(usage) => usage.is_none_or(|(_, usage)| usage.0.iter().any(fits)),
        Err(_) => false,
    }
}
