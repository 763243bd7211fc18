//! TLS with a certificate that the machine trusts, and with one that it does not.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use kf_core::{Digest, Kind, RegistryId};
use kf_home::Home;
use kf_registry::built_in::BuiltIns;
use kf_registry::registries::{self, Pin};
use kf_registry::trust;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::fixture::*;
use crate::programs::output_of;

/// Serves the published files of `fixture` over TLS. Returns the URL and the certificate as PEM.
fn serve(fixture: &Fixture) -> (String, String) {
    let (port, pem) = serve_as(fixture, "localhost");
    (format!("https://localhost:{port}"), pem)
}

/// The same with a certificate for this name; returns the port on this machine.
fn serve_as(fixture: &Fixture, name: &str) -> (u16, String) {
    let generated = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
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
    let port = listener.local_addr().unwrap().port();
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
    (port, generated.cert.pem())
}

#[test]
fn untrusted_certificate_is_refused() {
    let fixture = Fixture::published();
    let (url, _) = serve(&fixture);
    let options = quick(start(), Duration::from_secs(60));
    let error = trust::refresh(&fixture.home(), &fixture.registry_at(&url), &options).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert_eq!(error.hint().unwrap(), "set SSL_CERT_FILE to the certificates of your network");
}

#[test]
fn trusted_certificate_is_accepted() {
    let fixture = Fixture::published();
    let (url, pem) = serve(&fixture);
    fixture.write("ca/ca.pem", &pem);
    for (variable, path) in [("SSL_CERT_FILE", "ca/ca.pem"), ("SSL_CERT_DIR", "ca")] {
        let path = fixture.path(path).display().to_string();
        let (fetched, text) = fetched_by_child(&fixture, &url, &[(variable, &path)]);
        assert!(fetched, "{variable}: {text}");
    }
}

/// Fetches in another process with these variables; they are read for the whole process.
fn fetched_by_child(fixture: &Fixture, url: &str, variables: &[(&str, &str)]) -> (bool, String) {
    let _earlier = fs_err::remove_dir_all(fixture.path("home"));
    let mut child = Command::new(std::env::current_exe().unwrap());
    child
        .args(["--ignored", "--exact", "tls::child_that_trusts_the_certificate", "--nocapture"])
        .env("KF_TEST_DIR", fixture.dir.path())
        .env("KF_TEST_URL", url)
        .envs(variables.iter().copied());
    let output = output_of(&mut child);
    let text =
        [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    (text.contains("fetched hello over TLS"), text)
}

#[test]
fn own_certificates_of_registry_are_trusted_and_no_others() {
    let fixture = Fixture::published();
    let (url, pem) = serve(&fixture);
    let (_, other) = serve(&fixture);
    let limit = Duration::from_secs(60);
    let add = |home: &Home, pem: &str| {
        let (id, root) = (RegistryId::parse("team").unwrap(), fixture.root());
        let pin = Pin::Root(&root);
        registries::add_with_certificates(home, id, &[&url], pin, Some(pem.as_bytes()), limit)
    };
    let home = fixture.home();
    add(&home, &pem).unwrap();
    let id = RegistryId::parse("team").unwrap();
    let registry = registries::load(&home, BuiltIns::default(), &id).unwrap();
    let session = trust::refresh(&home, &registry, &quick(start(), limit)).unwrap();
    assert_eq!(fetch(&session, "hello").unwrap().program(), b"\0asm hello");

    let home = Home::under(fixture.path("other"));
    let registry = add(&home, &other).unwrap();
    let error = trust::refresh(&home, &registry, &quick(start(), limit)).unwrap_err();
    assert_eq!(error.kind(), Kind::Unreachable, "{error}");
    for pem in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        let home = Home::under(fixture.path("none"));
        assert_eq!(add(&home, pem).unwrap_err().kind(), Kind::Usage, "{pem}");
        assert!(!fixture.path("none").exists());
    }
}

/// A proxy that connects every name to a port of this machine. Returns its address and the targets it was asked for.
fn proxy(port: u16) -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://me:hunter2@{}", listener.local_addr().unwrap());
    let (sender, targets) = channel();
    std::thread::spawn(move || {
        for mut client in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && client.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let _no_one_listens = sender.send(head.split(' ').nth(1).unwrap_or_default().to_owned());
            let Ok(mut server) = TcpStream::connect(("localhost", port)) else { continue };
            let Ok(()) = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n") else { continue };
            let (mut from_client, mut to_server) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from_client, &mut to_server));
            std::thread::spawn(move || std::io::copy(&mut server, &mut client));
        }
    });
    (address, targets)
}

#[test]
fn registry_is_fetched_through_proxy() {
    let fixture = Fixture::published();
    let (port, pem) = serve_as(&fixture, "registry.invalid");
    fixture.write("ca.pem", &pem);
    let ca = fixture.path("ca.pem").display().to_string();
    let url = format!("https://registry.invalid:{port}");
    let (address, targets) = proxy(port);
    for variable in ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"] {
        let (fetched, text) =
            fetched_by_child(&fixture, &url, &[("SSL_CERT_FILE", &ca), (variable, &address)]);
        assert!(fetched, "{variable}: {text}");
        assert_eq!(targets.try_iter().next().unwrap(), format!("registry.invalid:{port}"));
        targets.try_iter().for_each(drop);
    }
    // Connected directly, the name does not exist.
    let variables =
        [("SSL_CERT_FILE", &*ca), ("HTTPS_PROXY", &*address), ("NO_PROXY", "example.org, invalid")];
    let (fetched, text) = fetched_by_child(&fixture, &url, &variables);
    assert!(!fetched && targets.try_iter().next().is_none(), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
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
