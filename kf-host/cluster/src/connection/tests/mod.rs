//! Errors for misbehaving servers, tested with real sockets and real TLS.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

use super::*;
use crate::kubeconfig::{Overrides, Sources, load};

mod certificates;
mod credentials;
mod hostile;
mod plugins;

struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    fn new() -> Self {
        Self::named("kubernetes")
    }

    fn named(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// A certificate for 127.0.0.1 that expires in the given year.
    fn sign(&self, until: i32) -> (Vec<u8>, KeyPair, String) {
        let mut params = CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        (certificate.der().to_vec(), key, certificate.pem())
    }
}

/// Answers requests one after another, each on its own connection.
fn serve(authority: &Authority, until: i32, answer: &'static str) -> SocketAddr {
    let (certificate, key, _) = authority.sign(until);
    serve_as(certificate, &key, move |_| answer)
}

/// Serves with any certificate; the answer depends on the head of the request.
fn serve_as(
    certificate: Vec<u8>,
    key: &KeyPair,
    answer: impl FnMut(&str) -> &'static str + Send + 'static,
) -> SocketAddr {
    install_tls_provider();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    let config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.into()], key)
        .unwrap();
    serve_with(config, answer)
}

fn serve_with(
    config: ServerConfig,
    mut answer: impl FnMut(&str) -> &'static str + Send + 'static,
) -> SocketAddr {
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let tls = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(tls, socket.unwrap());
            let mut request = [0; 4096];
            if let Ok(read) = stream.read(&mut request)
                && read > 0
            {
                let answer = answer(&String::from_utf8_lossy(&request[..read]));
                let _ = stream.write_all(answer.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        }
    });
    address
}

/// A connection with a timeout that a busy machine does not reach.
fn connection(server: &str, authority: Option<&Authority>, user: &str) -> Connection {
    connection_within(Duration::from_secs(300), server, authority, user)
}

fn connection_within(limit: Duration, server: &str, authority: Option<&Authority>, user: &str) -> Connection {
    let authority = authority.map(|a| a.0.pem()).unwrap_or_default();
    connection_trusting(limit, server, &authority, user)
}

/// With empty `authorities`, the system's are used.
fn connection_trusting(limit: Duration, server: &str, authorities: &str, user: &str) -> Connection {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("config");
    let authority = STANDARD.encode(authorities);
    let text = format!(
        "current-context: c\n\
         contexts: [{{name: c, context: {{cluster: k, user: u}}}}]\n\
         clusters: [{{name: k, cluster: {{server: \"{server}\", certificate-authority-data: \"{authority}\"}}}}]\n\
         users: [{{name: u, user: {{{user}}}}}]\n"
    );
    fs_err::write(&file, text).unwrap();
    let sources = Sources { path: std::env::var_os("PATH"), ..Sources::default() };
    let settings = load(&sources, &Overrides { file: Some(file), ..Overrides::default() }).unwrap();
    Connection::new(settings, Timeouts { connect: limit, answer: limit })
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 14\r\nconnection: close\r\n\r\n{\"major\": \"1\"}";
const UNAUTHORIZED: &str = "HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";

#[tokio::test]
async fn server_with_valid_certificate_is_accepted() {
    let authority = Authority::new();
    let address = serve(&authority, 2100, OK);
    let connection = connection(&format!("https://{address}"), Some(&authority), "token: t");
    assert_eq!(connection.get("/version").await.unwrap()["major"], "1");
}

#[tokio::test]
async fn server_with_invalid_certificate_is_refused() {
    let (authority, recreated, other) = (Authority::new(), Authority::new(), Authority::named("other"));
    for (until, trusted, words) in [
        (2021, &authority, "has expired"),
        (2100, &recreated, "not signed by the authority"),
        (2100, &other, "not signed by the authority"),
    ] {
        let address = serve(&authority, until, OK);
        let connection = connection(&format!("https://{address}"), Some(trusted), "token: t");
        let error = connection.get("/version").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unauthenticated, "{error}");
        assert!(error.message.contains(words), "{error}");
    }
}

#[tokio::test]
async fn expired_credentials_are_reported() {
    let authority = Authority::new();
    let address = serve(&authority, 2100, UNAUTHORIZED);
    let server = format!("https://{address}");
    let error = connection(&server, Some(&authority), "token: t").get("/version").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    assert_eq!(error.message, "the API server does not accept your credentials");

    let (_, key, pem) = authority.sign(2021);
    let user = format!(
        "client-certificate-data: {}, client-key-data: {}",
        STANDARD.encode(pem),
        STANDARD.encode(key.serialize_pem())
    );
    let connection = connection(&server, Some(&authority), &user);
    let error = connection.get("/version").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unauthenticated);
    assert_eq!(error.message, format!("your credentials for {server} expired at 2021-01-01T00:00:00Z"));
}

#[tokio::test]
async fn absent_server_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    for scheme in ["http", "https"] {
        let error = connection(&format!("{scheme}://{address}"), None, "").get("/version").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::Unreachable, "{error}");
    }
    let error = connection("https://kf.invalid:6443", None, "").get("/version").await.unwrap_err();
    assert_eq!(error.code, ErrorCode::Unreachable, "{error}");
}

#[tokio::test]
async fn silent_server_times_out() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    for scheme in ["http", "https"] {
        let server = format!("{scheme}://{address}");
        let connection = connection_within(Duration::from_millis(500), &server, None, "");
        let error = connection.get("/version").await.unwrap_err();
        assert_eq!(error.code, ErrorCode::TimedOut, "{error}");
    }
}

#[tokio::test]
async fn endless_response_is_refused() {
    let endless = tower::service_fn(|_: Request<Body>| async {
        Ok::<_, kube::Error>(Response::new(Body::from(vec![b' '; MAX_ANSWER_BYTES + 1])))
    });
    let connection = Connection::from_client(kube::Client::new(endless, "default"), "https://lab");
    let error = connection.get("/version").await.unwrap_err();
    assert_eq!(error.message, "a response from https://lab is larger than 16 MiB");
}

/// A server without TLS that records the requests.
fn plaintext_server() -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (received, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            received.send(String::from_utf8(head).unwrap().to_ascii_lowercase()).unwrap();
            let _ = socket.write_all(OK.as_bytes());
        }
    });
    (address, seen)
}

#[tokio::test]
async fn server_without_tls_receives_no_credentials() {
    let (address, seen) = plaintext_server();
    let dir = tempfile::tempdir().unwrap();
    let (file, ran) = (dir.path().join("token"), dir.path().join("ran"));
    fs_err::write(&file, "hunter2").unwrap();
    let (_, key, pem) = Authority::new().sign(2100);
    let script = format!("touch {}; echo '{{\"status\": {{\"token\": \"hunter2\"}}}}'", ran.display());
    for user in [
        "token: hunter2".to_owned(),
        format!("tokenFile: {}", file.display()),
        "username: alice, password: hunter2".to_owned(),
        plugin(&script),
        "auth-provider: {name: oidc, config: {id-token: hunter2}}".to_owned(),
        format!(
            "client-certificate-data: {}, client-key-data: {}",
            STANDARD.encode(pem),
            STANDARD.encode(key.serialize_pem())
        ),
    ] {
        for server in [
            format!("http://{address}"),
            format!("HTTP://{address}"),
            format!("http://alice:hunter2@{address}/?token=hunter2"),
        ] {
            let connection = connection(&server, None, &user);
            connection.get("/version").await.unwrap();
            let upgrade = Request::get("/api/v1/namespaces/a/pods/b/exec").body(Vec::new()).unwrap();
            assert!(connection.upgrade(upgrade, Channels::Any).await.is_err(), "the server does not upgrade");
            for _ in ["get", "upgrade"] {
                let head = seen.try_recv().unwrap();
                assert!(!head.contains("authorization") && !head.contains("hunter2"), "{user}: {head}");
            }
            let settings = connection.settings().unwrap();
            let remarks = settings.warnings();
            assert!(remarks.len() == 1 && remarks[0].contains("does not use TLS"), "{user}: {remarks:?}");
            assert_eq!(settings.server, format!("http://{address}"));
            let shown = format!("{remarks:?} {settings:?} {connection:?}");
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }
    assert!(!ran.exists(), "a credential plugin ran");
    let acting = connection(&format!("http://{address}"), None, "as: bob");
    acting.get("/version").await.unwrap();
    assert!(seen.try_recv().unwrap().contains("impersonate-user: bob"));
    assert_eq!(acting.settings().unwrap().warnings(), ["the kubeconfig impersonates bob"]);
}

#[tokio::test]
async fn password_in_server_url_is_never_shown() {
    for scheme in ["http", "https"] {
        let server = format!("{scheme}://alice:hunter2@127.0.0.1:1/prefix?token=hunter2");
        let connection = connection(&server, None, "token: t");
        assert_eq!(connection.server(), format!("{scheme}://127.0.0.1:1/prefix"));
        let error = connection.get("/version").await.unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}

/// An HTTP proxy for one connection at a time, which records the CONNECT requests.
fn proxy() -> (SocketAddr, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let (asked, seen) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut client = socket.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                client.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            let line = String::from_utf8(head).unwrap().lines().next().unwrap().to_owned();
            let mut server = TcpStream::connect(line.split(' ').nth(1).unwrap()).unwrap();
            asked.send(line).unwrap();
            client.write_all(b"HTTP/1.1 200 OK\r\n\r\n").unwrap();
            let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
            std::thread::spawn(move || std::io::copy(&mut from, &mut to));
            let _ = std::io::copy(&mut server, &mut client);
        }
    });
    (address, seen)
}

#[tokio::test]
async fn proxy_of_kubeconfig_is_used() {
    let authority = Authority::new();
    let address = serve(&authority, 2100, OK);
    let (proxy, seen) = proxy();
    let server = format!("https://{address}\", proxy-url: \"http://{proxy}");
    let connection = connection(&server, Some(&authority), "token: t");
    connection.get("/version").await.unwrap();
    assert_eq!(seen.try_recv().unwrap(), format!("CONNECT {address} HTTP/1.1"));
}

/// Credentials from a shell script.
fn plugin(script: &str) -> String {
    format!(
        "exec: {{apiVersion: client.authentication.k8s.io/v1, command: sh, interactiveMode: Never, \
         args: [-c, {}]}}",
        Value::from(script)
    )
}
