//! TLS with a certificate that the machine trusts, and with one that it does not.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use kf_core::{Digest, Kind, RegistryId};
use kf_home::Home;
use kf_registry::registries::{self, Pin};
use kf_registry::trust;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::fixture::*;
use crate::programs::output_of;

/// Serves the published files of `fixture` over TLS. Returns the URL and the certificate as PEM.
fn serve(fixture: &Fixture) -> (String, String) {
    let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(generated.signing_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![generated.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("localhost:0").unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let dir = fixture.path("published");
    std::thread::spawn(move || {
        for mut socket in listener.incoming().flatten() {
            let mut tls = rustls::ServerConnection::new(config.clone()).unwrap();
            let mut stream = rustls::Stream::new(&mut tls, &mut socket);
            let mut request = Vec::new();
            let mut byte = [0];
            while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                request.push(byte[0]);
            }
            let text = String::from_utf8_lossy(&request);
            let path = text.split(' ').nth(1).unwrap_or_default().trim_start_matches('/').to_owned();
            let (status, body) = match fs_err::read(dir.join(path)) {
                Ok(body) => ("200 OK", body),
                Err(_) => ("404 Not Found", Vec::new()),
            };
            let head =
                format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
            // A client that does not trust the certificate hangs up early.
            let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&body));
            tls.send_close_notify();
            let _ = tls.write_tls(&mut socket);
        }
    });
    (url, generated.cert.pem())
}

#[test]
fn untrusted_certificate_is_refused() {
    let fixture = Fixture::published();
    let (url, _) = serve(&fixture);
    let options = quick(start(), Duration::from_secs(60));
    let error = trust::refresh(&fixture.home(), &fixture.registry_at(&url), &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn trusted_certificate_is_accepted() {
    let fixture = Fixture::published();
    let (url, pem) = serve(&fixture);
    fixture.write("ca.pem", &pem);
    let output = output_of(
        Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "tls::child_that_trusts_the_certificate", "--nocapture"])
            .env("SSL_CERT_FILE", fixture.path("ca.pem"))
            .env("KF_TEST_DIR", fixture.dir.path())
            .env("KF_TEST_URL", url),
    );
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("fetched hello over TLS"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

/// Not a test: trusted certificates are set for the whole process.
#[test]
#[ignore = "run by trusted_certificate_is_accepted"]
fn child_that_trusts_the_certificate() {
    let (Some(dir), Some(url)) = (std::env::var_os("KF_TEST_DIR"), std::env::var_os("KF_TEST_URL")) else {
        return;
    };
    let dir = std::path::Path::new(&dir);
    let root = fs_err::read(dir.join("published/metadata/1.root.json")).unwrap();
    let home = Home::under(dir.join("home"));
    let id = RegistryId::parse("team").unwrap();
    let limit = Duration::from_secs(60);
    let pin = Pin::Sha256(Digest::of(&root));
    let registry = registries::add(&home, id, &[url.to_str().unwrap()], pin, limit).unwrap();
    let session = trust::refresh(&home, &registry, &quick(start(), limit)).unwrap();
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello");
    println!("fetched hello over TLS");
}
