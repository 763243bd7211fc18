//! Certificates in kubeconfigs: of servers and of clients, valid and broken.

use std::sync::Mutex;

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rustls::DistinguishedName;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use x509_cert::Certificate;
use x509_cert::certificate::Version;
use x509_cert::der::{Decode as _, DecodePem as _, Encode as _};

use super::*;

const LIMIT: Duration = Duration::from_secs(300);

async fn answer(address: SocketAddr, authorities: &str, more: &str) -> Result<Value, ApiError> {
    let server = format!("https://{address}\"{more}, note: \"");
    connection_trusting(LIMIT, &server, authorities, "token: t").get("/version").await
}

fn params() -> CertificateParams {
    CertificateParams::new(["127.0.0.1".to_owned(), "lab.example".to_owned()]).unwrap()
}

/// As in Go, and only exactly that certificate.
#[tokio::test]
async fn server_with_listed_certificate_is_trusted() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let signed = params().signed_by(&key, &authority.0).unwrap();
    let plain = params().self_signed(&key).unwrap();
    let mut ca = params();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = ca.self_signed(&key).unwrap();
    let mut with_purpose = params();
    with_purpose.extended_key_usages = vec![ServerAuth];
    let with_purpose = with_purpose.signed_by(&key, &authority.0).unwrap();
    for listed in [&signed, &plain, &ca, &with_purpose] {
        let address = serve_as(listed.der().to_vec(), &key, |_| OK);
        answer(address, &listed.pem(), "").await.unwrap();
        answer(address, &format!("{}{}", authority.0.pem(), listed.pem()), "").await.unwrap();
        answer(address, &listed.pem(), ", tls-server-name: lab.example").await.unwrap();
        // But not for another host name.
        let error = answer(address, &listed.pem(), ", tls-server-name: other.example").await.unwrap_err();
        assert!(error.message.ends_with("is not valid for this host name"), "{error}");
    }
    // Another certificate of the same authority, or of the same key, is not the one that is listed.
    for other in [params().signed_by(&key, &authority.0).unwrap(), params().self_signed(&key).unwrap()] {
        let address = serve_as(other.der().to_vec(), &key, |_| OK);
        let error = answer(address, &signed.pem(), "").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated);
        assert!(error.message.contains("not signed by the authority"), "{error}");
    }
}

#[tokio::test]
async fn listed_certificate_must_be_valid_and_for_servers() {
    let authority = Authority::new();
    let key = KeyPair::generate().unwrap();
    let (mut expired, mut early, mut of_a_client) = (params(), params(), params());
    (expired.not_before, expired.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(2021, 1, 1));
    (early.not_before, early.not_after) = (date_time_ymd(2100, 1, 1), date_time_ymd(2101, 1, 1));
    of_a_client.extended_key_usages = vec![ClientAuth];
    for (params, words) in
        [(expired, "has expired"), (early, "is not valid yet"), (of_a_client, "is not accepted")]
    {
        let listed = params.signed_by(&key, &authority.0).unwrap();
        let address = serve_as(listed.der().to_vec(), &key, |_| OK);
        let error = answer(address, &listed.pem(), "").await.unwrap_err();
        assert!(error.message.contains(words), "{error}");
    }
}

/// The certificate alone proves nothing, as anyone can send it.
#[tokio::test]
async fn server_without_key_of_listed_certificate_is_refused() {
    let (key, other) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
    let listed = params().self_signed(&key).unwrap();
    install_tls_provider();
    let provider = rustls::crypto::CryptoProvider::get_default().unwrap();
    let stolen =
        provider.key_provider.load_private_key(PrivateKeyDer::Pkcs8(other.serialize_der().into())).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![listed.der().clone()], stolen);
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let resolver = rustls::sign::SingleCertAndKey::from(certified.clone());
        let config = ServerConfig::builder_with_protocol_versions(&[version])
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        let error = answer(serve_with(config, |_| OK), &listed.pem(), "").await.unwrap_err();
        assert!(error.message.contains("certificate") || error.message.contains("handshake"), "{error}");
    }
}

#[tokio::test]
async fn broken_certificate_in_bundle_is_skipped() {
    let authority = Authority::new();
    let address = serve(&authority, 2100, OK);
    let good = authority.0.pem();
    let cut: String = Authority::named("other")
        .0
        .pem()
        .lines()
        .filter(|line| line.len() != 64)
        .collect::<Vec<_>>()
        .join("\n");
    for broken in [
        "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n".to_owned(),
        "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n".to_owned(),
        format!("{cut}\n"),
        "# a comment\n\n".to_owned(),
        KeyPair::generate().unwrap().serialize_pem(),
    ] {
        answer(address, &format!("{broken}{good}"), "").await.expect(&broken);
        answer(address, &format!("{good}{broken}"), "").await.expect(&broken);
    }
}

#[tokio::test]
async fn server_of_authority_unknown_to_machine_is_refused() {
    let address = serve(&Authority::new(), 2100, OK);
    let error = answer(address, "", "").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    let why = "is not signed by an authority that this machine trusts";
    // A machine without any authorities fails earlier.
    assert!(
        error.message.ends_with(why) || error.message.contains("invalid certificates in the kubeconfig"),
        "{error}"
    );
}

/// Accepts and records all client certificates.
#[derive(Debug, Default)]
struct Recording(Mutex<Vec<Vec<u8>>>);

impl ClientCertVerifier for Recording {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.0.lock().unwrap().push(end_entity.to_vec());
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        vec![rustls::SignatureScheme::ECDSA_NISTP256_SHA256]
    }
}

/// The same certificate in the form that `openssl x509 -req` makes without extensions.
fn as_v1(pem: &str) -> Vec<u8> {
    let mut certificate = Certificate::from_pem(pem).unwrap();
    certificate.tbs_certificate.version = Version::V1;
    certificate.tbs_certificate.extensions = None;
    certificate.to_der().unwrap()
}

fn pem(der: &[u8]) -> String {
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}

fn user(certificate: &str, key: &str) -> String {
    format!(
        "client-certificate-data: {}, client-key-data: {}",
        STANDARD.encode(certificate),
        STANDARD.encode(key)
    )
}

#[tokio::test]
async fn client_certificate_of_any_version_is_sent() {
    let authority = Authority::new();
    let (certificate, key, _) = authority.sign(2100);
    install_tls_provider();
    let recorded = Arc::new(Recording::default());
    let config = ServerConfig::builder()
        .with_client_cert_verifier(Arc::clone(&recorded) as Arc<dyn ClientCertVerifier>)
        .with_single_cert(vec![certificate.into()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .unwrap();
    let server = format!("https://{}", serve_with(config, |_| OK));
    let (v3, key, v3_pem) = authority.sign(2100);
    let v1 = as_v1(&v3_pem);
    assert_eq!(Certificate::from_der(&v1).unwrap().tbs_certificate.version, Version::V1);
    for der in [v3, v1] {
        let user = user(&pem(&der), &key.serialize_pem());
        connection(&server, Some(&authority), &user).get("/version").await.unwrap();
        assert_eq!(recorded.0.lock().unwrap().pop().unwrap(), der);
    }
}

#[tokio::test]
async fn invalid_client_certificate_is_named() {
    let authority = Authority::new();
    let server = format!("https://{}", serve(&authority, 2100, OK));
    let (_, key, certificate) = authority.sign(2100);
    let key = key.serialize_pem();
    let other = KeyPair::generate().unwrap().serialize_pem();
    let encrypted = "-----BEGIN ENCRYPTED PRIVATE KEY-----\naGVsbG8=\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let broken = "-----BEGIN CERTIFICATE-----\naGVsbG8=\n-----END CERTIFICATE-----\n";
    for (user, words) in [
        (
            user(&certificate, &other),
            "invalid `client-key` in the kubeconfig: does not match the client certificate",
        ),
        (user(&pem(&as_v1(&certificate)), &other), ": does not match the client certificate"),
        (user(&certificate, encrypted), "invalid `client-key` in the kubeconfig: encrypted"),
        (user(&certificate, "hunter2"), "invalid `client-key` in the kubeconfig"),
        (user(&certificate, &certificate), "invalid `client-key` in the kubeconfig"),
        (user(broken, &key), "invalid `client-certificate` in the kubeconfig: not an X.509 certificate"),
        (user("hunter2", &key), "invalid `client-certificate` in the kubeconfig: contains no certificate"),
        (
            "client-certificate: /nonexistent/hunter2, client-key: /nonexistent/key".to_owned(),
            "invalid `client-certificate` in the kubeconfig: cannot read the file",
        ),
    ] {
        let error = connection(&server, Some(&authority), &user).get("/version").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{error}");
        assert!(error.message.contains(words) && !error.message.contains("hunter2"), "{error}");
    }
}
